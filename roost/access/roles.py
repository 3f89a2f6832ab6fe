"""The one table of roles: what each may do (scopes), and how far it reaches."""

from dataclasses import dataclass
from typing import Literal

Reach = Literal["organization", "homes", "all"]
RoleName = Literal["viewer", "editor", "owner", "technician", "staff", "admin"]


@dataclass(frozen=True, slots=True)
class Role:
    """A name for a set of scopes, what a grant of it is bound to, and whom its holder may appoint and dismiss there.

    `manages` is an order of trust, not of scopes: a technician writes telemetry, which no owner does by hand, and
    still an owner decides who is one.
    """

    scopes: frozenset[str]
    reach: Reach
    manages: frozenset[str] = frozenset()


def _both(*things: str) -> frozenset[str]:
    return frozenset(f"{thing}:{verb}" for thing in things for verb in ("read", "write"))


_VIEWER = frozenset({"users:read", "system:read", "devices:read", "telemetry:read", "alerts:read", "homes:read"})
_EDITOR = _VIEWER | {"users:write"} | _both("devices", "tasks", "alerts", "homes")
_OWNER = _EDITOR | _both("settings", "firmware", "billing", "organization")
_TECHNICIAN = _both("devices", "tasks", "alerts", "telemetry")
_STAFF = frozenset(scope for scope in _OWNER if scope.endswith(":read")) | {"alerts:write", "ops:read"}
_ADMIN = _OWNER | _TECHNICIAN | _STAFF | {"ops:write", "admin"}

ROLES: dict[str, Role] = {
    "viewer": Role(_VIEWER, "organization"),
    "editor": Role(_EDITOR, "organization", frozenset({"viewer", "editor", "technician"})),
    "owner": Role(_OWNER, "organization", frozenset({"viewer", "editor", "technician", "owner"})),
    "technician": Role(_TECHNICIAN, "homes"),
    "staff": Role(_STAFF, "all"),
    "admin": Role(_ADMIN, "all", frozenset({"viewer", "editor", "technician", "owner", "staff", "admin"})),
}

SCOPES: dict[str, str] = {
    "users:read": "Read user profiles and lists",
    "users:write": "Create, change and remove users",
    "system:read": "Read the state of this machine",
    "devices:read": "Read devices",
    "devices:write": "Register, pair, change and remove devices",
    "telemetry:read": "Read telemetry",
    "telemetry:write": "Write telemetry",
    "tasks:read": "Read tasks of devices",
    "tasks:write": "Give tasks to devices",
    "alerts:read": "Read alerts",
    "alerts:write": "Acknowledge, escalate and close alerts",
    "homes:read": "Read homes",
    "homes:write": "Create, change and remove homes",
    "settings:read": "Read contacts and policies",
    "settings:write": "Change contacts and policies",
    "firmware:read": "Read firmware releases",
    "firmware:write": "Release and deploy firmware",
    "billing:read": "Read the subscription",
    "billing:write": "Change the subscription",
    "organization:read": "Read the organization",
    "organization:write": "Change the organization and its members",
    "ops:read": "Read the state of the whole installation",
    "ops:write": "Run the whole installation",
    "admin": "Everything else that an administrator does",
}
