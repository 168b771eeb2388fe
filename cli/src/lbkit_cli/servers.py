"""`lbkit drain`, `halt`, `online`, `weight`: what an operator asks of real servers."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import Rip, SiteFile, Vip, server_labels, vip_or_server_labels
from lbkit_cli.verb_options import DryRun, Force, Json, duration, exit_if_pending, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from lbkit.operate.asked import Asked
    from lbkit.operate.outcome import Done
    from lbkit.site.model import Site


class Sticky(StrEnum):
    """What becomes of clients whose persistence names the real server."""

    KEEP = "keep"
    MOVE = "move"


_VipOrRip: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="VIP", help="Its label; with --all-vips the real server.", autocompletion=vip_or_server_labels
    ),
]
_RipUnlessAll: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="RIP", help="A real server: label or address.", autocompletion=server_labels),
]
_AllVips: TypeAlias = Annotated[bool, typer.Option("--all-vips", help="The real server wherever the site has it.")]
_Reason: TypeAlias = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; `lbkit intents` and `lbkit log` show it.")
]
_For: TypeAlias = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="Online again after this time, such as 2h.")
]
_Wait: TypeAlias = Annotated[
    bool, typer.Option("--wait", help="Wait until no connection and no table entry is left on it.")
]
_Timeout: TypeAlias = Annotated[
    str,
    typer.Option("--timeout", metavar="DURATION", help="With --wait: the longest wait. What was done holds after it."),
]


def drain(
    vip: _VipOrRip,
    server: _RipUnlessAll = None,
    all_vips: _AllVips = False,
    sticky: Annotated[
        Sticky, typer.Option("--sticky", help="Clients whose persistence names it: keep them there, or move them too.")
    ] = Sticky.KEEP,
    wait: _Wait = False,
    timeout: _Timeout = "10m",
    for_: _For = None,
    reason: _Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Give a real server no new clients; open connections live on. It holds until `lbkit online`, through every reload.

    On a Last Successful VIP all new connections move at once. Exits with 4 if it is the last one that serves (--force),
    with 5 if the wait ran out.

    \b
    Example: lbkit drain CCW_NOTIFICATION CCW_App_Server_1 --wait --reason "Windows updates"
    """
    from lbkit import load_site
    from lbkit.operate.drain import drain as verb

    loaded, asked = load_site(site), _asked(vip, server, all_vips, reason, for_, force, dry_run)
    move = sticky is Sticky.MOVE
    _carry_out(loaded, lambda: verb(loaded, asked, move_sticky=move), wait and not dry_run, timeout, as_json)


def halt(
    vip: _VipOrRip,
    server: _RipUnlessAll = None,
    all_vips: _AllVips = False,
    wait: _Wait = False,
    timeout: _Timeout = "10m",
    for_: _For = None,
    reason: _Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Give a real server no new clients and end its open connections. It holds until `lbkit online`, through every reload.

    Exits with 4 if it is the last one that serves (--force), with 5 if the wait ran out.

    \b
    Example: lbkit halt CCW_App_Server_1 --all-vips --for 2h --dry-run
    """
    from lbkit import load_site
    from lbkit.operate.halt import halt as verb

    loaded, asked = load_site(site), _asked(vip, server, all_vips, reason, for_, force, dry_run)
    _carry_out(loaded, lambda: verb(loaded, asked), wait and not dry_run, timeout, as_json)


def online(
    vip: _VipOrRip,
    server: _RipUnlessAll = None,
    all_vips: _AllVips = False,
    reason: _Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Take a drain or a halt back: the real server gets new clients again, as soon as its checks find it up.

    \b
    Example: lbkit online CCW_NOTIFICATION CCW_App_Server_1
    """
    from lbkit import load_site
    from lbkit.operate.online import online as verb

    done = verb(load_site(site), _asked(vip, server, all_vips, reason, None, False, dry_run))
    tell(done, as_json)
    exit_if_pending(done)


def weight(
    vip: Vip,
    server: Rip,
    number: Annotated[int, typer.Argument(metavar="N", min=0, max=256, help="0 to 256. 0: no new connections.")],
    for_: _For = None,
    reason: _Reason = "",
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    site: SiteFile = None,
) -> None:
    """Give a real server another share of new connections than the site file does.

    \b
    Example: lbkit weight CCW_WEB_443 CCW_App_Server_2 50
    """
    from lbkit import load_site
    from lbkit.operate.weight import weight as verb

    done = verb(load_site(site), _asked(vip, server, False, reason, for_, force, dry_run), number)
    tell(done, as_json)
    exit_if_pending(done)


def _asked(
    first: str, second: str | None, all_vips: bool, reason: str, for_: str | None, force: bool, dry_run: bool
) -> Asked:
    from lbkit.operate.asked import Asked

    if all_vips and second is not None:
        raise Misuse(f"{first} and --all-vips contradict each other. Give the real server alone, or no --all-vips.")
    if not all_vips and second is None:
        raise Misuse(f"{first} alone says not which real server of which VIP. Give VIP and RIP, or RIP and --all-vips.")
    until = None if for_ is None else time.time() + duration("--for", for_)
    vip, server = (None, first) if second is None else (first, second)
    return Asked(vip, server, why=reason, until=until, force=force, dry_run=dry_run)


def _carry_out(site: Site, verb: Callable[[], list[Done]], wait: bool, timeout: str, as_json: bool) -> None:
    from lbkit_cli.waiting import wait_for

    limit = duration("--timeout", timeout)
    done = verb()
    if not as_json:
        tell(done)
    try:
        if wait:
            wait_for(site, done, limit)
    finally:
        if as_json:  # with the numbers of the wait's end
            tell(done, as_json=True)
    exit_if_pending(done)
