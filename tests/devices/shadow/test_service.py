"""What a running hub would show only after a while: limits, history that ends, and two writers at once."""

import asyncio

import pytest

from roost.core.errors import Conflict, NotFound, TooMany
from roost.devices import registry
from roost.devices.identity import DeviceIdentity
from roost.devices.shadow.messages import CHANGED
from roost.devices.shadow.service import Shadows, Wish, list_changes
from tests.devices.conftest import Hub, Owner


async def _device(hub: Hub, owner: Owner, uid: str = "lamp-1") -> DeviceIdentity:
    device_id, _ = await hub.add_device(owner, uid)
    return DeviceIdentity(device_id, uid, owner.organization_id, owner.home_id)


async def test_a_device_reports_in_measure(hub: Hub, owner: Owner) -> None:
    shadows, device, other = (
        Shadows(hub.database, hub.clock),
        await _device(hub, owner),
        await _device(hub, owner, "b-2"),
    )
    for _ in range(60):
        await shadows.report(device, Wish({}))
    with pytest.raises(TooMany):
        await shadows.report(device, Wish({"a": 1}))
    assert (await shadows.report(other, Wish({"a": 1}))).reported.version == 1
    hub.clock.go_on(1)
    assert (await shadows.report(device, Wish({"a": 1}))).reported.document == {"a": 1}


async def test_the_newest_changes_of_each_side_are_kept(
    hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.devices.shadow.service.KEPT_CHANGES", 3)
    shadows, device = Shadows(hub.database, hub.clock), await _device(hub, owner)
    await shadows.desire(owner.principal, device.device_id, Wish({"a": 0}))
    for number in range(5):
        await shadows.report(device, Wish({"a": number}))
    async with hub.database.read() as session:
        kept = await list_changes(session, device.device_id, None, before_id=None, limit=10)
    assert [(one.side, one.version) for one in kept] == [
        ("reported", 5), ("reported", 4), ("reported", 3), ("desired", 1),
    ]  # fmt: skip


async def test_two_at_once_lose_nothing(hub: Hub, owner: Owner) -> None:
    shadows, device = Shadows(hub.database, hub.clock), await _device(hub, owner)
    told = []
    hub.bus.subscribe(CHANGED, lambda _subject, message: told.append(message["delta_version"]))
    desired = [shadows.desire(owner.principal, device.device_id, Wish({f"k{n}": n})) for n in range(8)]
    reported = [shadows.report(device, Wish({f"k{n}": n})) for n in range(8)]
    await asyncio.gather(*desired, *reported)
    shadow = await shadows.get(device.device_id)
    assert shadow.desired.document == shadow.reported.document == {f"k{n}": n for n in range(8)}
    assert (shadow.desired.version, shadow.reported.version, shadow.delta) == (8, 8, {})
    await asyncio.sleep(0)
    assert told == list(range(1, 17)), "each change is told once, in order"
    outcomes = await asyncio.gather(
        *(shadows.report(device, Wish({"x": n}, version=8)) for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 3


async def test_a_device_that_is_gone_reports_nothing(hub: Hub, owner: Owner) -> None:
    shadows, device = Shadows(hub.database, hub.clock), await _device(hub, owner)
    async with hub.database.write() as session:
        await registry.remove(session, await hub.row(device.device_id))
    with pytest.raises(NotFound):
        await shadows.report(device, Wish({"a": 1}))
