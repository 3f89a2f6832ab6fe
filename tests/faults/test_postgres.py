"""PostgreSQL cannot commit, or is not there: nothing is acknowledged meanwhile, and then all goes on by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from roost.core.clock import SystemClock
from roost.telemetry.messages import Message
from roost.telemetry.postgres_log import PostgresLog
from tests.conftest import FreshServer, register_user
from tests.faults.conftest import register_devices
from tests.faults.load import HttpSender, Load, MqttSender, assert_exactly_once
from tests.faults.unanswered import Unanswered
from tests.postgres_cluster import PostgresCluster
from tests.waiting import until


@contextmanager
def commits_held(postgres: PostgresCluster) -> Iterator[None]:
    """Commits are written and yet not finished, as while a disk does not answer: they wait for a standby that isn't."""
    _require_standby(postgres, "'nobody'")
    try:
        yield
    finally:
        _require_standby(postgres, "''")


def _require_standby(postgres: PostgresCluster, name: str) -> None:
    # Not together: ALTER SYSTEM refuses to run inside a transaction.
    postgres.execute(f"ALTER SYSTEM SET synchronous_standby_names = {name}")
    postgres.execute("SELECT pg_reload_conf()")


def _waiting_commits(postgres: PostgresCluster) -> int:
    return int(postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))


async def test_no_acknowledgement_leaves_while_commits_are_held_back(
    own_postgres: PostgresCluster, fresh_server: FreshServer
) -> None:
    server = fresh_server(own_postgres.create_database(), ROOST_HOST_DEVICE="false")
    with register_user(server) as user:
        unanswered = Unanswered(server, register_devices(user, 4))
        try:
            await unanswered.connect()
            with commits_held(own_postgres):
                await unanswered.send()
                await until(lambda: _waiting_commits(own_postgres), 20, what="A commit that waits")
                await unanswered.probe()
                assert unanswered.answered == 0
            await until(lambda: unanswered.complete, 20, what="The acknowledgement of everything")
        finally:
            await unanswered.close()


async def test_a_resend_waits_for_the_original_that_another_connection_is_committing(
    own_postgres: PostgresCluster,
) -> None:
    """A hub killed during its commit leaves it behind; the next one must neither store nor acknowledge it again."""
    url, clock = own_postgres.create_database(), SystemClock()
    killed, restarted = PostgresLog(url, clock), PostgresLog(url, clock)
    await killed.open()
    await restarted.open()
    now = clock.now_ms()

    def message() -> Message:
        return Message(now, now, None, {"n": 1}, b'{"n":1}', None, "once")

    resend = message()
    with commits_held(own_postgres):
        first = asyncio.create_task(killed.append([1], [message()]))
        await until(lambda: _waiting_commits(own_postgres) == 1, 20, what="The commit that waits")
        second = asyncio.create_task(restarted.append([1], [resend]))
        await until(lambda: _blocked(own_postgres) or _waiting_commits(own_postgres) == 2, what="The resend")
        assert not first.done()
        assert not second.done()
    await asyncio.gather(first, second)
    found = await restarted.between(1, 0, now + 1, 10)
    await killed.close()
    await restarted.close()
    assert len(found) == 1
    assert resend.id == 0


def _blocked(postgres: PostgresCluster) -> int:
    return int(postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


@pytest.mark.parametrize("outages", [1, pytest.param(10, marks=pytest.mark.soak, id="ten-outages")])
async def test_postgres_stops_under_load_and_comes_back(
    own_postgres: PostgresCluster, fresh_server: FreshServer, outages: int
) -> None:
    """Stopped as in a crash and cleanly in turn; the hub is not touched."""
    server = fresh_server(own_postgres.create_database())
    with register_user(server) as user:
        load = Load.mixed(server, register_devices(user, 3), 5)
        async with load.running():
            for outage in range(outages):
                await load.progress(20)
                await asyncio.to_thread(own_postgres.stop, immediately=outage % 2 == 0)
                await _refused_everywhere(load)
                await asyncio.to_thread(own_postgres.start)
            await load.progress(20)
            await load.drain()
        assert_exactly_once(user, load)
        load.assert_nothing_refused()
    http = [sender for sender in load.senders if isinstance(sender, HttpSender)]
    assert {status for sender in http for status in sender.statuses} == {201, 503}
    assert all(value is not None and int(value) > 0 for sender in http for value in sender.retry_after)


async def _refused_everywhere(load: Load) -> None:
    """Every device has met the outage; from then on nothing is acknowledged."""
    before = [_refusals(sender) for sender in load.senders]
    await until(
        lambda: all(_refusals(sender) > count for sender, count in zip(load.senders, before, strict=True)),
        20,
        what="A refusal of every device",
    )
    acknowledged, refusals = load.acknowledged, sum(map(_refusals, load.senders))
    await until(lambda: sum(map(_refusals, load.senders)) > refusals + 5, 20, what="Some more refusals")
    assert load.acknowledged == acknowledged


def _refusals(sender: object) -> int:
    if isinstance(sender, HttpSender):
        return sender.statuses[503]
    assert isinstance(sender, MqttSender)
    return sender.endings
