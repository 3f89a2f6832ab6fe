"""The device's shadow: what its owner wants of it, and what it says it has done about that."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from roost_device.backoff import Backoff
from roost_device.errors import NotNow, Refused, TokenRefused
from roost_device.hub import Hub
from roost_device.sending import TOKEN_REFUSED_PAUSE_S

LOOK_EVERY_S = 30.0

_log = logging.getLogger(__name__)

# Gets what is wanted and not yet so; answers what of it is so now, to be reported.
DeltaHandler = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class Shadow:
    """Reports in the background, and hands every new delta to `on_delta` once.

    Without a connection that tells of changes the hub is asked every `look_every_s`. What was reported is kept in
    memory only: a device knows its own state, and reports it when it starts.
    """

    def __init__(
        self, hub: Hub, device_id: int, stopped: threading.Event, on_delta: DeltaHandler | None, look_every_s: float
    ) -> None:
        self._hub = hub
        self._path = f"/devices/{device_id}/shadow"
        self._stopped = stopped
        self._on_delta = on_delta
        self._look_every_s = look_every_s
        self._news = threading.Condition()
        self._unreported: dict[str, Any] = {}
        self._look = on_delta is not None
        self._handled_version = -1

    def report(self, state: Mapping[str, Any]) -> None:
        """Members to be merged into what is reported (RFC 7396: null removes).

        Raises TypeError, ValueError: it is no JSON.
        """
        copy: dict[str, Any] = json.loads(json.dumps(dict(state), allow_nan=False))
        with self._news:
            _combine(self._unreported, copy)
            self._news.notify_all()

    def changed(self) -> None:
        """Something is wanted, perhaps: look at it now. Called by the connection that was told so, and at the end."""
        with self._news:
            self._look = self._on_delta is not None
            self._news.notify_all()

    def run(self) -> None:
        """Until `stopped` is set; call `changed()` then."""
        backoff = Backoff(longest_s=60.0)
        while not self._stopped.is_set():
            try:
                self._step()
            except NotNow as error:
                _log.debug("%s", error)
                self._stopped.wait(backoff.pause_s(error.retry_after_s))
            except TokenRefused:
                self._stopped.wait(TOKEN_REFUSED_PAUSE_S)
            except Refused as error:
                _log.warning("The hub does not take the shadow: %s", error)
                self._stopped.wait(self._look_every_s)
            else:
                backoff.reset()

    def _step(self) -> None:
        with self._news:
            told = self._news.wait_for(
                lambda: self._unreported or self._look or self._stopped.is_set(), self._look_every_s
            )
            look = self._on_delta is not None and (self._look or not told)
            self._look = False
        if self._stopped.is_set():
            return
        try:
            if self._unreported:
                self._send_report()
            if look:
                self._handle_delta()
        except NotNow:
            self._look = look
            raise

    def _send_report(self) -> None:
        with self._news:
            patch, self._unreported = self._unreported, {}
        try:
            self._hub.call("PATCH", self._path, {"reported": patch})
        except (NotNow, TokenRefused):
            with self._news:
                newer, self._unreported = self._unreported, patch
                _combine(self._unreported, newer)
            raise

    def _handle_delta(self) -> None:
        _, shadow = self._hub.call("GET", self._path)
        if self._on_delta is None or not shadow["delta"] or shadow["desired_version"] == self._handled_version:
            return
        self._handled_version = shadow["desired_version"]
        try:
            done = self._on_delta(shadow["delta"])
        except Exception:  # noqa: BLE001 - somebody else's code; the owner sees that the delta stays
            _log.exception("What is wanted could not be done: %s", shadow["delta"])
            return
        if done:
            self.report(done)


def _combine(patch: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Make `patch` what `patch` and then `newer` would do; unlike merging, a null stays, since it removes something."""
    for name, value in newer.items():
        before = patch.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            _combine(before, value)
        else:
            patch[name] = value
