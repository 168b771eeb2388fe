"""The app `lbkit`: its commands, those that plugins add (entry-point group `lbkit.cli`), and its exit codes.

Misuse ends with 3 everywhere: 2 would read as "down".
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from importlib.metadata import entry_points
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

from lbkit.errors import LbkitError

MISUSE = 3
GROUP = "lbkit.cli"
_OURS = {  # in the order of the help; where each is, to be imported once it is asked for
    "overview": "overview:overview",
    "why": "why:why",
    "check": "check:app",
    "explain": "explain:app",
    "drain": "servers:drain",
    "halt": "servers:halt",
    "online": "servers:online",
    "weight": "servers:weight",
    "intents": "intents:intents",
    "log": "log:log",
    "show-table": "tables:show_table",
    "clear-table": "tables:clear_table",
    "pin": "tables:pin",
    "failover": "failover:failover",
    "failback": "failover:failback",
    "pair": "pair:app",
    "init": "site_files:init",
    "lint": "site_files:lint",
    "schema": "site_files:schema",
    "render": "install:render_app",
    "diff": "install:diff",
    "apply": "install:apply",
    "reload": "install:reload",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "support-bundle": "support_bundle:support_bundle",
    "agent": "agent:agent",
    "certs": "certs:app",
    "alert": "alert:app",
    "pair-receive": "pair_receive:pair_receive",
    "snmp-answers": "snmp:snmp_answers",
    "plugins": "plugins:plugins",
    "doctor": "doctor:doctor",
}
_LOG_BY_THEMSELVES = ("agent", "pair-receive", "snmp-answers")
_HIDDEN = ("snmp-answers",)  # nobody types these
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Root(TyperGroup):
    """Our own commands and those of plugins, each imported only when it or the help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours in the order of their use, then the plugins'."""
        added = sorted({entry.name for entry in entry_points(group=GROUP)} - _OURS.keys())
        return [*_OURS, *added]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        return _our_own(cmd_name) if cmd_name in _OURS else _from_plugin(cmd_name)


def _our_own(name: str) -> Any:
    module, _, attribute = _OURS[name].partition(":")
    found = getattr(import_module(f"lbkit_cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, hidden=name in _HIDDEN)(found)
    return typer.main.get_command(single)


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


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lbkit {version('lbkit-cli')}")
        raise typer.Exit


@app.callback()
def lbkit(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Check and operate the load balancers in front of a hospital's systems.

    Exit codes of checks: 0 up, 1 up with a warning, 2 down, 3 could not be run.
    Of operations: 0 done, 1 done here and pending on the other node, 2 failed, 3 misuse, 4 refused (needs --force),
    5 the wait ran out.
    """
    if ctx.invoked_subcommand not in _LOG_BY_THEMSELVES:
        from lbkit_cli.logs import log_events

        log_events()


def main() -> None:
    """What the installed command runs."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of ISO-8859 has no letters for all that people write
    try:
        code = app(standalone_mode=False)
        print(end="", flush=True)  # what fails now would fail with a traceback at the end
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
    except OSError as e:
        if e.errno not in (errno.EPIPE, *_FULL):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it is tried once more at the end
        code = 1
        if e.errno != errno.EPIPE:  # nobody reads on, as behind `| head`: that is no fault
            print(f"lbkit: what it says can't be written: {os.strerror(e.errno)}. Make room (df).", file=sys.stderr)
            code = MISUSE
    sys.exit(code)
