"""What runs in MicroPython: a device that counts, with everything asked for in a file of JSON. Answers a line of it.

micropython program.py asked.json
"""

import gc
import json
import sys
import time

import roost

with open(sys.argv[1]) as stream:
    asked = json.load(stream)
ca = None
if asked.get("ca"):
    with open(asked["ca"], "rb") as stream:
        ca = stream.read()
fed = [0]


def feed():
    fed[0] += 1


device = roost.Device(
    "127.0.0.1" if not ca else "localhost",
    asked["uid"],
    port=asked["mqtt_port"],
    http_port=asked["port"],
    tls=bool(ca),
    ca=ca,
    file=asked["file"],
    buffer_bytes=asked.get("buffer_bytes", 4096),
    feed=feed,
    firmware_version="mpy-test",
)
if not device.paired:
    device.hello()
    print("hello")
    sys.stdout.flush() if hasattr(sys.stdout, "flush") else None
    device.pair(sys.stdin.readline().strip())

runs = []
reported = []


def blink(payload):
    runs.append(payload)
    return {"blinked": payload["times"]}


def slowly(payload):
    for percent in (25, 50, 75):
        yield percent
    runs.append(payload)
    return {"steps": 3}


def fails(payload):
    raise ValueError("no such pin")


def wanted(delta):
    reported.append(delta)
    return delta


device.task("blink", blink)
device.task("slowly", slowly)
device.task("fails", fails)
device.wanted = wanted
count, interval_ms, peak, number = asked["count"], asked.get("interval_ms", 0), 0, 0
next_at = time.ticks_ms()
ends_at = time.ticks_add(next_at, asked.get("patience_ms", 60_000))
slowest_ms, rounds = 0, 0
while time.ticks_diff(ends_at, time.ticks_ms()) > 0:
    if number < count and time.ticks_diff(time.ticks_ms(), next_at) >= 0:
        next_at = time.ticks_add(time.ticks_ms(), interval_ms)
        device.send({"n": number})
        number += 1
    connected = device.connected
    began = time.ticks_ms()
    device.loop()
    if connected:
        slowest_ms = max(slowest_ms, time.ticks_diff(time.ticks_ms(), began))
    rounds += 1
    if rounds % 20 == 0:
        gc.collect()
        peak = max(peak, gc.mem_alloc())
    enough = len(runs) >= asked.get("runs", 0) and len(reported) >= asked.get("deltas", 0)
    if number == count and enough and device.waiting == 0 and device.connected and not device.busy:
        break
    time.sleep_ms(2)
device.close()
said = {
    "sent": number, "waiting": device.waiting, "dropped": device.dropped, "heap": peak, "runs": runs,
    "reported": reported, "fed": fed[0], "slowest_ms": slowest_ms,
}  # fmt: skip
print(json.dumps(said))
