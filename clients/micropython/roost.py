"""A Roost device in one file, for MicroPython 1.23 or later on an ESP32, a Pico W, or whatever has sockets.

    import roost
    device = roost.Device("hub.example", "greenhouse-1", tls=True, ca=open("ca.der", "rb").read())
    if not device.paired:
        device.hello()
        device.pair(input("Pairing code: "))
    device.task("led", lambda payload: led.value(payload["on"]))
    device.wanted = lambda delta: delta          # what the owner wants; answers what is so now
    while True:
        if due():
            device.send({"temp_c": sensor.read()})
        device.loop()                            # some milliseconds; a connection attempt takes up to timeout_s
        watchdog.feed()

The network is yours to bring up and keep up; `loop()` finds out by itself when the hub can be reached.
"""

import errno
import hashlib
import json
import os
import socket
import time
from binascii import a2b_base64, hexlify

UNSURE_AFTER_MS = 24 * 3600 * 1000
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 1000, 120_000
_KEEP_ALIVE_S = 60
_CLOSED, _GREETING, _OPEN = 0, 1, 2
_REMEMBERED_TASKS = 4
_BATCH_MESSAGES, _BATCH_BYTES = 10, 400
_AROUND = 160  # bytes of a packet around what is told: topic, time, message id
_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


class Refused(Exception):
    """The hub has said no: `status` as in HTTP, and a sentence."""

    def __init__(self, status, detail):
        super().__init__("%d %s" % (status, detail))
        self.status = status


class Ring:
    """Messages in a piece of memory of fixed size; a new one pushes out the oldest when there is no room."""

    def __init__(self, size):
        self._memory = bytearray(size)
        self._first = self._used = self._count = 0
        self.dropped = 0
        self.number = 0  # of the first one

    def __len__(self):
        return self._count

    def append(self, stamp, data):
        """Keep it; False when it is larger than all of the ring."""
        size = 8 + len(data)
        if size > len(self._memory):
            return False
        while self._used + size > len(self._memory):
            self.pop()
            self.dropped += 1
        self._write(len(data).to_bytes(2, "little") + stamp.to_bytes(6, "little") + data)
        self._count += 1
        return True

    def pop(self):
        """Forget the oldest one."""
        size = 8 + int.from_bytes(self._read(0, 2), "little")
        self._first = (self._first + size) % len(self._memory)
        self._used -= size
        self._count -= 1
        self.number += 1

    def oldest(self, limit, most_bytes):
        """Some of the oldest, as (number, stamp, data); at least one if there is any."""
        at, found = 0, []
        while len(found) < min(limit, self._count):
            size = int.from_bytes(self._read(at, 2), "little")
            most_bytes -= size
            if found and most_bytes < 0:
                break
            stamp = int.from_bytes(self._read(at + 2, 6), "little")
            found.append((self.number + len(found), stamp, self._read(at + 8, size)))
            at += 8 + size
        return found

    def _write(self, data):
        start = (self._first + self._used) % len(self._memory)
        head = min(len(data), len(self._memory) - start)
        self._memory[start : start + head] = data[:head]
        self._memory[: len(data) - head] = data[head:]
        self._used += len(data)

    def _read(self, at, size):
        start = (self._first + at) % len(self._memory)
        data = bytes(self._memory[start : start + size])
        return data + bytes(self._memory[: size - len(data)])


class Device:
    """One device. Raises ValueError when the identity kept in `file` is another device's.

    `ca`: the certificate of the hub's authority (PEM or DER, as bytes); TLS without one needs `insecure=True`, and then
    proves nothing. `feed` is called wherever something may take long: give it the watchdog's. `buffer_bytes` is for
    messages while the hub is away, `packet_bytes` for the largest task that this device can take.
    """

    def __init__(
        self, host, uid, *, port=None, http_port=None, tls=False, ca=None, insecure=False, file="roost.json",
        buffer_bytes=8192, packet_bytes=2048, timeout_s=5, feed=None, firmware_version=None,
    ):  # fmt: skip
        self.host = host
        self.uid = uid
        self.connected = False
        self.error = None  # why the last connection ended
        self.wanted = None
        self._port = port or (8883 if tls else 1883)
        self._http_port = http_port or (443 if tls else 8000)
        self._tls = _tls(ca, insecure) if tls else None
        self._file = file
        self._timeout_s = timeout_s
        self._feed = feed or (lambda: None)
        self._firmware_version = firmware_version
        self._ring = Ring(buffer_bytes)
        self._origin = hexlify(os.urandom(5))
        # Once and for all: memory that grows and shrinks falls to pieces.
        self._in, self._out, self._unsent = bytearray(packet_bytes), bytearray(packet_bytes), 0
        self._have = self._skip = 0  # bytes that wait in it, and that are to be thrown away
        self._handlers = {}
        self._identity = self._load()
        self._ticks, self._uptime_ms = time.ticks_ms(), 0
        self._hub_ms = self._asked_ms = None
        self._socket = None
        self._state = _CLOSED
        self._failures, self._try_at = 0, 0
        self._packet_id = 0
        self._under_way = None  # (packet id, number of the last message in it)
        self._outbox = []  # [packet id or 0, topic, body] that go until they are acknowledged
        self._unreported = {}
        self._outcomes = []  # (task id, lease token, body) of the last tasks
        self._running = None  # (task id, lease token, generator)
        self._waiting_tasks = []

    # -- joining

    @property
    def paired(self):
        """Whether this device has a token."""
        return bool(self._identity.get("token"))

    @property
    def waiting(self):
        """Messages that the hub does not have yet."""
        return len(self._ring)

    @property
    def busy(self):
        """Whether the hub does not know yet how a task ended, or what was reported: no time to go to sleep."""
        return bool(self._outbox or self._unreported or self._running or self._waiting_tasks)

    @property
    def dropped(self):
        """Messages that had to go for newer ones."""
        return self._ring.dropped

    def hello(self):
        """Make this device known. Raises Refused, OSError."""
        said = {"device_uid": self.uid}
        if self._firmware_version:
            said["firmware_version"] = self._firmware_version
        if not self.paired:
            said["pairing_key_hash"] = hexlify(hashlib.sha256(self._identity["key"].encode()).digest()).decode()
        return self._call("/devices/hello", said)

    def pair(self, code):
        """Hand in the code that the owner got; the token is kept. Raises Refused (404: wrong code), OSError."""
        said = {"device_uid": self.uid, "pairing_code": code, "pairing_key": self._identity["key"]}
        paired = self._call("/pairing/confirm", said)
        self._identity["id"] = paired["device_id"]
        self._identity["token"] = paired["device_token"]
        self._save()

    # -- what a program does

    def send(self, values):
        """Keep a message until the hub has it. Returns False when it is larger than the buffer or a packet."""
        data = json.dumps(values).encode()
        return len(data) + _AROUND < len(self._out) and self._ring.append(self._now(), data)

    def report(self, state):
        """Set these members of what the shadow says is reported. Raises ValueError when it is larger than a packet."""
        together = self._unreported.copy()
        together.update(state)
        if len(json.dumps(together)) + _AROUND > len(self._out):
            raise ValueError("the report is larger than packet_bytes")
        self._unreported = together

    def task(self, kind, handler):
        """`handler(payload)` does tasks of this type and answers their result; what it raises is why one failed.

        A generator is run one step for each `loop()`; the numbers that it yields are its progress in percent.
        """
        self._handlers[kind] = handler

    def loop(self):
        """Do what there is to do, without waiting for anything but a connection attempt."""
        now = self._now()
        if self._state == _CLOSED:
            if self.paired and now >= self._try_at:
                self._feed()
                self._open(now)
            return
        try:
            self._receive(now)
            if self._state == _OPEN:
                self._work()
                self._publish()
            self._keep_alive(self._now())
            self._flush()
        except OSError as error:
            self._close(error)

    def close(self):
        """Say goodbye: the hub takes the silence that follows for intended."""
        if self._socket is not None:
            try:
                self._socket.write(b"\xe0\x00")
            except OSError:
                pass
            self._close(None)

    # -- the connection

    def _open(self, now):
        # Until it is known otherwise this try has failed.
        ceiling = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS << min(self._failures, 7))
        self._failures += 1
        self._try_at = now + int.from_bytes(os.urandom(2), "little") * ceiling // 65535
        try:
            if self._hub_ms is None or now - self._asked_ms > UNSURE_AFTER_MS:
                self._ask_time()
            self._socket = self._connect(self._port)
            self._socket.setblocking(False)
        except (OSError, ValueError, Refused) as error:
            self._close(error)
            return
        name = str(self._identity["id"])
        self._unsent = 0
        head = _text("MQTT") + b"\x04\xc2" + _KEEP_ALIVE_S.to_bytes(2, "big")
        self._write(0x10, head, _text("mpy-" + name), _text(name), _text(self._identity["token"]))
        self._have = self._skip = 0
        self._state = _GREETING
        self._heard_at = self._sent_at = self._now()

    def _connect(self, port):
        error = OSError(errno.EHOSTUNREACH)
        for address in socket.getaddrinfo(self.host, port, 0, socket.SOCK_STREAM):
            plain = socket.socket(address[0])
            self._feed()
            try:
                plain.settimeout(self._timeout_s)
                plain.connect(address[-1])
                self._feed()
                return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=self.host)
            except (OSError, ValueError) as failure:
                plain.close()
                error = failure
        raise error

    def _close(self, error):
        self.connected = False
        self._state = _CLOSED
        self._under_way = None
        for waiting in self._outbox:
            waiting[0] = 0
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.error = error

    def _receive(self, now):
        """Read what has come, and hand on whole packets."""
        buffer = memoryview(self._in)
        while True:
            got = self._socket.readinto(buffer[: self._skip] if self._skip else buffer[self._have :])
            if got is None:
                return
            if got == 0:
                raise OSError(errno.ECONNRESET)
            self._heard_at = now
            if self._skip:
                self._skip -= got
                continue
            self._have += got
            self._take_packets()

    def _take_packets(self):
        while self._have >= 2:
            length, shift, at = 0, 0, 1
            while True:
                if at >= self._have:
                    return
                length |= (self._in[at] & 0x7F) << shift
                shift += 7
                at += 1
                if not self._in[at - 1] & 0x80:
                    break
            end = at + length
            if end > len(self._in):
                if self._have == len(self._in):
                    self._refuse_large(at)
                    self._skip = end - self._have
                    self._have = 0
                return
            if self._have < end:
                return
            self._packet(self._in[0], memoryview(self._in)[at:end])
            self._in[: self._have - end] = self._in[end : self._have]
            self._have -= end

    def _packet(self, kind, body):
        if kind >> 4 == 2:
            if body[1]:
                raise OSError(errno.EACCES)
            base = "devices/%d/" % self._identity["id"]
            self._write(0x82, b"\x00\x01", _text(base + "tasks"), b"\x01", _text(base + "shadow/delta"), b"\x01")
        elif kind >> 4 == 9:
            self.connected = True
            self._state = _OPEN
        elif kind >> 4 == 13:
            self._failures = 0
        elif kind >> 4 == 4:
            # Not before: a hub that finds this device too busy lets it in, and hangs up at its first message.
            self._failures = 0
            self._acknowledged(int.from_bytes(body[:2], "big"))
        elif kind >> 4 == 3:
            size = int.from_bytes(body[:2], "big")
            topic, at = bytes(body[2 : 2 + size]), 2 + size
            if kind & 6:
                self._write(0x40, body[at : at + 2])
                at += 2
            self._message(topic, bytes(body[at:]))

    def _write(self, kind, *parts):
        """A packet, in parts: joining them first would need all of their memory once more."""
        length, head = sum(len(part) for part in parts), [kind]
        while length > 127:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        for part in (bytes(head),) + parts:
            self._out[self._unsent : self._unsent + len(part)] = part
            self._unsent += len(part)

    def _flush(self):
        while self._unsent:
            sent = self._socket.write(memoryview(self._out)[: self._unsent])
            if not sent:
                return
            self._out[: self._unsent - sent] = self._out[sent : self._unsent]
            self._unsent -= sent
            self._sent_at = self._now()

    def _keep_alive(self, now):
        if now - self._heard_at > 1500 * _KEEP_ALIVE_S:
            raise OSError(errno.ETIMEDOUT)
        if self._state == _OPEN and now - self._sent_at > 500 * _KEEP_ALIVE_S and not self._unsent:
            self._write(0xC0)

    # -- messages out

    def _publish(self):
        if self._unsent:
            return
        if self._unreported:
            self._post("shadow/reported", json.dumps(self._unreported))
            self._unreported = {}
        for waiting in self._outbox:
            if not waiting[0]:
                waiting[0] = self._put(waiting[1], waiting[2].encode())
                return
        if self._under_way is None and len(self._ring):
            parts = [b"["]
            batch = self._ring.oldest(_BATCH_MESSAGES, _BATCH_BYTES)
            for number, stamp, data in batch:
                # In the hub's time, whatever this board believes of the date.
                moment = self._hub_ms + stamp
                parts.append(b'{"ts":%d,"message_id":"%s-%d","payload":' % (moment, self._origin, number))
                parts.append(data)
                parts.append(b"},")
            parts[-1] = b"}]"
            self._under_way = (self._put("telemetry", *parts), batch[-1][0])

    def _put(self, leaf, *parts):
        self._packet_id = self._packet_id % 65535 + 1
        topic = _text("devices/%d/%s" % (self._identity["id"], leaf))
        self._write(0x32, topic, self._packet_id.to_bytes(2, "big"), *parts)
        return self._packet_id

    def _post(self, leaf, body):
        self._outbox.append([0, leaf, body])

    def _acknowledged(self, packet_id):
        if self._under_way is not None and self._under_way[0] == packet_id:
            while len(self._ring) and self._ring.number <= self._under_way[1]:
                self._ring.pop()
            self._under_way = None
        self._outbox = [waiting for waiting in self._outbox if waiting[0] != packet_id]

    # -- tasks and shadow

    def _message(self, topic, body):
        try:
            said = json.loads(body)
        except ValueError:
            return
        if topic.endswith(b"/tasks"):
            self._task_came(said)
        elif topic.endswith(b"/shadow/delta") and self.wanted is not None and said["delta"]:
            try:
                done = self.wanted(said["delta"])
            except Exception as error:
                done = {"error": repr(error)}
            if done:
                self.report(done)

    def _task_came(self, said):
        if said["status"] == "cancelled":
            self._waiting_tasks = [task for task in self._waiting_tasks if task["id"] != said["id"]]
            if self._running is not None and self._running[0] == said["id"]:
                self._running[2].close()
                self._running = None
            return
        for task_id, lease, body in self._outcomes:
            if (task_id, lease) == (said["id"], said["lease_token"]):
                # It was done, and the connection ended before the hub knew.
                if not any(waiting[1] == "tasks/%d/complete" % task_id for waiting in self._outbox):
                    self._post("tasks/%d/complete" % task_id, body)
                return
        known = [task["id"] for task in self._waiting_tasks]
        if self._running is not None:
            known.append(self._running[0])
        if said["id"] not in known:
            self._waiting_tasks.append(said)

    def _work(self):
        if self._running is None:
            if not self._waiting_tasks:
                return
            task = self._waiting_tasks.pop(0)
            self._begin(task["id"], task["lease_token"], task["type"], task["payload"])
            return
        task_id, lease, steps = self._running
        try:
            percent = next(steps)
        except StopIteration as end:
            self._end(task_id, lease, "done", end.value)
        except Exception as error:
            self._end(task_id, lease, "failed", {"error": repr(error)})
        else:
            if percent is not None and self._running is not None:
                said = json.dumps({"percent": percent, "lease_token": lease})
                self._post("tasks/%d/progress" % task_id, said)

    def _begin(self, task_id, lease, kind, payload):
        handler = self._handlers.get(kind)
        if handler is None:
            self._end(task_id, lease, "failed", {"error": "This device knows no tasks of the type %s." % kind})
            return
        self._feed()
        try:
            result = handler(payload)
        except Exception as error:
            self._end(task_id, lease, "failed", {"error": repr(error)})
            return
        if hasattr(result, "send"):
            self._running = (task_id, lease, result)
        else:
            self._end(task_id, lease, "done", result)

    def _end(self, task_id, lease, status, result):
        self._running = None
        body = json.dumps({"status": status, "result": result, "lease_token": lease})
        if len(body) + _AROUND > len(self._out):
            reason = {"error": "Its result has %d bytes, which is too much for this device." % len(body)}
            body = json.dumps({"status": "failed", "result": reason, "lease_token": lease})
        self._outcomes = self._outcomes[1 - _REMEMBERED_TASKS :] + [(task_id, lease, body)]
        # What it had to say on the way is of no interest any more.
        progress = "tasks/%d/progress" % task_id
        self._outbox = [waiting for waiting in self._outbox if waiting[1] != progress]
        self._post("tasks/%d/complete" % task_id, body)

    def _refuse_large(self, at):
        """A task that does not fit in memory is refused by its number, which stands at its beginning."""
        head = bytes(self._in[at : at + 120])
        start = head.find(b'{"id":')
        if start < 0 or b"/tasks" not in head[:start]:
            return
        number = head[start + 6 : head.find(b",", start)]
        lease = bytes(self._in).find(b'"lease_token":"')
        token = bytes(self._in)[lease + 15 : lease + 120].split(b'"')[0].decode() if lease >= 0 else None
        self._end(int(number), token, "failed", {"error": "It is larger than %d bytes." % len(self._in)})

    # -- HTTP, for what comes before the connection

    def _ask_time(self):
        answer = self._call("/devices/%d/heartbeat" % self._identity["id"], {})
        year, month, day, hour, minute, second = (
            int(answer["server_time"][at : at + 2]) for at in (2, 5, 8, 11, 14, 17)
        )
        days = 365 * (year + 30) + (year + 31) // 4 + (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)[month - 1]
        days += day - 1 + (1 if year % 4 == 0 and month > 2 else 0)
        milliseconds = int(answer["server_time"][20:23])
        self._asked_ms = self._now()
        self._hub_ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milliseconds - self._asked_ms

    def _call(self, path, said):
        """POST and answer the decoded JSON. Raises Refused, OSError."""
        body = json.dumps(said)
        self._feed()
        stream = self._connect(self._http_port)
        try:
            stream.write(b"POST /api/v1%s HTTP/1.0\r\nHost: %s\r\n" % (path.encode(), self.host.encode()))
            if self.paired:
                stream.write(b"X-Device-Token: %s\r\n" % self._identity["token"].encode())
            stream.write(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            stream.write(body.encode())
            head, length = stream.readline(), 0
            if not head.startswith(b"HTTP/"):
                raise OSError(errno.ECONNRESET)
            while True:
                self._feed()
                line = stream.readline().lower()
                if not line.strip():
                    break
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            body = stream.read(length)
        finally:
            stream.close()
        status = int(head[9:12])
        try:
            document = json.loads(body)
        except ValueError:
            document = {}
        if status >= 500 or status == 429:
            raise OSError(errno.EAGAIN)
        if status >= 400:
            raise Refused(status, document.get("detail", ""))
        return document

    # -- what is kept in flash

    def _load(self):
        try:
            with open(self._file) as stream:
                identity = json.load(stream)
        except (OSError, ValueError):
            identity = {"uid": self.uid, "key": hexlify(os.urandom(32)).decode()}
            self._identity = identity
            self._save()
        if identity["uid"] != self.uid:
            raise ValueError("%s belongs to the device %s" % (self._file, identity["uid"]))
        return identity

    def _save(self):
        with open(self._file + ".new", "w") as stream:
            json.dump(self._identity, stream)
        try:
            os.rename(self._file + ".new", self._file)
        except OSError:
            # FAT does not replace a file by renaming another one.
            os.remove(self._file)
            os.rename(self._file + ".new", self._file)

    def _now(self):
        """Milliseconds since the start, which do not turn back as ticks do after twelve days."""
        ticks = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._uptime_ms


def _text(text):
    return len(text).to_bytes(2, "big") + text.encode()


def _tls(ca, insecure):
    import ssl  # not all boards have it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        if ca.startswith(b"-----"):
            # Not every board reads the textual form itself.
            ca = a2b_base64(b"".join(ca.split(b"-----")[2].split()))
        context.load_verify_locations(cadata=ca)
        context.verify_mode = ssl.CERT_REQUIRED
    elif insecure:
        context.verify_mode = ssl.CERT_NONE
    else:
        raise ValueError("TLS needs the certificate of the hub's authority (ca=), or insecure=True")
    return context
