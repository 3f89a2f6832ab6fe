"""The demonstration that `roost seed` makes and clears away: an organization with people, homes and devices."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from roost.access import accounts
from roost.access.audit.log import SYSTEM, Deed, record
from roost.access.messages import tell_deactivated
from roost.access.models import GrantRow, Organization, User
from roost.access.names import unique_key
from roost.access.organizations.service import dissolve
from roost.access.principals import Grant, UserPrincipal
from roost.access.users.repository import Person, grants_of_all
from roost.access.users.standing import prepare_removal
from roost.core.clock import Clock
from roost.devices import registry
from roost.devices.belongings import HomesAndDevices
from roost.devices.deeds import REGISTERED, record_deed
from roost.devices.models import Device
from roost.devices.placement import Place
from roost.ops.models import HostRegistration
from roost.places import assignments, homes, residents
from roost.places.home_schemas import HomeCreate
from roost.places.resident_schemas import Contact, ResidentCreateHere

ORGANIZATION = "Roost demonstration"
# A domain that is reserved for examples: nobody gets mail by mistake.
_DOMAIN = "roost.example"


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody who can sign in; `everywhere`: the role counts in the whole installation."""

    role: str
    full_name: str
    everywhere: bool = False

    @property
    def email(self) -> str:
        return f"{self.role}@{_DOMAIN}"

    @property
    def username(self) -> str:
        return f"demo-{self.role}"


@dataclass(frozen=True, slots=True)
class DemoRoom:
    """A room, and the device that stands in it."""

    name: str
    device_name: str
    device_type: str
    device_uid: str


@dataclass(frozen=True, slots=True)
class DemoHome:
    """A home, who lives in the first of its rooms, and whom to call."""

    name: str
    timezone: str
    rooms: tuple[DemoRoom, ...]
    resident: str
    contact: str


@dataclass(frozen=True, slots=True)
class MadeDevice:
    """A device with the token that is shown once."""

    id: int
    uid: str
    token: str


PEOPLE = (
    DemoPerson("admin", "Demo administrator", everywhere=True),
    DemoPerson("owner", "Demo owner"),
    DemoPerson("technician", "Demo technician"),
    DemoPerson("staff", "Demo staff", everywhere=True),
)
HOMES = (
    DemoHome(
        "Lindenstraße 4",
        "Europe/Berlin",
        (
            DemoRoom("Living room", "Living room climate", "climate", "demo-climate-1"),
            DemoRoom("Kitchen", "Kitchen smoke detector", "smoke", "demo-smoke-1"),
        ),
        "Demo resident 1",
        "Demo contact 1",
    ),
    DemoHome(
        "Harbour View 12",
        "Europe/Dublin",
        (
            DemoRoom("Bedroom", "Bedroom microphone", "audio", "demo-audio-1"),
            DemoRoom("Hall", "Front door", "door", "demo-door-1"),
        ),
        "Demo resident 2",
        "Demo contact 2",
    ),
)


async def find_people(session: AsyncSession) -> list[User]:
    """Those of the demonstration's people who are there."""
    keys = [unique_key(person.email) for person in PEOPLE]
    return list(await session.scalars(select(User).where(User.email_key.in_(keys)).order_by(User.id)))


async def has_other_data(session: AsyncSession) -> bool:
    """Whether anybody but the first administrator uses this hub: other accounts, or devices besides this machine."""
    mine = [user.id for user in await find_people(session)]
    first_admin = select(GrantRow.user_id).where(GrantRow.role == "admin", GrantRow.user_id.not_in(mine))
    first_admin = first_admin.order_by(GrantRow.id).limit(1)
    user = select(User.id).where(User.id.not_in(mine), User.id.not_in(first_admin)).limit(1)
    own_machine = select(HostRegistration.device_uid)
    demo_devices = [room.device_uid for home in HOMES for room in home.rooms]
    device = select(Device.id).where(Device.device_uid.not_in(own_machine), Device.device_uid.not_in(demo_devices))
    return await session.scalar(user) is not None or await session.scalar(device.limit(1)) is not None


async def make(session: AsyncSession, clock: Clock, password_hash: str) -> list[MadeDevice]:
    """Everything anew; all four people have the same password. Raises Conflict for a name or uid that is taken."""
    organization = await accounts.create_organization(session, clock, ORGANIZATION)
    users: dict[str, User] = {}
    for person in PEOPLE:
        user = users[person.role] = await accounts.create_user(
            session,
            clock,
            email=person.email,
            username=person.username,
            full_name=person.full_name,
            password_hash=password_hash,
        )
        where = None if person.everywhere else organization.id
        await accounts.grant(session, clock, user_id=user.id, role=person.role, organization_id=where)
    # The rooms' own verbs, so that all their rules and notes hold; it was nobody who has an account.
    hand = UserPrincipal(0, "roost seed", "roost seed", None, (Grant("owner", organization.id),))
    made = [device for home in HOMES for device in await _make_home(session, clock, hand, home, users["technician"].id)]
    record(session, _deed("organization.seeded", organization, people=len(PEOPLE), devices=len(made)))
    return made


async def clear(session: AsyncSession, users: Sequence[User]) -> None:
    """Delete what `make` made, and what its people made for themselves alone.

    Raises Conflict when one of them has become the last owner of somebody else's organization, or the last admin.
    """
    belongings = HomesAndDevices()
    owned = select(GrantRow.organization_id).where(
        GrantRow.user_id.in_([user.id for user in users]), GrantRow.role == "owner"
    )
    own = select(Organization).where(Organization.name == ORGANIZATION, Organization.id.in_(owned))
    for organization in (await session.scalars(own)).all():
        await dissolve(session, belongings, SYSTEM, organization)
    grants = await grants_of_all(session, [user.id for user in users])
    for user in users:
        await prepare_removal(session, belongings, SYSTEM, Person(user, grants[user.id]))
        deed = Deed("user.deleted", SYSTEM, object_kind="user", object_id=user.id, object_name=user.email)
        record(session, deed)
        await session.execute(delete(User).where(User.id == user.id))
        tell_deactivated(session, user.id)


async def _make_home(
    session: AsyncSession, clock: Clock, hand: UserPrincipal, wanted: DemoHome, technician_id: int
) -> list[MadeDevice]:
    home = await homes.create(session, clock, hand, HomeCreate(name=wanted.name, timezone=wanted.timezone))
    rooms = [await homes.create_room(session, clock, hand, home, room.name) for room in wanted.rooms]
    resident = ResidentCreateHere(
        full_name=wanted.resident, room_id=rooms[0].id, contacts=[Contact(name=wanted.contact, relation="child")]
    )
    await residents.create(session, clock, hand, home.id, resident)
    await assignments.assign(session, clock, hand, user_id=technician_id, home_id=home.id)
    made = []
    for room, described in zip(rooms, wanted.rooms, strict=True):
        device, token = await registry.register(
            session,
            clock,
            Place(home.organization_id, home.id, room.id),
            name=described.device_name,
            device_uid=described.device_uid,
            device_type=described.device_type,
        )
        record_deed(session, REGISTERED, SYSTEM, device)
        made.append(MadeDevice(device.id, device.device_uid, token))
    return made


def _deed(action: str, organization: Organization, **details: object) -> Deed:
    return Deed(
        action,
        SYSTEM,
        organization_id=organization.id,
        object_kind="organization",
        object_id=organization.id,
        object_name=organization.name,
        details=details,
    )
