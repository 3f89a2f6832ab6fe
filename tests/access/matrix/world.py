"""One hub with two organizations in it, set up once, and what the matrix asks for."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access.models import GrantRow, User
from roost.core.clock import SystemClock
from tests.access.matrix.callers import PASSWORD, Caller, new_device, newcomer, person
from tests.access.matrix.stored import on_database
from tests.roost_server import RoostServer

_numbers = itertools.count(1)


@dataclass
class World:
    """Organization A with one of every role, organization B with its owner, and those who see both."""

    server: RoostServer
    callers: dict[str, Caller]
    ids: dict[str, Any]
    annex_id: int
    spares: "Spares"
    bystander: Caller = field(repr=False)
    mixed: dict[str, Caller] = field(default_factory=dict)

    @property
    def owner(self) -> Caller:
        """The owner of A."""
        return self.callers["own"]

    @property
    def organization_id(self) -> int:
        """A."""
        found: int = self.ids["organization_id"]
        return found

    @property
    def home_id(self) -> int:
        """The first home of A, in which everything stands."""
        found: int = self.ids["home_id"]
        return found

    def colleague(self, name: str, role: str, **fields: Any) -> Caller:
        """Somebody new in A, signed in."""
        return _colleague(self.owner, self.organization_id, name, role, **fields)


class Spares:
    """Throw-away things of A, one of each kind waiting: what nobody managed to use up serves the next caller too."""

    def __init__(self, owner: Caller, organization_id: int, home_id: int) -> None:
        self._owner, self._organization_id, self._home_id = owner, organization_id, home_id
        self._waiting: dict[str, Any] = {}
        self._taken: set[str] = set()

    def take(self, kind: str) -> Any:
        """The thing itself, as the hub described it when it was made."""
        if kind not in self._waiting:
            makers: dict[str, Callable[[], Any]] = {
                "home": self._home, "room": self._room, "resident": self._resident, "device": self._device,
                "user": lambda: self._user("viewer"), "owner": lambda: self._user("owner"),
                "technician": lambda: self._user("technician"), "assignment": self._assignment,
                "invitation": self._invitation, "organization": self._organization, "unclaimed": self._unclaimed,
                "code": self._code, "reset": self._reset, "policy": self._policy,
                "bridge": self._bridge,
            }  # fmt: skip
            self._waiting[kind] = makers[kind]()
        self._taken.add(kind)
        return self._waiting[kind]

    def settle(self, *, used_up: bool) -> None:
        """A request has been answered; if it succeeded, what it was about is not good for another one."""
        if used_up:
            for kind in self._taken:
                del self._waiting[kind]
        self._taken.clear()

    def _home(self) -> Any:
        return self._owner.make("/homes", {"name": _name("home"), "organization_id": self._organization_id})

    def _room(self) -> Any:
        return self._owner.make(f"/homes/{self._home_id}/rooms", {"name": _name("room")})

    def _resident(self) -> Any:
        return self._owner.make("/residents", {"full_name": _name("resident"), "home_id": self._home_id})

    def _device(self) -> Any:
        return self._owner.make("/devices", {"name": _name("device"), "home_id": self._home_id})

    def _user(self, role: str) -> Any:
        """Without an invitation, of which nobody may send so many."""
        name, now = _name(role), SystemClock().now()
        email = f"{name}@example.org"
        user = User(
            username=name, username_key=name, email=email, email_key=email, is_active=True,
            created_at=now, updated_at=now,
        )  # fmt: skip

        async def insert(session: AsyncSession) -> int:
            session.add(user)
            await session.flush()
            place = self._organization_id
            session.add(GrantRow(user_id=user.id, role=role, organization_id=place, created_at=now))
            return user.id

        return {"id": on_database(self._owner.server, insert)}

    def _assignment(self) -> Any:
        technician = self._user("technician")
        return self._owner.make("/assignments", {"user_id": technician["id"], "home_id": self._home_id})

    def _invitation(self) -> Any:
        wanted = {"email": f"{_name('guest')}@example.org", "role": "viewer"}
        made = self._owner.make(f"/organizations/{self._organization_id}/invitations", wanted)
        return made | {"token": made["accept_url"].partition("#")[2]}

    def _organization(self) -> Any:
        return self._owner.make("/organizations", {"name": _name("organization")})

    def _unclaimed(self) -> Any:
        uid = _name("newcomer")
        Caller("anon", self._owner.http, self._owner.server).make("/devices/hello", {"device_uid": uid})
        return {"device_uid": uid}

    def _code(self) -> Any:
        return self._owner.make("/pairing/start", {**self._unclaimed(), "home_id": self._home_id})

    def _policy(self) -> Any:
        wanted = {"organization_id": self._organization_id, "key_pattern": _name("key"), "keep_days": 365}
        return self._owner.make("/retention-policies", wanted)

    def _bridge(self) -> Any:
        return self._owner.make("/bridges", bridge_to_nowhere(self._organization_id))

    def _reset(self) -> Any:
        made = self._owner.make(f"/users/{self._user('viewer')['id']}/password-reset")
        return {"token": made["reset_url"].partition("#")[2]}


def build(server: RoostServer, http: httpx2.Client) -> World:
    """Set everything up."""
    admin = Caller("admin", http, server, email=server.admin_email, password=server.admin_password).sign_in()
    owner, stranger = newcomer(http, server, "own"), newcomer(http, server, "fown")
    organization_id, home_id = _place_of(owner)
    other_home = owner.make("/homes", {"name": "Cabin", "organization_id": organization_id})["id"]
    room_id = owner.make(f"/homes/{home_id}/rooms", {"name": "Kitchen"})["id"]
    resident = {"full_name": "Ada", "home_id": home_id, "room_id": room_id, "audio_consent": True}
    resident_id = owner.make("/residents", resident)["id"]
    device = new_device(owner, "dev", home_id=home_id, room_id=room_id)
    foreign_device = new_device(stranger, "fdev", home_id=_place_of(stranger)[1])
    event = {"event_type": "boot", "payload": {"temp_c": 21.5}}
    event_id = device.make("/telemetry", event)["ids"][0]
    device.make(f"/devices/{device.device_id}/logs", {"message": "Hello"})
    owner.ask("PUT", f"/devices/{device.device_id}/shadow", json={"desired": {"led": True}})
    colleagues = {
        "view": _colleague(owner, organization_id, "view", "viewer"),
        "edit": _colleague(owner, organization_id, "edit", "editor"),
        "tech": _colleague(owner, organization_id, "tech", "technician"),
        "idle": _colleague(owner, organization_id, "idle", "technician"),
    }
    assignment = owner.make("/assignments", {"user_id": colleagues["tech"].user_id, "home_id": home_id})
    owner.make("/assignments", {"user_id": colleagues["idle"].user_id, "home_id": other_home})
    invitation = {"email": "invited@example.org", "role": "viewer"}
    admin.make("/admin/users", {"email": "staff@example.org", "password": PASSWORD, "role": "staff"})
    policy = {"organization_id": organization_id, "key_pattern": "debug.*", "keep_days": 365}
    task = {"type": "blink", "execution_context_key": "kept"}
    # One to be told of, one to be completed: whatever order that is tried in.
    leased = {}
    for context in ("held", "done"):
        owner.make(f"/devices/{device.device_id}/tasks", {"type": "blink", "execution_context_key": context})
        leased[context] = device.make(f"/tasks/poll?context_key={context}&lease_seconds=600")[0]["id"]
    bulk = {"type": "blink", "execution_context_key": "kept", "devices": {"device_ids": [device.device_id]}}
    ids = {
        "task_id": owner.make(f"/devices/{device.device_id}/tasks", task)["id"],
        "bulk_id": owner.make("/tasks/bulk", bulk)["id"],
        "held_task_id": leased["held"],
        "done_task_id": leased["done"],
        "policy_id": owner.make("/retention-policies", policy)["id"],
        "bridge_id": owner.make("/bridges", bridge_to_nowhere(organization_id))["id"],
        "organization_id": organization_id, "home_id": home_id, "room_id": room_id, "resident_id": resident_id,
        "device_id": device.device_id, "event_id": event_id, "assignment_id": assignment["id"],
        "invitation_id": owner.make(f"/organizations/{organization_id}/invitations", invitation)["id"],
        "user_id": colleagues["view"].user_id, "other_home_id": other_home,
    }  # fmt: skip
    everybody = {
        "anon": Caller("anon", http, server), "dev": device, "fdev": foreign_device, "own": owner,
        "staff": person(http, server, "staff", "staff@example.org"), "admin": admin, "fown": stranger, **colleagues,
    }  # fmt: skip
    annex = owner.make("/organizations", {"name": "Annex"})["id"]
    spares = Spares(owner, organization_id, home_id)
    return World(server, everybody, ids, annex, spares, newcomer(http, server, "bystander"))


def _colleague(owner: Caller, organization_id: int, name: str, role: str, **fields: Any) -> Caller:
    wanted = {"email": f"{name}@example.org", "password": PASSWORD, "role": role, "organization_id": organization_id}
    owner.make("/users", wanted | fields)
    return person(owner.http, owner.server, name, wanted["email"])  # type: ignore[arg-type]


def _place_of(owner: Caller) -> tuple[int, int]:
    profile = owner.get("/users/me")
    return profile["organizations"][0]["id"], profile["homes"][0]["id"]


def bridge_to_nowhere(organization_id: int) -> dict[str, Any]:
    """A bridge that connects to nobody."""
    return {"organization_id": organization_id, "name": _name("bridge"), "url": "mqtt://127.0.0.1", "enabled": False}


def _name(kind: str) -> str:
    return f"{kind}-{next(_numbers)}"
