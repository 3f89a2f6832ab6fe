"""Answers that break off, or that come from something else than a hub: nothing counts as done, and nothing crashes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from roost_device.errors import NotNow
from roost_device.hub import Hub
from roost_device.identity import Identity
from roost_device.joining import say_hello

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[Hub]:
    """A hub that gives this answer to its one request and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        hub = Hub(f"http://127.0.0.1:{server.getsockname()[1]}")
        try:
            yield hub
        finally:
            hub.close()
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        _HEAD + b'Content-Length: 50\r\n\r\n{"device_id": 7',
        _HEAD + b"Content-Length: 50\r\n\r\n",
        _HEAD + b'Transfer-Encoding: chunked\r\n\r\n20\r\n{"device_id": 7',
        _HEAD + b"Content-Length: 0\r\n\r\n",
        _HEAD + b"Content-Length: 15\r\n\r\n<html>Hi!</html",
        _HEAD + b"Content-Length: 7\r\n\r\n[1,2,3]",
        b"",
    ],
)
def test_half_a_hello_is_none(answer: bytes) -> None:
    with answering(answer) as hub, pytest.raises(NotNow):
        say_hello(hub, Identity("kitchen", "k" * 64))
