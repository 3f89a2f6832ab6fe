"""Home Assistant with its recorder, history and HTTP interface, and one view more, which takes readings.

Run by the Python that it is installed for. The web app and what finds devices are left out: they record nothing.
"""

# What it imports is in an environment of its own.
# mypy: disable-error-code="import-not-found"

import asyncio
import sys
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from homeassistant import auth, bootstrap, config, config_entries, loader
from homeassistant.components.http import HomeAssistantView
from homeassistant.components.recorder import get_instance
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers.recorder import async_initialize_recorder
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_at_time

_UNITS = ("°C", "%", "hPa", "lx", "W")


class TakeReadings(HomeAssistantView):  # type: ignore[misc]
    """`POST /api/readings`: `[entity id, milliseconds, value]` one after the other become states of their time."""

    url = "/api/readings"
    name = "api:readings"

    async def post(self, request: web.Request) -> web.Response:
        """Answer when the recorder has committed: it has to be given time, or it drops what it is told."""
        hass = request.app["hass"]
        recorder = get_instance(hass)
        now = dt_util.utcnow
        try:
            for entity_id, moment_ms, value in await request.json():
                moment = dt_util.utc_from_timestamp(moment_ms / 1000)
                dt_util.utcnow = lambda moment=moment: moment
                hass.states.async_set(
                    entity_id,
                    str(value),
                    {
                        "state_class": "measurement",
                        "unit_of_measurement": _UNITS[int(entity_id[-1])],
                        "friendly_name": entity_id.partition(".")[2],
                    },
                    context=Context(id=ulid_at_time(moment_ms / 1000)),
                )
        finally:
            dt_util.utcnow = now
        await recorder.async_block_till_done()
        return web.Response(status=HTTPStatus.OK)


async def main(folder: Path, port: int) -> None:
    """Start, write a token into the folder, and run until it is ended."""
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    settings = {
        "http": {"server_host": ["127.0.0.1"], "server_port": port},
        "recorder": {"auto_purge": False},
        "api": {},
        "history": {},
    }
    hass.config_entries = config_entries.ConfigEntries(hass, settings)
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    await config.async_process_ha_core_config(hass, {})
    async_initialize_recorder(hass)
    for component in ("homeassistant", *settings):
        assert await async_setup_component(hass, component, settings), component
    hass.http.register_view(TakeReadings())
    user = await hass.auth.async_create_system_user("bench", group_ids=["system-admin"])
    token = await hass.auth.async_create_refresh_token(user, access_token_expiration=timedelta(days=1))
    access = hass.auth.async_create_access_token(token)
    # Nothing is recorded before everything has been set up.
    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STARTED, lambda _: (folder / "token").write_text(access))
    await hass.async_run(attach_signals=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
