"""`roost simulate`: many devices on real sockets, to see a hub at work without any hardware."""

import asyncio
import signal
import ssl
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from roost.cli.simulated_devices import SimulatedDevice
from roost.cli.simulation import Simulation, SimulationFailed, Tally, count_missing, join_as_user, join_with_tokens
from roost.cli.transports import HttpTransport, MqttTransport, Transport, problem_detail

REDRAW_S = 0.5
PLAIN_LINE_S = 5.0
REQUEST_TIMEOUT_S = 30.0
REFUSALS_SHOWN = 3

console = Console()
errors = Console(stderr=True)


class TransportName(StrEnum):
    """How the devices speak."""

    MQTT = "mqtt"
    HTTP = "http"


def simulate(  # noqa: PLR0917 - every option of the command is a parameter
    devices: Annotated[int, typer.Option(min=1, max=20_000, help="How many devices.")] = 10,
    rate: Annotated[float, typer.Option(min=0.001, max=1000, help="Messages per second and device.")] = 0.5,
    transport: Annotated[TransportName, typer.Option(help="How the devices speak.")] = TransportName.MQTT,
    url: Annotated[str, typer.Option(help="Address of the hub.")] = "http://127.0.0.1:8000",
    mqtt_port: Annotated[int, typer.Option(min=1, max=65_535, envvar="ROOST_MQTT_PORT", help="MQTT port.")] = 1883,
    email: Annotated[str | None, typer.Option(help="Sign in as this user and register the devices there.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="ROOST_SIMULATE_PASSWORD", help="That user's password; asked for when missing.")
    ] = None,
    token: Annotated[
        list[str] | None, typer.Option(help="Token of a device that exists already, instead of --email; repeatable.")
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Seconds to run; until Ctrl-C when missing.")] = None,
) -> None:
    """Let devices that do not exist join a running hub and send realistic readings.

    Ends with code 1 when the hub refused a message, left one without an answer, or does not give back one that it had
    acknowledged.
    """
    if (email is None) == (not token):
        errors.print("Say who the devices belong to: either --email (and --password), or --token for each device.")
        raise typer.Exit(2)
    if email is not None and password is None:
        password = typer.prompt("Password", hide_input=True)
    hub = Hub(url.rstrip("/"), mqtt_port, email, password or "", token or [])
    try:
        good = asyncio.run(_simulate(hub, devices, rate, transport, duration))
    except SimulationFailed as failure:
        errors.print(str(failure), style="red")
        raise typer.Exit(1) from failure
    except httpx2.HTTPError as error:
        errors.print(f"The hub at {hub.url} does not answer: {error}", style="red")
        raise typer.Exit(1) from error
    raise typer.Exit(0 if good else 1)


class Hub:
    """Where the hub is, and as whom to speak to it."""

    def __init__(self, url: str, mqtt_port: int, email: str | None, password: str, tokens: list[str]) -> None:
        self.url = url
        self.mqtt_port = mqtt_port
        self.email = email
        self.tokens = tokens
        self._password = password

    def client(self, connections: int) -> httpx2.AsyncClient:
        """An HTTP client for the hub's API with so many connections."""
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx2.AsyncClient(
            base_url=f"{self.url}/api/v1", timeout=REQUEST_TIMEOUT_S, limits=limits, trust_env=False
        )

    async def sign_in(self, client: httpx2.AsyncClient) -> None:
        """Let the client speak as the user, if there is one. Raises SimulationFailed."""
        if self.email is None:
            return
        answer = await client.post("/auth/login", json={"identifier": self.email, "password": self._password})
        if answer.is_error:
            raise SimulationFailed(f"Signing in failed: {answer.status_code} {problem_detail(answer)}")
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def transport_of(self, name: TransportName, client: httpx2.AsyncClient) -> Callable[[SimulatedDevice], Transport]:
        """How each device reaches the hub."""
        address = urlsplit(self.url)
        host = address.hostname or "127.0.0.1"
        tls = ssl.create_default_context() if address.scheme == "https" else None

        def make(device: SimulatedDevice) -> Transport:
            if name is TransportName.HTTP:
                return HttpTransport(client, device.token)
            return MqttTransport(host, self.mqtt_port, device.device_id, device.token, tls)

        return make


async def _simulate(hub: Hub, count: int, rate: float, transport: TransportName, duration_s: float | None) -> bool:
    async with hub.client(8) as user, hub.client(max(8, count)) as sender:
        await hub.sign_in(user)
        console.print(f"Joining {len(hub.tokens) or count} devices at {hub.url} …")
        if hub.tokens:
            devices = await join_with_tokens(user, hub.tokens)
        else:
            devices = await join_as_user(user, count)
        simulation = Simulation(devices, hub.transport_of(transport, sender), rate)
        await _run_and_show(simulation, transport, duration_s)
        tally = simulation.tally
        # A long run outlives its access token.
        await hub.sign_in(user)
        as_user = hub.email is not None
        missing = await count_missing(user, devices, tally, simulation.started_ms, as_user=as_user)
    _report(tally, missing)
    return not (missing or tally.refused or tally.waiting) and tally.acknowledged > 0


async def _run_and_show(simulation: Simulation, transport: TransportName, duration_s: float | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, simulation.stop)
    shown = asyncio.create_task(_show(simulation, transport), name="simulate-display")
    try:
        await simulation.run(duration_s)
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _show(simulation: Simulation, transport: TransportName) -> None:
    tally = simulation.tally
    began = before = time.monotonic()
    acknowledged = 0
    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_LINE_S)
            console.print(f"{tally.acknowledged} acknowledged, {tally.refused} refused, {tally.waiting} waiting")
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            now = time.monotonic()
            per_second = (tally.acknowledged - acknowledged) / max(now - before, 0.001)
            before, acknowledged = now, tally.acknowledged
            live.update(_table(simulation, transport, now - began, per_second), refresh=True)
            await asyncio.sleep(REDRAW_S)


def _table(simulation: Simulation, transport: TransportName, running_s: float, per_second: float) -> Table:
    tally = simulation.tally
    ending = "ending" if simulation.stopping else "Ctrl-C ends"
    title = f"{tally.devices} devices over {transport.upper()} · {running_s:.0f} s · {ending}"
    table = Table(title=title, min_width=60)
    table.add_column("What")
    table.add_column("How much", justify="right")
    rows = [
        ("Connected", str(tally.connected) if transport is TransportName.MQTT else "–"),
        ("Sent", f"{tally.sent:,}"),
        ("Acknowledged", f"{tally.acknowledged:,}"),
        ("Per second", f"{per_second:,.1f}"),
        ("Refused", f"{tally.refused:,}"),
        ("Waiting for an answer", f"{tally.waiting:,}"),
        ("Reconnects", f"{tally.reconnects:,}"),
        ("Latency, median / p99", f"{_ms(tally.latency_ms(0.5))} / {_ms(tally.latency_ms(0.99))}"),
    ]
    for what, how_much in rows:
        table.add_row(what, how_much)
    for refusal, times in tally.refusals.most_common(REFUSALS_SHOWN):
        table.add_row(refusal, f"{times:,}×", style="yellow")
    return table


def _report(tally: Tally, missing: int) -> None:
    median, slow = _ms(tally.latency_ms(0.5)), _ms(tally.latency_ms(0.99))
    console.print(
        f"{tally.sent} sent, {tally.acknowledged} acknowledged, {tally.refused} refused, "
        f"{tally.waiting} without an answer, {missing} acknowledged but not found; latency {median} (p99 {slow}).",
        soft_wrap=True,
    )
    for refusal, times in tally.refusals.most_common(REFUSALS_SHOWN):
        console.print(f"{times} × {refusal}", style="yellow", markup=False, soft_wrap=True)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"
