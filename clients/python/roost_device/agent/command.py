"""The command `roost-agent`, which is also `roost agent`."""

import argparse
import logging
import sys
from pathlib import Path

from roost_device import DeviceError, NotNow, Refused, TokenRefused, __version__
from roost_device.agent import settings as agent_settings
from roost_device.agent.settings import CONFIG, FOLDER, AgentSettings, SettingsError
from roost_device.device import Device

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """The entry point."""
    asked = _parser().parse_args(arguments)
    try:
        asked.run(asked)
    except (SettingsError, DeviceError, ValueError, OSError) as error:
        sys.exit(str(error))
    except (KeyboardInterrupt, EOFError):
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="roost-agent", description="This machine as a device of a Roost hub.")
    parser.add_argument("--version", action="version", version=f"roost-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pair = commands.add_parser("pair", help="get a token with a code from the hub")
    pair.add_argument("--url", help="address of the hub; kept in the settings file when there is none yet")
    pair.add_argument("--uid", help="the name by which the hub shall know this machine")
    pair.add_argument("--folder", type=Path, help="where the agent keeps its data")
    pair.add_argument("--code", help="the pairing code; asked for when missing")
    pair.add_argument("--token", help="a token of a device that was registered with this uid, instead of a code")
    pair.set_defaults(run=_pair)
    run = commands.add_parser("run", help="do the work, in the foreground")
    run.set_defaults(run=_run)
    status = commands.add_parser("status", help="say who this machine is and what waits to be sent")
    status.set_defaults(run=_status)
    for command in (pair, run, status):
        command.add_argument("--config", type=Path, default=CONFIG, help=f"settings file ({CONFIG})")
    return parser


def _pair(asked: argparse.Namespace) -> None:
    if asked.url:
        uid = asked.uid or agent_settings.default_uid()
        agent_settings.write(asked.config, asked.url, uid, asked.folder or FOLDER)
    settings = agent_settings.load(asked.config)
    device = _device(settings)
    if device.paired and _still_known(device):
        _say(f"This machine is device {device.identity.device_id} ({settings.device_uid}) already.")
        return
    device.forget_token()
    if asked.token:
        device.hub.token = asked.token
        _, known = device.hub.call("GET", "/devices/whoami")
        if known["device_uid"] != settings.device_uid:
            raise SettingsError(f"The token belongs to {known['device_uid']!r}, not to {settings.device_uid!r}.")
        device.use_token(known["device_id"], asked.token)
    else:
        device.say_hello()
        _say(f"The hub knows this machine as {settings.device_uid!r} now.")
        _say("Add a device with this uid there to get a code.")
        _confirm(device, asked.code)
    _say(f"Paired: this machine is device {device.identity.device_id}. Start the agent with: roost-agent run")


def _confirm(device: Device, code: str | None) -> None:
    while True:
        try:
            device.pair(code or input("Pairing code: "))
        except Refused as error:
            if code or error.status != 404:
                raise
            _say(error.detail)
        else:
            return


def _still_known(device: Device) -> bool:
    try:
        device.hub.call("GET", "/devices/whoami")
    except TokenRefused:
        return False
    except NotNow as error:
        raise SettingsError(f"{error} Whether this machine is still paired is not known.") from None
    return True


def _run(asked: argparse.Namespace) -> None:
    # Here, since pairing a machine needs none of it.
    from roost_device.agent.service import Agent  # noqa: PLC0415
    from roost_device.agent.skills import RecentLines  # noqa: PLC0415

    recent = RecentLines()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    recent.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(recent)
    agent = Agent(agent_settings.load(asked.config), recent)
    agent.handle_signals()
    agent.run()


def _status(asked: argparse.Namespace) -> None:
    settings = agent_settings.load(asked.config)
    device = _device(settings)
    _say(f"uid      {settings.device_uid}\nhub      {settings.url} ({settings.transport})")
    _say(f"device   {device.identity.device_id or 'not paired'}\nwaiting  {len(device.spool)} messages")
    _say(f"allowed  {', '.join(settings.allow) or 'nothing that could do harm'}")


def _device(settings: AgentSettings) -> Device:
    return Device(settings.url, settings.folder, settings.device_uid, ca=settings.ca)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
