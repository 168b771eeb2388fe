"""Why a VIP, or one of its real servers, is as it is: one page for 3 a.m."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbkit.durations import written
from lbkit.errors import EngineError
from lbkit.operate.engines import engine_of
from lbkit.operate.outcome import ServerView, VipView
from lbkit.operate.overview import overview
from lbkit.operate.wording import in_words, many
from lbkit.site.model import Site
from lbkit.site.naming import server_of, vip_of
from lbkit.site.services import Mode
from lbkit.state.intents import Intents

_COLOURS = {
    "green": "all of its real servers serve",
    "yellow": "not all of its real servers serve",
    "red": "none serves",
}


@dataclass(slots=True)
class Explained:
    """`paragraphs`: headings with their sentences. `next`: commands that are worth typing now."""

    title: str
    paragraphs: list[tuple[str, list[str]]] = field(default_factory=list)
    next: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the keys are stable."""
        paragraphs = [{"about": about, "sentences": sentences} for about, sentences in self.paragraphs]
        return {"title": self.title, "paragraphs": paragraphs, "next": self.next}


def why(site: Site, vip: str, server: str | None = None, state: Path | None = None) -> Explained:
    """Health with the last failing step, intents, who changed what last, where traffic goes, what to type next.

    Raises Misuse, EngineError.
    """
    found = vip_of(site, vip)
    view = overview(site, [vip], state)[0]
    if view.unseen:
        raise EngineError(view.unseen)
    chosen = [one for one in view.servers if server is None or one.label == server_of(found, server).label]
    told = Explained(f"{vip} is {view.colour}: {_COLOURS[view.colour or 'red']}")
    told.paragraphs.append(("where traffic goes", _traffic(site, view, state)))
    for one in chosen:
        told.paragraphs.append((one.label, _server(found.mode, one, Intents(state).of(vip, one.label))))
        told.next += _next(view, one)
    told.next += [warning.rpartition(": ")[2] for warning in view.warnings if ": lbkit " in warning]
    told.next = list(dict.fromkeys(told.next)) or [f"lbkit check site {shlex.quote(vip)}"]
    return told


def _traffic(site: Site, view: VipView, state: Path | None) -> list[str]:
    vip = view.vip
    serving = [server.label for server in view.servers if server.serves]
    said = [f"{many(view.connections, 'client')} connected."]
    if not serving:
        said.append("New clients go to the fallback server." if view.fallback else "New clients are turned away.")
    elif vip.persistence.mode == "last-successful":
        if view.stuck_to in serving:
            said.append(f"All new clients go to {view.stuck_to}: the VIP is stuck to it (Last Successful).")
        else:
            goes = serving[0] if vip.scheduler == "first" else f"one of {', '.join(serving)}"
            said.append(
                f"The VIP is stuck to no server that serves: the next client goes to {goes}, and all others after it."
            )
    else:
        said.append(f"New clients are balanced between {', '.join(serving)} ({vip.scheduler}).")
    if vip.persistence.mode == "source-ip":
        engine = engine_of(site, vip, state)
        kept = {one.label: engine.entries(vip, one.label) for one in view.servers}
        said.append(
            f"Clients that the table keeps: {', '.join(f'{number} on {label}' for label, number in kept.items())}."
        )
    if vip.persistence.mode == "http-cookie":
        said.append("A browser that has been here goes where its cookie says, if that server is up.")
    return [*said, *view.warnings]


def _server(mode: Mode, one: ServerView, last: Any) -> list[str]:
    since = f" for {written(float(round(one.since)))}" if one.since >= 1 else ""
    said = [f"It is {one.health}{since}. Its last check: {(one.why or 'none yet').removesuffix('.')}."]
    if one.engine == "halt" and one.health == "unknown" and mode == "l7-snat":
        said.append("It is halted: its checks are stopped, so its health is not known.")
    said.append(f"An operator asked last: {in_words(last)}." if last else "No operator asked anything of it.")
    if one.drift:
        said.append(f"Drift: {one.drift}.")
    old = f", {one.old_connections} of them of before a reload" if one.old_connections else ""
    now = many(one.connections, "open connection")
    said.append(f"{now}{old}; {one.total} since its engine has it. Weight {one.weight}.")
    return said


def _next(view: VipView, one: ServerView) -> list[str]:
    names = f"{shlex.quote(view.label)} {shlex.quote(one.label)}"
    if one.drift:
        return ["lbkit apply"]
    if one.is_out:
        return [f"lbkit online {names}"]
    if one.health == "down":
        return [f"lbkit check site {shlex.quote(view.label)} --real-only -v"]
    return []
