"""Calls to the hub over HTTP, on one kept connection for each thread."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

from roost_device.errors import NotNow, Refused, TokenRefused

TIMEOUT_S = 30.0
LARGEST_ANSWER_BYTES = 8 * 1024 * 1024
# The hub closes a connection that was quiet for a while, which is seen only when the next request is sent.
_GONE_QUIET = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)


class Hub:
    """Where the hub is, and as whom to speak to it.

    `ca` names a PEM file with the authority behind the hub's certificate, where the system does not know it. Raises
    ValueError when `url` is no address.
    """

    def __init__(self, url: str, token: str | None = None, ca: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"{url!r} is not the address of a hub; it looks like https://hub.example:8000.")
        self.url = url.rstrip("/")
        self.host = address.hostname
        self.token = token
        self._port = address.port
        self._path = address.path.rstrip("/") + "/api/v1"
        self.tls = ssl.create_default_context(cafile=ca) if address.scheme == "https" else None
        self._timeout_s = timeout_s
        self._kept = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._interrupted = False

    def call(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> tuple[int, Any]:
        """The status and the decoded answer of a request; `body` is sent as JSON, or as it is when it is bytes.

        Raises:
            NotNow: the hub did not answer, or asked to come back later.
            TokenRefused, Refused: it said no.
        """
        data = body if isinstance(body, bytes | None) else json.dumps(body, separators=(",", ":")).encode()
        try:
            status, headers, answer = self._exchange(method, self._path + path, data, timeout_s or self._timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise NotNow(f"The hub at {self.url} does not answer: {type(error).__name__}: {error}") from error
        try:
            document = json.loads(answer) if answer else None
        except ValueError as error:
            if status < 400:
                raise NotNow(f"What answers at {self.url} does not speak JSON.") from error
            document = None
        if status < 400:
            return status, document
        raise _problem(status, headers.get("Retry-After"), document)

    def interrupt(self) -> None:
        """Let all calls of all threads end with NotNow, until `resume()`."""
        self._interrupted = True
        for connection in list(self._open):
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections of all threads; the next call opens another one."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().close()

    def resume(self) -> None:
        """Calls are answered again."""
        self._interrupted = False

    def _drop(self) -> None:
        """Close this thread's connection; its next call opens another one."""
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        self._kept.connection = None
        if connection is not None:
            self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def _exchange(
        self, method: str, path: str, data: bytes | None, timeout_s: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is not None and connection in self._open:
            try:
                return self._ask(connection, method, path, data, timeout_s)
            except _GONE_QUIET:
                self._drop()
        connection = self._connect(timeout_s)
        self._kept.connection = connection
        self._open.add(connection)
        # After it was entered, so that an interruption at this moment finds the connection or is found here.
        if self._interrupted:
            raise ConnectionAbortedError("the program is being stopped")
        return self._ask(connection, method, path, data, timeout_s)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self.host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(self.host, self._port, timeout=timeout_s, context=self.tls)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, data: bytes | None, timeout_s: float
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["X-Device-Token"] = self.token
        if data is not None:
            headers["Content-Type"] = "application/json"
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        answer = response.read(LARGEST_ANSWER_BYTES)
        if response.length and len(answer) < LARGEST_ANSWER_BYTES:
            # Reading up to a limit passes an answer that broke off for a whole one.
            raise http.client.IncompleteRead(answer, response.length)
        if response.will_close or not response.isclosed():
            self._drop()
        return response.status, response.headers, answer


def _problem(status: int, retry_after: str | None, document: Any) -> NotNow | Refused:
    problem = document if isinstance(document, dict) else {}
    detail = str(problem.get("detail") or http.client.responses.get(status, "The hub refused it."))
    if status in {408, 425, 429} or status >= 500:
        return NotNow(f"{status} {detail}", float(retry_after) if retry_after and retry_after.isdecimal() else None)
    kind = TokenRefused if status == 401 else Refused
    return kind(status, str(problem.get("code", "")), detail)
