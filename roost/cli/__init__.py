"""The command `roost`. Each command's module is imported only when it is the one that is called."""

import gc
import importlib
import keyword
import sys

import typer

import roost

# Name to module; a module has either `app` (a group of commands) or a function of the command's name.
_COMMANDS = {
    "run": "roost.cli.run",
    "api": "roost.cli.api",
    "mqtt": "roost.cli.mqtt",
    "worker": "roost.cli.worker",
    "db": "roost.cli.database",
    "device": "roost.cli.device",
    "audit": "roost.cli.audit",
    "user": "roost.cli.user",
    "seed": "roost.cli.seed",
    "telemetry": "roost.cli.telemetry",
    "export": "roost.cli.export",
    "import": "roost.cli.importing",
    "archive": "roost.cli.archive",
    "smoke": "roost.cli.smoke",
    "simulate": "roost.cli.simulate",
    "agent": "roost.cli.agent",
}


def main() -> None:
    """The entry point."""
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    names = [called] if called in _COMMANDS else [] if "--version" in sys.argv else list(_COMMANDS)
    # Importing makes many objects and hardly any garbage: the collector would only walk over them, now and at every
    # later round, a fifth of the time of a start.
    gc.disable()
    command = build(names)
    gc.freeze()
    gc.enable()
    command()


def build(names: list[str]) -> typer.Typer:
    """The command with these subcommands."""
    app = typer.Typer(
        name="roost", help="Roost, a self-hosted hub for devices.", no_args_is_help=True, add_completion=False,
        pretty_exceptions_enable=False,
    )  # fmt: skip
    app.callback()(_root)
    for name in names:
        module = importlib.import_module(_COMMANDS[name])
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            # The agent reads its own arguments.
            context_settings = getattr(module, "CONTEXT_SETTINGS", None)
            # No function can be called `import`.
            function = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
            app.command(name, context_settings=context_settings)(function)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roost {roost.__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(default=False, help="Show the version.", callback=_version, is_eager=True),
) -> None:
    """Roost, a self-hosted hub for devices."""
