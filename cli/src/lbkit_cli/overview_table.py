"""The overview for a human at a terminal: the VIPs with their real servers (guide 10), then what is odd, in words."""

from __future__ import annotations

from time import strftime, time
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lbkit.checks.conversation import printable
from lbkit.ipvs.table import bracketed
from lbkit_cli.moments import moment, span

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from rich.console import Console, RenderableType

    from lbkit.operate.outcome import ServerView, VipView
    from lbkit.state.intents import Intent

STUCK = "▸"
_UNBOUNDED = 10_000  # columns
_HEADS = ("VIP, real server", "address", "mode, weight", "conns", "intent", "health")
_SPARED: tuple[tuple[str, ...], ...] = ((), ("mode, weight",), ("mode, weight", "address"))  # the first that fits
_STYLES = {"green": "green", "yellow": "yellow", "red": "bold red", "blue": "blue", None: "yellow"}


def overview(views: Sequence[VipView], console: Console, brief: bool = False) -> RenderableType:
    """All of it; where that is wider than the console, without columns that can be done without.

    `brief`: the real servers of VIPs where all is well are left out.
    """
    mark = "*" if console.options.ascii_only else STUCK
    rows = [row for view in views for row in _rows(view, brief, mark)]
    unbounded = console.options.update_width(_UNBOUNDED)
    for spared in _SPARED:
        table = _table(rows, spared)
        if console.measure(table, options=unbounded).maximum <= console.width:
            break
    return Group(table, *_sentences(views))


def _rows(view: VipView, brief: bool, mark: str) -> list[list[Text]]:
    return [_of_vip(view)] if brief and is_well(view) else [_of_vip(view), *_of_servers(view, mark)]


def _table(rows: Sequence[Sequence[Text]], spared: Container[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in _HEADS:
        if head not in spared:
            table.add_column(
                head, no_wrap=head == _HEADS[0], overflow="fold", justify="right" if head == "conns" else "left"
            )
    for row in rows:
        table.add_row(*(cell for head, cell in zip(_HEADS, row, strict=True) if head not in spared))
    return table


def is_well(view: VipView) -> bool:
    """Nothing of it wants a look."""
    return exit_code([view]) == 0 and not view.warnings and not any(server.drift for server in view.servers)


def exit_code(views: Sequence[VipView]) -> int:
    """2: a VIP is red. 1: one is yellow or unseen, or a real server of it is down, unknown or out. Else 0."""
    colours = {view.colour for view in views}
    if "red" in colours:
        return 2
    return 1 if colours - {"green"} or any(one.colour != "green" for view in views for one in view.servers) else 0


def show(views: Sequence[VipView], console: Console) -> None:
    """Print it."""
    console.print(overview(views, console))


def screen(views: Sequence[VipView], trouble: str, console: Console, where: str = "") -> RenderableType:
    """What fits on it: VIPs where all is well without their real servers, if it has to be. `trouble`: why none is known.

    `where`: which node of a pair has the VIPs.
    """
    head = Text(f"{strftime('%H:%M:%S')}  Ctrl-C ends{f'  {where}' if where else ''}", "dim")
    if trouble:
        return Group(head, Text(f"\n{printable(trouble)}", "bold red"))
    whole = Group(head, overview(views, console))
    fits = len(console.render_lines(whole)) <= console.height
    return whole if fits else Group(head, overview(views, console, brief=True))


def _of_vip(view: VipView) -> list[Text]:
    vip = view.vip
    ports = ",".join(map(str, vip.ports))
    serving = sum(server.serves for server in view.servers)
    word = {"red": "RED", None: "unknown"}.get(view.colour, view.colour or "")
    told = "" if view.colour in ("green", None) else f" {serving} of {len(view.servers)} serve"
    return [
        Text(view.label, "bold"),
        Text(f"{bracketed(vip.address)}:{ports}"),
        Text(f"{vip.mode} {vip.protocol}"),
        Text("" if view.unseen else str(view.connections)),
        Text("to the fallback" if view.fallback else "", "bold red"),
        Text(f"{word}{told}", _STYLES[view.colour]),
    ]


def _of_servers(view: VipView, mark: str) -> Iterator[list[Text]]:
    for server in view.servers:
        port = f":{server.server.port}" if server.server.port else ""
        old = f" +{server.old_connections} old" if server.old_connections else ""
        inactive = f" +{server.inactive} inactive" if server.inactive else ""
        own = "" if server.weight == server.server.weight else f", site {server.server.weight}"
        yield [
            Text(f"  {mark if server.label == view.stuck_to else ' '} {server.label}", _STYLES[server.colour]),
            Text(f"{bracketed(server.server.address) if port else server.server.address}{port}"),
            Text(f"{server.weight}{own}"),
            Text(f"{server.connections - server.old_connections}{old}{inactive}"),
            _intent(server),
            _health(server),
        ]


def _intent(server: ServerView) -> Text:
    asked = server.intent
    wanted = asked.wanted if asked else "online"
    until = f" until {moment(asked.until, time())}" if asked and asked.until else ""
    text = Text(f"{wanted}{until}", "" if wanted == "online" else "blue")
    if server.engine != wanted:
        text.append(f" (is {server.engine})", "bold red")
    return text


def _health(server: ServerView) -> Text:
    """The colour is that of health alone: what the operator asked for stands in its own column."""
    word = {"down": "DOWN"}.get(server.health, server.health)
    colour = {"up": "green", "down": "bold red"}.get(server.health, "yellow")
    return Text(f"{word} {span(server.since)}", colour)


def _sentences(views: Sequence[VipView]) -> Iterator[Text]:
    unseen: dict[str, list[str]] = {}
    for view in views:
        if view.unseen:
            unseen.setdefault(view.unseen, []).append(view.label)
    for why, labels in unseen.items():
        yield _line("unknown", "yellow", ", ".join(labels), why)
    for view in views:
        for server in view.servers:
            who = f"{view.label} / {server.label}"
            if server.health == "down":
                yield _line("DOWN", "bold red", who, server.why or "its engine does not say why")
            if server.intent and server.intent.wanted != "online":
                yield _line(server.intent.wanted, "blue", who, _asked(server.intent))
            if server.drift:
                yield _line("drift", "bold red", who, server.drift)
        for warning in view.warnings:
            yield _line("warning", "yellow", "", warning)


def _asked(intent: Intent) -> str:
    why = f": {intent.why}" if intent.why else ""
    return f"by {intent.who or 'nobody knows whom'}, {moment(intent.when, time())}{why}"


def _line(word: str, style: str, who: str, sentence: str) -> Text:
    return Text.assemble((f"{word:<8} ", style), (f"{who}  " if who else "", "bold"), printable(sentence))
