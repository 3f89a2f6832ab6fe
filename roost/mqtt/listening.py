"""Sockets to listen on, and the limits of the operating system around them."""

import contextlib
import resource
import socket
import ssl

from roost.core.settings import Settings

TLS_PORT = 8883
BACKLOG = 4096
# A peer that vanished without a FIN is noticed after this long, also with a keep-alive of 0.
_PROBE_AFTER_S = 300
_PROBE_EVERY_S = 30
_PROBES = 4
_MOST_FILES = 262_144


def listening_port(settings: Settings) -> int:
    """The port to listen on; with TLS and without a port of its own, the one registered for MQTT over TLS."""
    if settings.tls and "mqtt_port" not in settings.model_fields_set:
        return TLS_PORT
    return settings.mqtt_port


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of `host`, all on one port (0: a free one).

    TCP keep-alive is set here because accepted sockets inherit it: no call and no timer per connection.
    Raises OSError, for a taken port too.
    """
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, (address, _, *more) in dict.fromkeys(found):
            free = sockets[0].getsockname()[1] if sockets and port == 0 else port
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            _prepare(one)
            one.bind((address, free, *more))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _prepare(one: socket.socket) -> None:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _PROBE_AFTER_S), ("TCP_KEEPINTVL", _PROBE_EVERY_S), ("TCP_KEEPCNT", _PROBES)):
        if hasattr(socket, name):  # macOS calls the first one differently
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS side of the listener, None without a certificate. Raises OSError or ssl.SSLError for unusable files."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def raise_file_limit() -> None:
    """Every connection is an open file; the usual soft limit of 1,024 is for programs that have few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
