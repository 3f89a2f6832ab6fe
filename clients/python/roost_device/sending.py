"""The thread that empties the spool: whatever happens to the hub, a message stays until it is acknowledged."""

import json
import logging
import sqlite3
import threading
from typing import Protocol

from roost_device.backoff import Backoff
from roost_device.errors import NotNow, Refused, TokenRefused
from roost_device.hub import Hub
from roost_device.spool import Spool, Spooled

# Somebody who pairs the device again restarts it; until then there is no use in asking often.
TOKEN_REFUSED_PAUSE_S = 60.0
_ONE_BY_ONE = frozenset({400, 413, 422})
# MQTT tells the reason in words only.
_ABOUT_TIME = frozenset({"time_too_early", "time_in_future", ""})

_log = logging.getLogger(__name__)


class Carrier(Protocol):
    """A way to the hub for messages."""

    def deliver(self, body: bytes) -> None:
        """Returns when the hub has all of `body`, a JSON list of messages, on disk.

        Raises NotNow, Refused: it has none.
        """


class HttpCarrier:
    """POST /telemetry."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def deliver(self, body: bytes) -> None:
        """See Carrier."""
        self._hub.call("POST", "/telemetry", body)


class Sender:
    """Sends what is in the spool through a carrier, in order, in batches when much has gathered."""

    def __init__(self, spool: Spool, carrier: Carrier, stopped: threading.Event) -> None:
        self._spool = spool
        self._carrier = carrier
        self._stopped = stopped
        self._backoff = Backoff()
        self._failing = False

    def run(self) -> None:
        """Until `stopped` is set; call `spool.wake()` then."""
        while not self._stopped.is_set():
            if not self._spool.wait_for_messages(self._stopped):
                continue
            try:
                self.send_some()
            except NotNow as error:
                self._pause(str(error), self._backoff.pause_s(error.retry_after_s))
            except TokenRefused as error:
                self._pause(f"{error} Nothing is lost: pair the device again.", TOKEN_REFUSED_PAUSE_S)
            except sqlite3.Error as error:
                # What was sent and could not be removed is sent again, and known by its message_id.
                self._pause(f"The disk does not work: {error}", self._backoff.pause_s())
            else:
                self._backoff.reset()
                if self._failing:
                    self._failing = False
                    _log.info("The hub takes messages again.")

    def send_some(self) -> None:
        """One batch. Raises NotNow, TokenRefused: all of it is still in the spool."""
        batch = self._spool.oldest()
        if not batch:
            return
        try:
            self._carrier.deliver(b"[" + b",".join(message.body for message in batch) + b"]")
        except TokenRefused:
            raise
        except Refused as error:
            if error.status not in _ONE_BY_ONE:
                # It says nothing about the messages (a proxy, a plan's quota), and may be over tomorrow.
                raise NotNow(str(error)) from error
            # A batch is taken whole or not at all: one message that is no good must not hold up the others.
            for message in batch:
                self._send_alone(message)
            return
        self._spool.remove(batch)

    def _send_alone(self, message: Spooled) -> None:
        try:
            self._deliver_at_any_time(message.body)
        except TokenRefused:
            raise
        except Refused as error:
            if error.status not in _ONE_BY_ONE:
                raise NotNow(str(error)) from error
            _log.error("The hub will never take this message, so it is dropped: %s: %s", error, message.body[:500])
        self._spool.remove([message])

    def _deliver_at_any_time(self, body: bytes) -> None:
        try:
            self._carrier.deliver(b"[" + body + b"]")
        except Refused as error:
            message = json.loads(body)
            if error.status != 422 or error.code not in _ABOUT_TIME or "ts" not in message:
                raise
            # This machine's clock was not set. Told at the time of its arrival it is worth more than not at all.
            _log.warning("The hub does not believe this machine's clock: %s", error)
            del message["ts"]
            self._carrier.deliver(json.dumps([message], separators=(",", ":")).encode())

    def _pause(self, why: str, pause_s: float) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("Messages wait on disk (%d): %s", len(self._spool), why)
        self._stopped.wait(pause_s)
