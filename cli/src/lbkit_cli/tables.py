"""`lbkit show-table`, `clear-table`, `pin`: the persistence of a VIP, as its engine holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import RipOrNone, SiteFile, Vip, server_labels
from lbkit_cli.terminal import console
from lbkit_cli.verb_options import DryRun, Force, Json, Reason, exit_if_pending, print_json, tell

if TYPE_CHECKING:
    from lbkit.operate.tables import Shown

_Key: TypeAlias = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The entry of this key alone, such as a client's address.")
]
_OfServer: TypeAlias = Annotated[
    str | None,
    typer.Option("--server", metavar="RIP", help="The entries of this real server.", autocompletion=server_labels),
]


def show_table(
    vip: Vip,
    key: _Key = None,
    server: _OfServer = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="The most entries that are shown.")] = 1000,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Show which clients a VIP keeps on which real server; of a Last Successful VIP, where all of it goes.

    \b
    Example: lbkit show-table CCW_NOTIFICATION
    """
    from lbkit import load_site
    from lbkit.operate.tables import show

    table = show(load_site(site), vip, key=key, server=server, limit=limit)
    if as_json:
        print_json(table.as_dict())
    else:
        _print(table)


def clear_table(
    vip: Vip,
    key: _Key = None,
    server: _OfServer = None,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End the open connections too, so that all clients choose anew.")
    ] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Forget which clients a VIP keeps on which real server: all of it, one key, or one real server's.

    \b
    Example: lbkit clear-table CCG_IB_2101
    """
    from lbkit import load_site
    from lbkit.operate.tables import clear

    loaded = load_site(site)
    done = clear(loaded, vip, key=key, server=server, end_sessions=end_sessions, dry_run=dry_run, why=reason)
    tell([done], as_json)
    exit_if_pending([done])


def pin(
    vip: Vip,
    server: RipOrNone = None,
    first: Annotated[bool, typer.Option("--first", help="The first real server in the site file.")] = False,
    reason: Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Move a Last Successful VIP to a real server that is up; open connections stay where they are.

    Exits with 4 if the real server is not up (--force).

    \b
    Example: lbkit pin CCW_NOTIFICATION --first
    """
    from lbkit import load_site
    from lbkit.operate.tables import pin as verb

    if first == (server is not None):
        raise Misuse("it is not said which real server the VIP goes to. Give RIP or --first, one of them.")
    done = verb(load_site(site), vip, server, first=first, force=force, dry_run=dry_run, why=reason)
    tell([done], as_json)
    exit_if_pending([done])


def _print(table: Shown) -> None:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    from lbkit.checks.conversation import printable
    from lbkit_cli.moments import span

    terminal = console()
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("key", "real server", "ends in", "in use by"):
        grid.add_column(head, overflow="fold")
    for entry in table.entries:
        ends = "never" if entry.expires_in is None else span(entry.expires_in)
        grid.add_row(Text(printable(entry.key)), Text(printable(entry.server or "none")), ends, str(entry.uses))
    more = f"; {table.more} more than are shown (--limit)" if table.more else ""
    terminal.print(grid)
    terminal.print(f"{table.vip}: {table.used} of {table.size} places are used{more}")
