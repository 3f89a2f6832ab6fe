"""Refused requests, seen in one place: whatever answers 401, 403, 404, 408, 413, 422 or 429 passes here."""

import json
import logging
from typing import Any, Protocol, runtime_checkable

from starlette.datastructures import Headers
from starlette.types import Scope

from roost.access.audit.journal import SIGN_IN_REFUSED, AuditJournal
from roost.access.audit.log import ANONYMOUS, Actor, Deed, only_organization
from roost.access.principals import UserPrincipal
from roost.core.ids import redact

_log = logging.getLogger(__name__)

CALLER = "roost.caller"
"""Key in the ASGI scope: who called, once that is known (a UserPrincipal, or a device)."""

SIGN_IN_NAME = "roost.sign_in_name"
"""Key in the ASGI scope: the name with which somebody wants to sign in."""

REFUSED = "request.refused"
_LONGEST_QUOTE = 200
# Codes of a 401 that somebody gets who has just not signed in, or only halfway.
_NO_CREDENTIAL = frozenset({"unauthorized", "no_refresh_token", "second_factor_required"})
_GUESSED = frozenset({"pairing_code_wrong"})
# What nobody sets about themselves; sent where it does not belong, it is a try to get rights.
_RIGHTS = frozenset(
    {
        "admin", "grants", "id", "is_active", "is_admin", "is_superuser", "organization_id", "password_hash",
        "role", "roles", "scope", "scopes", "user_id",
    }
)  # fmt: skip


@runtime_checkable
class KnownDevice(Protocol):
    """A device as its room knows it (`roost.devices.identities.DeviceIdentity`)."""

    device_id: int
    device_uid: str
    organization_id: int


class Refusals:
    """Tells the journal, once there is one, which refusals are worth remembering."""

    def __init__(self) -> None:
        self.journal: AuditJournal | None = None

    def __call__(self, scope: Scope, status: int, body: bytes) -> None:
        """An answer with this status and body is on its way. Never raises."""
        if self.journal is None:
            return
        try:
            problem = json.loads(body)
            if isinstance(problem, dict) and _matters(scope, status, problem):
                self.journal.note(_deed(scope, status, problem))
        except (ValueError, TypeError, KeyError, AttributeError):
            # An answer that is no problem document: the caller has got it all the same.
            _log.debug("A refusal was not understood", exc_info=True)


def _matters(scope: Scope, status: int, problem: dict[str, Any]) -> bool:
    code = str(problem.get("code"))
    if status == 401:
        return code not in _NO_CREDENTIAL or _has_credential(scope)
    if status == 404:
        return code in _GUESSED or (code.endswith("_not_found") and scope.get(CALLER) is not None)
    if status == 422:
        return bool(_wanted_rights(problem))
    return status in {403, 408, 413, 429}


def _has_credential(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "authorization" in headers or "x-device-token" in headers


def _wanted_rights(problem: dict[str, Any]) -> list[str]:
    errors = problem.get("errors") or []
    extra = [error["pointer"].rpartition("/")[2] for error in errors if error["detail"].startswith("Extra inputs")]
    return [name for name in extra if name in _RIGHTS]


def _deed(scope: Scope, status: int, problem: dict[str, Any]) -> Deed:
    code = str(problem.get("code"))
    details: dict[str, Any] = {
        "method": scope["method"],
        "path": redact(scope["roost.path"])[:_LONGEST_QUOTE],
        "status": status,
        "code": code,
    }
    if wanted := _wanted_rights(problem):
        details["fields"] = wanted
    origin = Headers(scope=scope).get("origin")
    if code == "origin_not_allowed" and origin is not None:
        details["origin"] = redact(origin)[:_LONGEST_QUOTE]
    actor, organization_id = _who(scope.get(CALLER))
    name = scope.get(SIGN_IN_NAME)
    if isinstance(name, str):
        typed = redact(name)[:_LONGEST_QUOTE]
        return Deed(SIGN_IN_REFUSED, actor, "refused", object_kind="user", object_name=typed, details=details)
    kind, object_id = _object(scope, code)
    return Deed(
        REFUSED, actor, "refused",
        organization_id=organization_id, object_kind=kind, object_id=object_id, details=details,
    )  # fmt: skip


def _who(caller: object) -> tuple[Actor, int | None]:
    """Who it was, and the organization that shall see it: the only one in which the caller acts."""
    if isinstance(caller, UserPrincipal):
        return Actor.of(caller), only_organization(caller.grants)
    if isinstance(caller, KnownDevice):
        return Actor("device", caller.device_id, caller.device_uid), caller.organization_id
    return ANONYMOUS, None


def _object(scope: Scope, code: str) -> tuple[str | None, str | None]:
    """What the address names last: `/organizations/3/members/7` is about user 7."""
    named = [(name.removesuffix("_id"), value) for name, value in scope.get("path_params", {}).items()]
    named = [(kind, str(value)) for kind, value in named if len(kind) <= 32]
    if code.endswith("_not_found"):
        missing = code.removesuffix("_not_found")
        return next((pair for pair in named if pair[0] == missing), (missing[:32], None))
    return named[-1] if named else (None, None)
