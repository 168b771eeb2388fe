"""`lbkit pair`: the two nodes; and `lbkit pair-receive`, by which one of them asks the other."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_OURS: dict[str, str] = {  # in the order of the help; where each is, to be imported once it is asked for
    "status": "pair_status:status",
    "setup": "pair_setup:setup",
    "measure": "pair_measure:measure",
    "sync": "pair_sync:sync",
    "leave": "pair_leave:leave",
    "replace-node": "pair_leave:replace_node",
    "maintenance": "pair_maintenance:maintenance",
}


class _Commands(TyperGroup):
    """Each imported only when it or the help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of their use."""
        return list(_OURS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in _OURS:
            return None
        module, _, attribute = _OURS[cmd_name].partition(":")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(import_module(f"lbkit_cli.{module}"), attribute))
        return typer.main.get_command(single)


app = typer.Typer(cls=_Commands, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _pair() -> None:
    """See how the two nodes are, have them meet, and keep them alike.

    \b
    Example: lbkit pair status
    """
