"""The app `lbkit`: its commands, those that plugins add (entry-point group `lbkit.cli`), and its exit codes.

Misuse ends with 3 everywhere: 2 would read as "down".
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from lbkit.errors import LbkitError
from lbkit_cli import check, doctor, explain, plugins, site_files

MISUSE = 3
GROUP = "lbkit.cli"
_OURS = ("check", "explain", "init", "lint", "schema", "plugins", "doctor")


class Root(TyperGroup):
    """Our own commands, and those of plugins, which are imported only when one of them or the help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours in the order of their use, then the plugins'."""
        added = sorted({entry.name for entry in entry_points(group=GROUP)} - self.commands.keys())
        return [*_OURS, *added]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        return self.commands.get(cmd_name) or _from_plugin(cmd_name)


def _from_plugin(name: str) -> Any:
    for entry in entry_points(group=GROUP, name=name):
        added = typer.Typer()
        added.callback()(lambda: None)
        try:
            entry.load()(added)
            return typer.main.get_group(added).commands.get(name)
        except Exception as e:  # a plugin's trouble is its own: the other commands go on working
            print(f"lbkit: the plugin of command {name} can't be loaded: {type(e).__name__}: {e}.", file=sys.stderr)
    return None


app = typer.Typer(cls=Root, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(check.app, name="check")
app.add_typer(explain.app, name="explain")
app.command("init")(site_files.init)
app.command("lint")(site_files.lint)
app.command("schema")(site_files.schema)
app.command("plugins")(plugins.plugins)
app.command("doctor")(doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lbkit {version('lbkit-cli')}")
        raise typer.Exit


@app.callback()
def lbkit(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Check and operate the load balancers in front of a hospital's systems.

    Exit codes of checks: 0 up, 1 up with a warning, 2 down, 3 could not be run.
    """


def main() -> None:
    """What the installed command runs."""
    try:
        code = app(standalone_mode=False)
    except LbkitError as e:
        print(f"lbkit: {e}", file=sys.stderr)
        code = e.exit_code
    except typer.TyperException as e:
        show = getattr(e, "show", None)
        if show is not None:
            show()
        else:
            print(f"lbkit: {e}", file=sys.stderr)
        code = MISUSE
    except typer.Abort:
        code = 130
    sys.exit(code)
