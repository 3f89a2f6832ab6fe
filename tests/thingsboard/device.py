"""A device on ThingsBoard's own client library, in a process of its own: the library brings a paho of its own.

Started with port and token; takes one JSON list a line, `[method, argument…]`, and tells what it hears as JSON lines.
"""

import json
import sys
import threading
from typing import Any

from tb_device_mqtt import TBDeviceMqttClient


def tell(what: str, *said: Any) -> None:
    """One line for whoever started this."""
    print(json.dumps([what, *said]), flush=True)  # noqa: T201 - it is how this process speaks


def main(port: int, token: str) -> None:
    """Until standard input ends."""
    client = TBDeviceMqttClient("127.0.0.1", port, username=token)

    def on_rpc(request_id: str, body: Any) -> None:
        tell("rpc", body)
        answer = {"error": "It will not."} if body["method"] == "fail" else {"method": body["method"], "ok": True}
        client.send_rpc_reply(request_id, answer)

    client.set_server_side_rpc_request_handler(on_rpc)
    client.connect()
    # The library's own callback is set after the connection is begun, and may miss it.
    while not client.is_connected():
        threading.Event().wait(0.01)
    tell("connected", True)
    client.subscribe_to_all_attributes(lambda content, _error: tell("attributes", content))
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        if method == "request":
            client.request_attributes(*arguments, callback=lambda content, _error: tell("answer", content))
        elif method == "call":
            client.send_rpc_call(*arguments, lambda _id, content, _error: tell("called", content))
        elif method == "limits":
            tell("limits", client.rate_limits_received, client.max_payload_size)
        else:
            info = getattr(client, method)(*arguments)
            tell("sent", info.get() if info is not None else None)
    client.disconnect()
    client.stop()


main(int(sys.argv[1]), sys.argv[2])
