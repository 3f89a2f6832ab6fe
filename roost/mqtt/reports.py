"""What a device says about itself over MQTT beside telemetry: the same as over HTTP."""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from roost.core.errors import Invalid, NotFound, TooLarge, TooMany
from roost.devices.identity import DeviceIdentity
from roost.devices.logs import DeviceLogs
from roost.devices.presence import Presence
from roost.devices.schemas import LOG_LINES_LIMIT, LogLineIn, StatusIn
from roost.devices.shadow.documents import Document
from roost.devices.shadow.service import Shadows, Wish
from roost.mqtt.topics import COMPLETE
from roost.tasks.schemas import TaskCompletion, TaskProgress
from roost.tasks.service import Tasks

LIMIT_BYTES = 16 * 1024
# A result of the greatest size, and what stands around it.
TASK_LIMIT_BYTES = LIMIT_BYTES + 1024
_LOG_LINES: TypeAdapter[LogLineIn | list[LogLineIn]] = TypeAdapter(LogLineIn | list[LogLineIn])
_DOCUMENT: TypeAdapter[Document] = TypeAdapter(Document)


@dataclass(frozen=True, slots=True)
class DeviceReports:
    """All return once it is in the database."""

    presence: Presence
    device_logs: DeviceLogs
    shadows: Shadows
    tasks: Tasks

    async def status(self, device: DeviceIdentity, body: bytes) -> None:
        """`{"status": "online", "detail": …}`, or just the word, as many clients send it.

        Raises:
            TooLarge, Invalid: it is not a status.
        """
        _check_size(body)
        try:
            if body.strip().startswith(b"{"):
                report = StatusIn.model_validate_json(body)
            else:
                report = StatusIn.model_validate({"status": body.decode(errors="replace").strip().strip('"')})
        except ValidationError as error:
            raise Invalid(f"This is not a status: {_first(error)}.") from None
        self.presence.reported(device.device_id, report.status, report.detail)
        await self.presence.settled()

    async def logs(self, device: DeviceIdentity, body: bytes) -> None:
        """One `{"level", "message", "timestamp"}` or a list of at most 100.

        Raises:
            TooLarge, Invalid, TooMany, NoRoom: nothing was taken.
        """
        self.device_logs.ensure_room()
        _check_size(body)
        try:
            taken = _LOG_LINES.validate_json(body)
        except ValidationError as error:
            raise Invalid(f"This is not a log line: {_first(error)}.") from None
        lines = taken if isinstance(taken, list) else [taken]
        if len(lines) > LOG_LINES_LIMIT:
            raise TooLarge(f"At most {LOG_LINES_LIMIT} lines may come at once.")
        if len(lines) > self.device_logs.room(device.device_id):
            raise TooMany("The device has written too many lines in this minute.", retry_after_s=60)
        for line in lines:
            self.device_logs.write(device.device_id, line.level, line.message, "device", line.timestamp)
        await self.device_logs.flush()

    async def task(self, task_id: int, verb: str, device: DeviceIdentity, body: bytes) -> None:
        """What the device says of a task that it holds: how it went (`complete`), or how far it is (`progress`).

        Raises:
            TooLarge, Invalid, NotFound, Conflict: it does not count.
        """
        _check_size(body, TASK_LIMIT_BYTES)
        if not 0 < task_id < 2**53:
            raise NotFound(f"This device has no task {task_id}.", code="task_not_found")
        try:
            if verb == COMPLETE:
                await self.tasks.complete(device, task_id, TaskCompletion.model_validate_json(body))
            else:
                await self.tasks.progress(device, task_id, TaskProgress.model_validate_json(body or b"{}"))
        except ValidationError as error:
            raise Invalid(f"This is not a report on a task: {_first(error)}.") from None

    async def shadow(self, device: DeviceIdentity, body: bytes) -> None:
        """A JSON object, merged into what the device has reported (RFC 7396).

        Raises:
            TooLarge, Invalid, TooMany: nothing was taken.
        """
        try:
            document = _DOCUMENT.validate_json(body)
        except ValidationError as error:
            raise Invalid(f"A shadow is a JSON object: {_first(error)}.") from None
        await self.shadows.report(device, Wish(document))


def _check_size(body: bytes, limit_bytes: int = LIMIT_BYTES) -> None:
    if len(body) > limit_bytes:
        raise TooLarge(f"A report may have {limit_bytes} bytes.")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
