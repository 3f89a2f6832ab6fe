"""Where devices may be put, and by whom; unclaimed devices; the limits at the door."""

import pytest
from sqlalchemy import func, select

from roost.access.principals import Grant, UserPrincipal
from roost.core.errors import Conflict, Forbidden, Invalid, NotFound, RoostError, TooMany
from roost.core.rates import RateLimiter
from roost.devices import joining, pairing, registry
from roost.devices.joining import Reception, forget_unclaimed
from roost.devices.models import Device
from roost.devices.placed import PlacedDevices
from roost.devices.placement import Place, place_new
from roost.devices.repository import DeviceFilter, get_device, list_devices
from roost.devices.schemas import DeviceUpdate, HelloIn, PairingConfirm, PairingStart
from roost.places.models import Home, Room
from tests.devices.conftest import Hub, Owner
from tests.waiting import until


async def add_home(hub: Hub, owner: Owner) -> int:
    now = hub.clock.now()
    async with hub.database.write() as session:
        home = Home(organization_id=owner.organization_id, name="Cabin", created_at=now, updated_at=now)
        session.add(home)
        await session.flush()
        return home.id


def somebody(*grants: Grant) -> UserPrincipal:
    return UserPrincipal(99, "x@example.org", "x", 1, grants)


async def add_room(hub: Hub, home_id: int, name: str = "Kitchen") -> int:
    now = hub.clock.now()
    async with hub.database.write() as session:
        room = Room(home_id=home_id, name=name, name_key=name.casefold(), created_at=now, updated_at=now)
        session.add(room)
        await session.flush()
        return room.id


async def place(
    hub: Hub,
    principal: UserPrincipal,
    home_id: int | None = None,
    *,
    room_id: int | None = None,
    organization_id: int | None = None,
) -> Place:
    async with hub.database.read() as session:
        return await place_new(session, principal, home_id=home_id, room_id=room_id, organization_id=organization_id)


async def move(
    hub: Hub, principal: UserPrincipal, device_id: int, **wanted: int | None
) -> tuple[int | None, int | None]:
    async with hub.database.write() as session:
        device = await registry.get_for_change(session, principal, device_id)
        await registry.change(session, hub.clock, principal, device, DeviceUpdate.model_validate(wanted))
        return device.home_id, device.room_id


async def test_without_a_home_it_is_the_only_one_and_with_several_none(hub: Hub, owner: Owner) -> None:
    assert await place(hub, owner.principal) == Place(owner.organization_id, owner.home_id, None)
    cabin = await add_home(hub, owner)
    assert await place(hub, owner.principal) == Place(owner.organization_id, None, None)
    assert await place(hub, owner.principal, cabin) == Place(owner.organization_id, cabin, None)


async def test_each_role_puts_devices_only_where_it_may_write(hub: Hub, owner: Owner) -> None:
    organization, home, cabin = owner.organization_id, owner.home_id, await add_home(hub, owner)
    technician = somebody(Grant("technician", organization, cabin))
    assert await place(hub, technician) == await place(hub, technician, cabin) == Place(organization, cabin, None)
    assert await place(hub, somebody(Grant("admin", None)), home) == Place(organization, home, None)
    refusals: list[tuple[UserPrincipal, int | None, type[RoostError]]] = [
        (technician, home, NotFound),
        (somebody(Grant("technician", organization, home), Grant("technician", organization, cabin)), None, Invalid),
        (somebody(Grant("viewer", organization)), home, Forbidden),
        (somebody(Grant("staff", None)), home, Forbidden),
        (somebody(Grant("admin", None)), None, Invalid),
        ((await hub.add_owner("eve")).principal, home, NotFound),
    ]
    for principal, wanted, refusal in refusals:
        with pytest.raises(refusal):
            await place(hub, principal, wanted)


async def test_a_room_says_its_home_and_a_home_its_organization(hub: Hub, owner: Owner) -> None:
    organization, home, cabin = owner.organization_id, owner.home_id, await add_home(hub, owner)
    kitchen, loft = await add_room(hub, home), await add_room(hub, cabin)
    eve = await hub.add_owner("eve")
    assert await place(hub, owner.principal, room_id=loft) == Place(organization, cabin, loft)
    assert await place(hub, owner.principal, cabin, room_id=loft) == Place(organization, cabin, loft)
    assert await place(hub, owner.principal, home, organization_id=organization) == Place(organization, home, None)
    technician = somebody(Grant("technician", organization, cabin))
    refusals: list[tuple[UserPrincipal, dict[str, int], type[RoostError]]] = [
        (owner.principal, {"home_id": cabin, "room_id": kitchen}, Invalid),
        (owner.principal, {"room_id": kitchen + loft}, NotFound),
        (owner.principal, {"home_id": home, "organization_id": eve.organization_id}, Invalid),
        (eve.principal, {"room_id": kitchen}, NotFound),
        (eve.principal, {"home_id": eve.home_id, "room_id": kitchen}, NotFound),
        (technician, {"room_id": kitchen}, NotFound),
        (somebody(Grant("viewer", organization)), {"room_id": kitchen}, Forbidden),
    ]
    for principal, wanted, refusal in refusals:
        with pytest.raises(refusal):
            await place(hub, principal, **wanted)


async def test_who_belongs_to_several_organizations_says_which(hub: Hub, owner: Owner) -> None:
    eve = await hub.add_owner("eve")
    here, there = owner.organization_id, eve.organization_id
    both = somebody(Grant("owner", here), Grant("editor", there))
    with pytest.raises(Invalid):
        await place(hub, both)
    assert await place(hub, both, organization_id=there) == Place(there, eve.home_id, None)
    assert await place(hub, both, eve.home_id) == Place(there, eve.home_id, None)
    # Where one may only look, nothing is put by accident.
    assert await place(hub, somebody(Grant("owner", here), Grant("viewer", there))) == Place(here, owner.home_id, None)
    for principal, refusal in (
        (somebody(Grant("viewer", there), Grant("owner", here)), Forbidden),
        (somebody(Grant("technician", there), Grant("technician", there, eve.home_id)), Forbidden),
        (owner.principal, NotFound),
    ):
        with pytest.raises(refusal):
            await place(hub, principal, organization_id=there)
    with pytest.raises(NotFound):
        await place(hub, somebody(Grant("admin", None)), organization_id=here + there)


async def test_a_device_moves_between_rooms_and_leaves_them_with_its_home(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    home, cabin = owner.home_id, await add_home(hub, owner)
    kitchen, loft = await add_room(hub, home), await add_room(hub, cabin)
    assert await move(hub, owner.principal, device_id, room_id=kitchen) == (home, kitchen)
    for wanted in ({"room_id": loft}, {"home_id": cabin, "room_id": kitchen}, {"home_id": None, "room_id": kitchen}):
        with pytest.raises(Invalid):
            await move(hub, owner.principal, device_id, **wanted)
    assert await move(hub, owner.principal, device_id, home_id=home) == (home, kitchen)
    assert await move(hub, owner.principal, device_id, home_id=cabin) == (cabin, None)
    assert await move(hub, owner.principal, device_id, home_id=home, room_id=kitchen) == (home, kitchen)
    assert await move(hub, owner.principal, device_id, room_id=None) == (home, None)
    technician = somebody(Grant("technician", owner.organization_id, home))
    assert await move(hub, technician, device_id, room_id=kitchen) == (home, kitchen)
    with pytest.raises(NotFound):
        await move(hub, technician, device_id, room_id=loft)
    # A device in no home is in no room either.
    assert await move(hub, owner.principal, device_id, home_id=None) == (None, None)
    with pytest.raises(Invalid):
        await move(hub, owner.principal, device_id, room_id=kitchen)


async def test_a_device_is_paired_into_a_room(hub: Hub, owner: Owner) -> None:
    reception = Reception(hub.database, hub.clock, RateLimiter(hub.clock, per_minute=0, burst=1))
    await reception.hello(HelloIn(device_uid="lamp-1"), "::1", None)
    loft = await add_room(hub, cabin := await add_home(hub, owner))
    wanted = PairingStart(device_uid="lamp-1", room_id=loft)
    async with hub.database.write() as session:
        made = await pairing.start(session, hub.clock, owner.principal, wanted, expire_s=600)
    tried = PairingConfirm(device_uid="lamp-1", pairing_code=made.code)
    paired = await pairing.confirm(hub.database, hub.clock, tried)
    row = await hub.row(paired.device_id)
    assert (row.organization_id, row.home_id, row.room_id) == (owner.organization_id, cabin, loft)


async def test_everybody_hears_of_devices_whose_place_goes(hub: Hub, owner: Owner) -> None:
    cabin, devices = await add_home(hub, owner), PlacedDevices()
    loft = await add_room(hub, cabin)
    device_id, token = await hub.add_device(owner, "lamp-1")
    staying, _ = await hub.add_device(owner, "lamp-2")
    await move(hub, owner.principal, device_id, home_id=cabin, room_id=loft)
    async with hub.database.read() as session:
        assert await devices.count_in_homes(session, [cabin, owner.home_id]) == {cabin: 1, owner.home_id: 1}
        assert await devices.count_in_rooms(session, [loft]) == {loft: 1}
    before = await hub.identities.authenticate(token)
    assert before is not None
    assert before.home_id == cabin
    told = {"device_id": device_id, "organization_id": owner.organization_id}
    for leaving, place_id, left in (
        (devices.leave_room, loft, (cabin, None)),
        (devices.leave_home, cabin, (None, None)),
    ):
        hub.events.clear()
        async with hub.database.write() as session:
            assert await leaving(session, place_id, hub.clock.now()) == 1
        await until(lambda: hub.published("device.updated") == [told])
        row = await hub.row(device_id)
        assert (row.home_id, row.room_id) == left
    after = await hub.identities.authenticate(token)
    assert after is not None
    assert after.home_id is None
    assert (await hub.row(staying)).home_id == owner.home_id


async def test_a_device_moves_between_homes_of_its_organization_alone(hub: Hub, owner: Owner) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    cabin, other = await add_home(hub, owner), await hub.add_owner("eve")
    both = somebody(Grant("owner", owner.organization_id), Grant("owner", other.organization_id))
    assert await hub.identities.authenticate(token)

    with pytest.raises(Invalid):
        await move(hub, both, device_id, home_id=other.home_id)
    technician = somebody(Grant("technician", owner.organization_id, owner.home_id))
    with pytest.raises(NotFound):
        await move(hub, technician, device_id, home_id=cabin)
    with pytest.raises(Forbidden):
        await move(hub, technician, device_id, home_id=None)
    with pytest.raises(Forbidden):
        await move(hub, somebody(Grant("viewer", owner.organization_id)), device_id, home_id=cabin)
    await move(hub, owner.principal, device_id, home_id=cabin)
    identity = await hub.identities.authenticate(token)
    assert identity is not None
    assert identity.home_id == cabin
    with pytest.raises(NotFound):
        await move(hub, technician, device_id, home_id=owner.home_id)


async def test_a_technician_sees_the_devices_of_assigned_homes(hub: Hub, owner: Owner) -> None:
    here, _ = await hub.add_device(owner, "lamp-1")
    async with hub.database.write() as session:
        homeless = Place(owner.organization_id, None, None)
        there, _ = await registry.register(session, hub.clock, homeless, name="lamp-2")
    technician = somebody(Grant("technician", owner.organization_id, owner.home_id))
    async with hub.database.read() as session:
        seen = await list_devices(session, technician, DeviceFilter(), after_id=0, limit=10)
        assert [device.id for device in seen] == [here]
        with pytest.raises(NotFound):
            await get_device(session, technician, there.id)


async def test_an_unclaimed_device_is_forgotten_a_day_after_its_last_hello(hub: Hub, owner: Owner) -> None:
    reception = Reception(hub.database, hub.clock, RateLimiter(hub.clock, per_minute=0, burst=1))
    claimed, _ = await hub.add_device(owner, "claimed-1")
    await reception.hello(HelloIn(device_uid="once-1"), "::1", None)
    await reception.hello(HelloIn(device_uid="again-1"), "::1", None)
    hub.clock.go_on(3600)
    await reception.hello(HelloIn(device_uid="again-1"), "::1", None)
    hub.clock.go_on(23 * 3600 + 1)
    async with hub.database.write() as session:
        assert await forget_unclaimed(session, hub.clock.now()) == 1
    async with hub.database.read() as session:
        left = (await session.scalars(select(Device.device_uid).order_by(Device.id))).all()
    assert left == ["claimed-1", "again-1"]
    hub.clock.go_on(365 * 24 * 3600)
    async with hub.database.write() as session:
        assert await forget_unclaimed(session, hub.clock.now()) == 1
    assert (await hub.row(claimed)).device_uid == "claimed-1"


async def test_a_released_device_is_not_forgotten(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    async with hub.database.write() as session:
        await registry.release(session, await session.merge(await hub.row(device_id)), hub.clock.now())
    reception = Reception(hub.database, hub.clock, RateLimiter(hub.clock, per_minute=0, burst=1))
    said = await reception.hello(HelloIn(device_uid="lamp-1", pairing_key_hash="a" * 64), "::1", None)
    assert (said.id, said.claimed_at) == (device_id, None)
    hub.clock.go_on(48 * 3600)
    async with hub.database.write() as session:
        assert await forget_unclaimed(session, hub.clock.now()) == 0


async def test_one_address_makes_the_hub_remember_only_so_many(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    reception = Reception(hub.database, hub.clock, RateLimiter(hub.clock, per_minute=1, burst=3))
    for number in range(3):
        await reception.hello(HelloIn(device_uid=f"new-{number}"), "192.0.2.1", None)
    with pytest.raises(TooMany):
        await reception.hello(HelloIn(device_uid="new-3"), "192.0.2.1", None)
    # Those that are known already may go on.
    await reception.hello(HelloIn(device_uid="new-0"), "192.0.2.1", None)
    await reception.hello(HelloIn(device_uid="new-4"), "192.0.2.2", None)
    monkeypatch.setattr(joining, "UNCLAIMED_LIMIT", 4)
    with pytest.raises(TooMany):
        await reception.hello(HelloIn(device_uid="new-5"), "192.0.2.3", None)
    async with hub.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Device)) == 4


async def test_a_key_announced_first_stands_against_another(hub: Hub) -> None:
    reception = Reception(hub.database, hub.clock, RateLimiter(hub.clock, per_minute=0, burst=1))
    await reception.hello(HelloIn(device_uid="lamp-1", pairing_key_hash="a" * 64), "::1", None)
    with pytest.raises(Conflict):
        await reception.hello(HelloIn(device_uid="lamp-1", pairing_key_hash="b" * 64), "::1", None)
    # Without the key nothing changes, and the wait for being forgotten goes on.
    hub.clock.go_on(3600)
    said = await reception.hello(HelloIn(device_uid="lamp-1", firmware_version="6.6.6"), "::1", None)
    assert said.firmware_version is None
    assert said.hello_at is not None
    assert said.hello_at < hub.clock.now()


async def test_a_list_costs_two_queries_however_long_it_is(hub: Hub, owner: Owner, statements: list[str]) -> None:
    for number in range(20):
        await hub.add_device(owner, f"lamp-{number}")
    counts = []
    for limit in (1, 20):
        statements.clear()
        async with hub.database.read() as session:
            devices = await list_devices(session, owner.principal, DeviceFilter(), after_id=0, limit=limit)
            assert [device.tags for device in devices] == [[]] * limit
        counts.append(len(statements))
    assert counts == [2, 2]
