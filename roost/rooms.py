"""Every room is made, wired to the others, started and stopped here; `app.py` serves what they offer."""

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from roost.access.audit import log as audit
from roost.access.audit.journal import AuditJournal
from roost.access.audit.keys import audit_key
from roost.access.audit.watch import AuditWatch
from roost.access.authentication import UserAuthentication
from roost.access.credentials.keys import signing_secret
from roost.access.credentials.service import Credentials
from roost.access.organizations.invitations import INVITATIONS_A_MINUTE, INVITATIONS_AT_ONCE
from roost.access.passwords import Passwords
from roost.access.sessions import Sessions
from roost.access.tokens import AccessTokens
from roost.bridges.keeper import Bridges
from roost.bridges.sealing import Sealing
from roost.bridges.service import BridgeDesk
from roost.core.blobs import blobs_for
from roost.core.bus import Bus
from roost.core.database import Database
from roost.core.disk import DiskGuard
from roost.core.mail import mailer_for
from roost.core.outbox import Outbox
from roost.core.rates import RateLimiter
from roost.devices.admission import Admission
from roost.devices.belongings import HomesAndDevices
from roost.devices.health.service import HealthFacts
from roost.devices.identities import DeviceIdentities
from roost.devices.logs import DeviceLogs
from roost.devices.placed import PlacedDevices
from roost.devices.presence import Presence
from roost.devices.shadow.messages import CHANGED as SHADOW_CHANGED
from roost.devices.shadow.service import Shadows
from roost.devices.timers import Housekeeping
from roost.live.audit import SocketAudit
from roost.live.service import Live
from roost.migrations.runner import migrate_at_start
from roost.mqtt.audit import MqttAudit
from roost.mqtt.directory import DeviceDirectory
from roost.mqtt.reports import DeviceReports
from roost.mqtt.server import MqttServer
from roost.mqtt.shadow import ShadowFeed, on_shadow_changed
from roost.mqtt.tasks import TaskFeed
from roost.mqtt.thingsboard import ThingsBoard
from roost.mqtt.thingsboard import on_shadow_changed as on_attributes_changed
from roost.mqtt.topics import SHADOW_DELTA, TASKS
from roost.ops.failures import Failures
from roost.ops.host import HostSampler
from roost.ops.host_device import HostDevice
from roost.ops.intake import Intake
from roost.ops.message_counts import MessageCounts
from roost.ops.overview import Connections, Installation
from roost.ops.readiness import Readiness
from roost.ops.sampling import Sampling
from roost.ops.service import Host
from roost.ops.tracing import Tracing
from roost.parts import Part
from roost.places.bootstrap import ensure_administrator
from roost.places.registration import register
from roost.tasks.service import Tasks
from roost.tasks.upkeep import Upkeep
from roost.telemetry.condition import condition_of
from roost.telemetry.device_facts import SentByDevices
from roost.telemetry.retention.keeper import Keeper
from roost.telemetry.service import Telemetry
from roost.telemetry.transfer.archive import Archive
from roost.telemetry.transfer.service import IMPORTED, Transfers

if TYPE_CHECKING:
    from roost.worker import Process


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start every room this process has, the lower ones first; stop them in the opposite order."""
    async with AsyncExitStack() as rooms:
        await _start_ground(app, rooms)
        await _start_access(app, rooms)
        await _start_devices(app, rooms)
        await _start_telemetry(app, rooms)
        _start_tasks(app, rooms)
        await _start_edges(app, rooms)
        _start_bridges(app, rooms)
        await _start_storing(app, rooms)
        yield


async def _start_ground(app: FastAPI, rooms: AsyncExitStack) -> None:
    state, settings = app.state, app.state.settings
    state.failures = Failures(state.clock)
    state.failures.start()
    rooms.callback(state.failures.stop)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    await migrate_at_start(settings)
    state.database = Database(settings)
    # On PostgreSQL what is stored is not on this disk.
    state.disk = DiskGuard(settings.data_dir, settings.min_free_disk_mib if state.database.dialect == "sqlite" else 0)
    await state.disk.start()
    rooms.push_async_callback(state.disk.stop)
    rooms.push_async_callback(state.database.dispose)
    if state.tracing is not None:
        _start_tracing(state.tracing, state.database, rooms)
    sealing_key = audit_key(settings)
    audit.use_key(state.database, sealing_key)
    state.mailer = mailer_for(settings)
    state.bus = Bus()
    rooms.push_async_callback(state.bus.close)
    state.outbox = Outbox(state.database, state.bus, state.clock)
    await state.outbox.start()
    rooms.push_async_callback(state.outbox.stop)
    state.process = await _join_others(app, rooms)
    watch = AuditWatch(state.database, settings.data_dir, sealing_key)
    await watch.start()
    rooms.push_async_callback(watch.stop)
    state.audit = state.refusals.journal = AuditJournal(state.database, state.clock)
    await state.audit.start()
    rooms.push_async_callback(state.audit.stop)


async def _join_others(app: FastAPI, rooms: AsyncExitStack) -> "Process | None":
    """This process among several; None where there is only one."""
    state, settings = app.state, app.state.settings
    if settings.nats_url is None:
        return None
    process: Process = importlib.import_module("roost.worker").Process(
        settings, state.database, state.clock, settings.nats_url
    )
    await process.join(rooms, state.outbox)
    return process


def _start_tracing(tracing: Tracing, database: Database, rooms: AsyncExitStack) -> None:
    tracing.start()
    rooms.push_async_callback(tracing.stop)
    tracing.watch_engine(database.engine)


async def _start_access(app: FastAPI, rooms: AsyncExitStack) -> None:
    state, settings = app.state, app.state.settings
    secret = signing_secret(settings)
    state.tokens = AccessTokens(settings, secret, state.clock)
    state.passwords = Passwords()
    rooms.callback(state.passwords.close)
    state.credentials = Credentials(
        state.database, settings, secret, passwords=state.passwords, mailer=state.mailer, clock=state.clock,
        bus=state.bus, register=register,
    ).start()  # fmt: skip
    rooms.push_async_callback(state.credentials.stop)
    state.authentication = UserAuthentication(state.database, state.tokens, state.credentials.api_tokens)
    state.invitation_rate = RateLimiter(state.clock, per_minute=INVITATIONS_A_MINUTE, burst=INVITATIONS_AT_ONCE)
    state.sessions = Sessions(
        state.database, settings, state.tokens, state.passwords, state.clock,
        second_factor=state.credentials.app_codes,
    )  # fmt: skip
    made_up = await ensure_administrator(state.database, settings, state.passwords, state.clock)
    if made_up is not None:
        state.announce(
            f"The administrator is {settings.admin_email}, the password {made_up}\n"
            "It is shown this once; sign in with it and keep it somewhere safe."
        )


async def _start_devices(app: FastAPI, rooms: AsyncExitStack) -> None:
    state = app.state
    state.identities = DeviceIdentities(state.database, state.clock, state.bus)
    rooms.push_async_callback(state.identities.stop)
    offline_after_s = state.settings.device_offline_after_s
    state.presence = Presence(state.database, state.clock, state.bus, offline_after_s=offline_after_s)
    state.device_logs = DeviceLogs(
        state.database, state.clock, state.bus, kept_lines=state.settings.device_log_lines, disk=state.disk
    )
    state.shadows = Shadows(state.database, state.clock)
    state.devices_in_places = PlacedDevices()
    state.belongings = HomesAndDevices()
    state.device_admission = Admission(state.database, state.clock)
    if state.process is not None:
        await state.process.share_presence(state.presence)
    housekeeping = Housekeeping(state.database, state.clock, log_days=state.settings.device_log_days)
    for room in (state.presence, state.device_logs, housekeeping):
        await room.start()
        rooms.push_async_callback(room.stop)


async def _start_telemetry(app: FastAPI, rooms: AsyncExitStack) -> None:
    state = app.state
    queue = state.process.log() if state.process is not None else None
    telemetry = Telemetry(
        state.settings, state.clock, state.bus, state.presence, queue, disk=state.disk, database=state.database
    )  # fmt: skip
    state.ingest, state.store, state.history = telemetry.ingest, telemetry.store, telemetry.history
    state.device_health = HealthFacts(state.database, state.clock, state.presence, SentByDevices(telemetry.store))
    state.transfers = Transfers(
        telemetry.log, telemetry.store, state.database, state.clock, history=telemetry.history
    )  # fmt: skip
    rooms.callback(state.bus.subscribe(IMPORTED, state.transfers.on_imported))
    await telemetry.start()
    rooms.push_async_callback(telemetry.stop)
    if state.settings.archive and state.part & Part.WORKER:
        archive = Archive(
            telemetry.log, telemetry.store, state.database, blobs_for(state.settings), state.clock,
            settings=state.settings,
        )  # fmt: skip
        archive.start()
        rooms.push_async_callback(archive.stop)
    if state.part & Part.WORKER:
        keeper = Keeper(state.settings, state.database, telemetry.log, state.clock)
        keeper.start()
        rooms.push_async_callback(keeper.stop)
    if state.process is not None:
        await state.process.share_telemetry(state.ingest, state.store)


def _start_tasks(app: FastAPI, rooms: AsyncExitStack) -> None:
    state = app.state
    state.tasks = state.pending_work = Tasks(state.database, state.clock, state.bus)
    rooms.push_async_callback(state.tasks.stop)
    if state.part & Part.WORKER:
        upkeep = Upkeep(state.database, state.clock, keep_days=state.settings.task_retention_days)
        upkeep.start()
        rooms.push_async_callback(upkeep.stop)


async def _start_edges(app: FastAPI, rooms: AsyncExitStack) -> None:
    state, settings = app.state, app.state.settings
    state.live = Live(
        state.database, state.authentication, state.clock, state.bus, state.ingest, audit=SocketAudit(state.audit)
    )
    rooms.callback(state.live.stop)
    task_feed = TaskFeed(state.tasks, state.bus)
    state.mqtt = MqttServer(
        settings,
        state.ingest,
        state.identities,
        presence=state.presence,
        device_logs=state.device_logs,
        bus=state.bus,
        reports=DeviceReports(state.presence, state.device_logs, state.shadows, state.tasks),
        directory=DeviceDirectory(state.database, state.store, state.presence),
        authenticate_user=state.authentication.authenticate,
        clock=state.clock,
        audit=MqttAudit(state.audit),
        foreign=ThingsBoard(state.shadows, state.tasks, state.clock, settings.telemetry_rate),
        feeds={SHADOW_DELTA: ShadowFeed(state.shadows), TASKS: task_feed},
    )
    task_feed.start(state.mqtt)
    rooms.push_async_callback(task_feed.stop)
    rooms.callback(state.bus.subscribe(SHADOW_CHANGED, on_shadow_changed(state.mqtt.tell_device)))
    tell_attributes = on_attributes_changed(state.shadows, state.mqtt.device_listens, state.mqtt.tell_device)
    rooms.callback(state.bus.subscribe(SHADOW_CHANGED, tell_attributes))
    sampling = await _start_operations(app, rooms)
    # A machine with several processes would be several times the same device.
    if settings.host_device and state.part == Part.EVERYTHING:
        host_device = HostDevice(
            settings, state.database, state.clock, state.bus, ingest=state.ingest, sampling=sampling
        )
        host_device.start()
        rooms.push_async_callback(host_device.stop)
    if state.process is not None:
        await state.process.share_clients(state.mqtt, state.presence)
        await state.process.share_limits(_limiters(app))
    await state.mqtt.start(listen=bool(state.part & Part.MQTT))
    rooms.push_async_callback(state.mqtt.stop)


def _start_bridges(app: FastAPI, rooms: AsyncExitStack) -> None:
    state, settings = app.state, app.state.settings
    sealing = Sealing(signing_secret(settings))
    state.bridge_desk = BridgeDesk(state.clock, sealing, allowed=settings.bridges)
    if not (settings.bridges and state.part & Part.WORKER):
        return
    bridges = Bridges(
        state.database, state.clock, state.bus, sealing=sealing, ingest=state.ingest, store=state.store,
        presence=state.presence, device_logs=state.device_logs, public_url=settings.public_url,
    )  # fmt: skip
    bridges.start()
    rooms.push_async_callback(bridges.stop)


def _limiters(app: FastAPI) -> dict[str, RateLimiter]:
    """What is counted by all processes together, so that more of them allow nobody more tries."""
    state = app.state
    return {
        **state.sessions.throttle.limiters,
        **state.credentials.forgotten_passwords.limiters,
        **state.device_admission.limiters,
        "invitation": state.invitation_rate,
        "sign_in.start": state.credentials.sign_in_starts,
        "mqtt.failure": state.mqtt.authentication.failures,
        "shadow.report": state.shadows.reports,
    }


async def _start_storing(app: FastAPI, rooms: AsyncExitStack) -> None:
    """Where several processes share the work: take telemetry from the queue into the store."""
    state = app.state
    if state.process is not None and state.part & Part.WORKER:
        await state.process.start_writing(rooms, state.device_logs, state.message_counts.note)


async def _start_operations(app: FastAPI, rooms: AsyncExitStack) -> Sampling:
    state, settings = app.state, app.state.settings
    sampling = Sampling(HostSampler(settings.data_dir))
    rooms.push_async_callback(sampling.close)
    intake = Intake(state.ingest, state.clock)
    rooms.callback(intake.stop)
    if state.tracing is not None:
        rooms.callback(state.ingest.watch(state.tracing.on_handled))
    state.message_counts = MessageCounts(state.database, state.clock)
    if state.process is None:
        state.ingest.subscribe(state.message_counts.note)
    await state.message_counts.start()
    rooms.push_async_callback(state.message_counts.stop)
    condition = condition_of(settings, state.database)
    if state.process is not None:
        condition = state.process.condition(condition)
    readiness = Readiness(
        state.database, intake, state.store, sampling, state.clock,
        condition=condition, min_free_disk_mib=settings.min_free_disk_mib, disk=state.disk,
    )  # fmt: skip
    state.installation = Installation(
        settings, state.database, state.clock,
        sampling=sampling, condition=condition, intake=intake, failures=state.failures, traffic=state.traffic,
        connections=Connections(lambda: state.mqtt.connections, lambda: state.live.open_sockets), disk=state.disk,
    )  # fmt: skip
    if state.part & Part.WORKER:
        await state.installation.storage_history.start()
        rooms.push_async_callback(state.installation.storage_history.stop)
    state.host = Host(
        state.database, state.clock, sampling, readiness,
        traffic=state.traffic, device_connections=lambda: state.mqtt.connections,
        mqtt_port=lambda: state.mqtt.port, mqtt_tls=settings.tls_cert is not None,
    )  # fmt: skip
    return sampling
