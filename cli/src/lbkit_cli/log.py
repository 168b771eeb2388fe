"""`lbkit log`: what has happened on this node: found by checks, seen by the agent, asked for by operators."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta
from datetime import time as clock
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.errors import Misuse
from lbkit_cli.site_option import server_labels, vip_labels
from lbkit_cli.terminal import console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lbkit.state.events import Event
    from lbkit.state.log import EventLog, Place

_SHOWN = 50  # events, where neither their number nor their time is given
_LOOKS_EVERY = 0.5  # seconds
_COLOURS = {"warning": "yellow", "alarm": "red"}


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


def _kinds(incomplete: str) -> list[str]:
    from typing import get_args

    from lbkit.state.events import EventKind

    return [one for one in get_args(EventKind) if one.startswith(incomplete)]


def log(
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="All of the last 2h, or since 03:00, or 2026-11-23T10:00."),
    ] = None,
    vip: Annotated[
        str | None, typer.Option("--vip", metavar="VIP", help="Of this VIP.", autocompletion=vip_labels)
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", metavar="RIP", help="Of this real server, by label or address.", autocompletion=server_labels
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Of this kind, such as server-down.", autocompletion=_kinds),
    ] = None,
    level: Annotated[Level, typer.Option("--level", help="That matter as much, or more.")] = Level.INFO,
    number: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="N", help=f"The last N. [default: {_SHOWN}, with --since all]"),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show what has happened on this node, the newest last: when, level, kind, what; by whom, from where, and why.

    \b
    Example: lbkit log --since 2h --vip CCW_NOTIFICATION
    """
    from lbkit.state.log import EventLog

    begin = 0.0 if since is None else _moment(since)
    most = _SHOWN if number is None and since is None else number
    wanted, events = _filter(vip, server, kind, level), EventLog()
    found, place = events.last(most, begin, wanted)
    if not found:
        _demand_known(events, vip, server)
    _print(found, as_json)
    if follow:
        _follow(events, place, wanted, as_json)
    elif not found and not as_json:
        typer.echo("nothing of that is in the log")


def _filter(vip: str | None, server: str | None, kind: str | None, level: Level) -> Callable[[Event], bool]:
    if kind is not None and kind not in _kinds(""):
        raise Misuse(f"--kind {kind!r:.40}: there is no such kind of event. Give one of {', '.join(_kinds(''))}.")
    levels = list(Level)[list(Level).index(level) :]
    return lambda event: (
        vip in (None, event.vip)
        and server in (None, event.server, event.address)
        and kind in (None, event.kind)
        and event.level in levels
    )


def _demand_known(events: EventLog, vip: str | None, server: str | None) -> None:
    """Raise Misuse for a label that neither the site, where there is one, nor the log has: a slip is not "nothing"."""
    from lbkit import load_site
    from lbkit.errors import LbkitError
    from lbkit.site.naming import everywhere, server_of, vip_of

    if vip is None and server is None:
        return
    try:
        site = load_site()
    except LbkitError:
        return
    try:
        if server is None:
            vip_of(site, vip or "")
        elif vip is None:
            next(everywhere(site, server))
        else:
            server_of(vip_of(site, vip), server)
    except Misuse:
        if not events.last(1, wanted=_filter(vip, server, None, Level.INFO))[0]:
            raise


def _moment(text: str) -> float:
    """Seconds since the epoch: of a time span up to now, of a local time, or of the last 03:00. Raises Misuse."""
    from lbkit.durations import seconds

    try:
        return time.time() - seconds(text)
    except ValueError:
        pass
    now = datetime.now()
    try:
        if ":" in text[:3]:
            found = datetime.combine(now, clock.fromisoformat(text))
            return (found if found <= now else found - timedelta(days=1)).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError, TypeError):
        raise Misuse(
            f"--since {text!r:.40} is no time. Give a span, such as 2h or 30m, or a time, such as 03:00 or 2026-11-23T10:00."
        ) from None


def _follow(events: EventLog, place: Place, wanted: Callable[[Event], bool], as_json: bool) -> None:
    try:
        while True:
            read = events.read(place)
            if read.gone:
                gone = f"{read.gone} files of the log are gone, with events in them that were not shown yet"
                typer.echo(gone, err=True)
            _print([event for event, _ in read.events if wanted(event)], as_json)
            place = read.end
            if not read.events:
                time.sleep(_LOOKS_EVERY)
    except KeyboardInterrupt:
        return


def _print(found: Sequence[Event], as_json: bool) -> None:
    from rich.text import Text

    terminal = console()
    for one in found:
        if as_json:
            typer.echo(json.dumps(one.as_dict(), ensure_ascii=False))
        elif one.level == "info":
            typer.echo(_line(one))  # a hundred times as fast
        else:
            terminal.print(Text(_line(one), _COLOURS[one.level]), soft_wrap=True)
    sys.stdout.flush()


def _line(event: Event) -> str:
    from lbkit.checks.conversation import printable

    when = datetime.fromtimestamp(event.when).astimezone()
    who = " from ".join(filter(None, (event.who, event.origin)))
    said = ": ".join(filter(None, (f"by {who}" if who else "", event.why)))
    return printable(f"{when:%Y-%m-%d %H:%M:%S} {event.level} {event.kind}: {event.text}{f' ({said})' if said else ''}")
