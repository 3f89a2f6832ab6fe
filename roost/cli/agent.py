"""`roost agent`: this machine as a device of a hub, which may be another machine's."""

import os
import sys

import typer

# All of it is for the agent's own command line, its help included.
CONTEXT_SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def agent(context: typer.Context) -> None:
    """Turn this machine into a managed device: `roost agent pair`, then `roost agent run`."""
    # In place of this process: nothing of the hub stays in the memory of an agent that runs for years.
    # No shell, and the program is the one that runs this.
    os.execv(sys.executable, [sys.executable, "-m", "roost_device.agent", *context.args])  # noqa: S606 # nosec B606
