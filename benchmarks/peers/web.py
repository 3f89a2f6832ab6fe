"""One connection that stays open: what a client library adds would be measured with every peer."""

import http.client
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode


class Reply(NamedTuple):
    """The body, and the milliseconds until its last byte had come."""

    ms: float
    body: bytes


class Web:
    """Requests to one server on loopback, one after the other."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._headers = dict(headers or {})

    def get(self, path: str, **query: str | int) -> Reply:
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None, {})

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        return self._ask("POST", path, body, headers)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        began = time.perf_counter()
        self._connection.request(method, path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        if answer.status >= 300:
            raise AssertionError(f"{method} {path[:200]}: {answer.status} {content[:500]!r}")
        return Reply(took * 1000, content)
