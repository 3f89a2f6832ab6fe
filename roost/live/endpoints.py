"""The live sockets. They read their filters and token themselves: a refusal here is a close code, not a status."""

from fastapi import APIRouter, WebSocket

from roost.core.http import PREFIX
from roost.live.service import Live

router = APIRouter(prefix=PREFIX)


@router.websocket("/ws/live-data")
async def live_data(websocket: WebSocket) -> None:
    """Readings and events of the caller's devices, as they are committed."""
    await _live(websocket).serve_telemetry(websocket)


@router.websocket("/ws/device-status")
async def device_status(websocket: WebSocket) -> None:
    """Devices of the caller coming online, going offline, reporting a state."""
    await _live(websocket).serve_status(websocket)


@router.websocket("/ws/device-shadow")
async def device_shadow(websocket: WebSocket) -> None:
    """What the caller's devices shall be and say they are, as it changes."""
    await _live(websocket).serve_shadow(websocket)


@router.websocket("/ws/device-logs")
async def device_logs(websocket: WebSocket) -> None:
    """Lines of the logs of the caller's devices, as they are stored."""
    await _live(websocket).serve_logs(websocket)


@router.websocket("/ws/tasks")
async def tasks(websocket: WebSocket) -> None:
    """What happens to the tasks of the caller's devices."""
    await _live(websocket).serve_tasks(websocket)


def _live(websocket: WebSocket) -> Live:
    live: Live = websocket.app.state.live
    return live
