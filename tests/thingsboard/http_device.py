"""A device on ThingsBoard's own HTTP client, once through what it can do. Started with URL and token."""

import json
import sys

from tb_device_http import TBHTTPDevice


def main(url: str, token: str) -> None:
    """Prints one JSON list: whether it was let in, and its attributes."""
    device = TBHTTPDevice(url, token, "board")
    let_in = device.test_connection()
    device.send_telemetry({"t": 21.5}, queued=False)
    device.send_attributes({"fw": "1.0"})
    found = device.request_attributes(client_keys=["fw"], shared_keys=["rate"])
    print(json.dumps([let_in, found]))  # noqa: T201 - it is how this process speaks


main(sys.argv[1], sys.argv[2])
