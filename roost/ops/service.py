"""What the hub knows about itself and the machine it runs on, behind one object for the endpoints."""

import asyncio
import platform
from collections.abc import Callable
from datetime import timedelta

import roost
from roost.core.clock import Clock
from roost.core.database import Database
from roost.ops.host import HostSample
from roost.ops.readiness import Readiness
from roost.ops.sampling import Sampling
from roost.ops.schemas import (
    Check,
    DiskRead,
    Human,
    Liveness,
    LoadRead,
    MemoryRead,
    Metrics,
    NetworkRead,
    ProcessorRead,
    ProcessRead,
    Temperature,
    ThrottlingFlagRead,
    ThrottlingFlags,
    Version,
)
from roost.ops.temperature import Throttling, processor_temperature_c, throttling
from roost.ops.traffic import Traffic

NAME = "roost"
API_VERSION = "v1"
MEBIBYTE = 1024**2
GIBIBYTE = 1024**3


class Host:
    """Answers for `/system/*` and the health endpoints."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sampling: Sampling,
        readiness: Readiness,
        *,
        traffic: Traffic,
        device_connections: Callable[[], int],
        mqtt_port: Callable[[], int],
        mqtt_tls: bool,
    ) -> None:
        """`device_connections` tells how many devices are connected over MQTT now, `mqtt_port` where (0: nowhere)."""
        self._database = database
        self._clock = clock
        self._sampling = sampling
        self._readiness = readiness
        self._traffic = traffic
        self._device_connections = device_connections
        self._mqtt_port = mqtt_port
        self._mqtt_tls = mqtt_tls
        self._started = clock.monotonic()

    def liveness(self) -> Liveness:
        """That the process answers."""
        return Liveness(name=NAME, version=roost.__version__, time=self._clock.now())

    async def readiness(self) -> dict[str, Check]:
        """Every check by name."""
        return await self._readiness.checks()

    async def temperature(self) -> Temperature:
        """The processor's temperature and throttling."""
        celsius, limits = await asyncio.gather(
            self._sampling.run(processor_temperature_c), self._sampling.run(throttling)
        )
        return Temperature(
            time=self._clock.now(),
            temp_c=celsius,
            throttled=limits.raw if limits else None,
            throttled_flags=_flags(limits) if limits else None,
        )

    async def metrics(self, sample_ms: int, top_n: int) -> Metrics:
        """A sample over `sample_ms` milliseconds with the `top_n` busiest processes."""
        sample = await self._sampling.sample(sample_ms, top_n)
        processor, network = sample.processor, sample.network
        return Metrics(
            time=self._clock.now(),
            cpu=ProcessorRead(
                per_core=processor.per_core_percent,
                avg=processor.average_percent,
                freq_mhz=processor.frequencies_mhz,
                count=processor.count,
            ),
            memory=MemoryRead.model_validate(sample.memory, from_attributes=True),
            disk=DiskRead.model_validate(sample.disk, from_attributes=True),
            load=LoadRead(one_minute=sample.load[0], five_minutes=sample.load[1], fifteen_minutes=sample.load[2]),
            network=NetworkRead.model_validate(network, from_attributes=True) if network else None,
            temperature_c=sample.temperature_c,
            top=[ProcessRead(pid=one.pid, name=one.name, cpu=one.cpu_percent, rss=one.rss) for one in sample.top],
            human=_for_people(sample),
            uptime=round(self._clock.monotonic() - self._started, 1),
            memory_usage=round(sample.own.rss / MEBIBYTE, 1),
            cpu_usage=processor.average_percent,
            active_connections=self._traffic.open + self._device_connections(),
            requests_per_minute=self._traffic.requests_per_minute,
        )

    def version(self) -> Version:
        """What runs here."""
        running = timedelta(seconds=self._clock.monotonic() - self._started)
        return Version(
            name=NAME,
            version=roost.__version__,
            api_version=API_VERSION,
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            database=self._database.dialect,
            started_at=self._clock.now() - running,
            mqtt_port=self._mqtt_port() or None,
            mqtt_tls=self._mqtt_tls,
        )


def _flags(limits: Throttling) -> ThrottlingFlags:
    flags = {
        name: ThrottlingFlagRead(active=flag.active, occurred=flag.occurred) for name, flag in limits.flags.items()
    }
    return ThrottlingFlags(raw=limits.raw, **flags)


def _for_people(sample: HostSample) -> Human:
    return Human(
        mem_used=f"{sample.memory.used / GIBIBYTE:.1f} GiB",
        mem_total=f"{sample.memory.total / GIBIBYTE:.1f} GiB",
        uptime_h=round(sample.uptime_s / 3600, 1),
    )
