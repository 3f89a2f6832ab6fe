"""Tokens to devices: cached, shared look-ups, invalidated at once."""

import asyncio
import secrets

import pytest
from sqlalchemy import func, select

from roost.core.ids import token_digest
from roost.devices import credentials, registry
from roost.devices.models import DeviceToken
from tests.devices.conftest import Hub, Owner


def guessed() -> str:
    """A token that looks right and belongs to nobody."""
    return "rdt_" + secrets.token_urlsafe(32)


async def test_a_token_is_looked_up_once_and_then_known(hub: Hub, owner: Owner, statements: list[str]) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    assert hub.identities.cached(token) is None
    statements.clear()
    identity = await hub.identities.authenticate(token)
    assert identity is not None
    assert (identity.device_id, identity.device_uid) == (device_id, "lamp-1")
    assert (identity.organization_id, identity.home_id) == (owner.organization_id, owner.home_id)
    assert hub.identities.cached(token) is identity
    assert await hub.identities.authenticate(token) is identity
    assert len(statements) == 1


async def test_only_the_digest_is_stored(hub: Hub, owner: Owner) -> None:
    _, token = await hub.add_device(owner, "lamp-1")
    async with hub.database.read() as session:
        assert (await session.scalars(select(DeviceToken.digest))).all() == [token_digest(token)]


async def test_what_is_no_device_token_costs_no_query(hub: Hub, statements: list[str]) -> None:
    for text in ("", "rdt_", "rdt_short", "rrt_" + "a" * 43, "rdt_" + "a" * 44, "rdt_" + "é" * 43, "\ud800"):
        assert await hub.identities.authenticate(text) is None
        assert hub.identities.cached(text) is None
    assert statements == []


async def test_a_thousand_guesses_at_once_share_a_few_queries_and_repeated_ones_cost_none(
    hub: Hub, owner: Owner, statements: list[str]
) -> None:
    _, token = await hub.add_device(owner, "lamp-1")
    statements.clear()
    guesses = [guessed() for _ in range(1000)]
    answers = await asyncio.gather(*(hub.identities.authenticate(one) for one in [*guesses, token]))
    assert [answer for answer in answers if answer] == [hub.identities.cached(token)]
    assert len(statements) <= 10
    statements.clear()
    await asyncio.gather(*(hub.identities.authenticate(one) for one in guesses))
    assert statements == []


async def test_a_caller_that_gives_up_disturbs_nobody_who_waits_for_the_same(hub: Hub, owner: Owner) -> None:
    _, token = await hub.add_device(owner, "lamp-1")
    first = asyncio.create_task(hub.identities.authenticate(token))
    second = asyncio.create_task(hub.identities.authenticate(token))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None


async def test_a_revoked_token_ends_at_once_everywhere(hub: Hub, owner: Owner) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    assert await hub.identities.authenticate(token)
    async with hub.database.write() as session:
        await credentials.revoke(session, await hub.row(device_id))
    assert hub.identities.cached(token) is None
    assert await hub.identities.authenticate(token) is None
    assert hub.published("device.token_revoked") == [{"device_id": device_id, "organization_id": owner.organization_id}]


async def test_a_look_up_that_a_revocation_overtakes_is_not_remembered(
    hub: Hub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    find, read, revoked = hub.identities._find, asyncio.Event(), asyncio.Event()

    async def find_slowly(digests: list[str]) -> object:
        found = await find(digests)
        read.set()
        await revoked.wait()
        return found

    monkeypatch.setattr(hub.identities, "_find", find_slowly)
    waiting = asyncio.create_task(hub.identities.authenticate(token))
    await read.wait()
    async with hub.database.write() as session:
        await credentials.revoke(session, await hub.row(device_id))
    revoked.set()
    await waiting
    assert hub.identities.cached(token) is None


async def test_after_a_rotation_the_old_token_is_good_for_ten_minutes(hub: Hub, owner: Owner) -> None:
    device_id, old = await hub.add_device(owner, "lamp-1")
    assert await hub.identities.authenticate(old)
    async with hub.database.write() as session:
        _, until = await credentials.rotate(session, await hub.row(device_id), hub.clock.now())
    assert until is not None
    assert (until - hub.clock.now()).total_seconds() == 600
    hub.clock.go_on(599)
    assert await hub.identities.authenticate(old)
    hub.clock.go_on(1)
    assert hub.identities.cached(old) is None
    assert await hub.identities.authenticate(old) is None


async def test_the_first_use_of_a_new_token_ends_the_old_one(hub: Hub, owner: Owner) -> None:
    device_id, old = await hub.add_device(owner, "lamp-1")
    async with hub.database.write() as session:
        new, _ = await credentials.rotate(session, await hub.row(device_id), hub.clock.now())
    assert await hub.identities.authenticate(old)
    assert await hub.identities.authenticate(new)
    assert hub.identities.cached(new) is not None
    assert hub.identities.cached(old) is None
    assert await hub.identities.authenticate(old) is None
    assert len(hub.published("device.token_revoked")) == 1
    async with hub.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(DeviceToken)) == 1


async def test_an_overlap_that_is_over_is_cleared_away_and_told(hub: Hub, owner: Owner) -> None:
    device_id, _ = await hub.add_device(owner, "lamp-1")
    async with hub.database.write() as session:
        await credentials.rotate(session, await hub.row(device_id), hub.clock.now())
    hub.clock.go_on(601)
    async with hub.database.write() as session:
        await credentials.end_expired(session, hub.clock.now())
    assert len(hub.published("device.token_revoked")) == 1


async def test_a_released_and_a_deleted_device_are_nobody(hub: Hub, owner: Owner) -> None:
    tokens = {}
    for uid, end in (("lamp-1", registry.release), ("lamp-2", None)):
        device_id, tokens[uid] = await hub.add_device(owner, uid)
        assert await hub.identities.authenticate(tokens[uid])
        async with hub.database.write() as session:
            device = await session.merge(await hub.row(device_id))
            await (end(session, device, hub.clock.now()) if end else registry.remove(session, device))
    assert [await hub.identities.authenticate(token) for token in tokens.values()] == [None, None]


async def test_a_moved_device_is_looked_up_afresh(hub: Hub, owner: Owner) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    assert await hub.identities.authenticate(token)
    hub.bus.publish("device.updated", {"device_id": device_id, "organization_id": owner.organization_id})
    assert hub.identities.cached(token) is None


async def test_a_change_of_presence_costs_no_look_up(hub: Hub, owner: Owner) -> None:
    device_id, token = await hub.add_device(owner, "lamp-1")
    assert await hub.identities.authenticate(token)
    hub.presence.connected(device_id, "mqtt")
    await hub.presence.settled()
    assert hub.published("device.status_changed")
    assert hub.identities.cached(token)
