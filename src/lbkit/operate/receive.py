"""What the other node may ask of this one: the server's side of `lbkit.pair.link`.

`lbkit pair-receive` serves it on its stdin and stdout, started by sshd for a key that may do nothing else. Each question is
a function somewhere in `lbkit.operate`, imported when it is asked for; it gets this node and the question's values, and
returns what JSON can carry.
"""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

from lbkit.checks.plan import KindOf
from lbkit.errors import LbkitError, Misuse, RolledBack
from lbkit.pair.lines import Lines
from lbkit.pair.link import LIMIT, VERSION
from lbkit.site.model import Node, Site
from lbkit.state.agent import Agent
from lbkit.state.node import node_of

_SILENT_FOR = 120.0  # seconds without a question, after which the conversation ends: the agent asks every second
_QUESTIONS = {
    "hello": "receive:hello",
    "agent": "receive:agent",
    "status": "node_look:status",
    "status.probe": "node_look:probe",
    "intents": "replicate:intents",
    "connections": "replicate:connections",
    "table": "both_tables:table",
    "sync.state": "sync_taken:state",
    "sync.take": "sync_taken:take",
    "sync.left": "leave:told",
    "own_settings": "own_settings:asked",
    "handover.look": "handover:look",
    "handover.prepare": "handover:prepare",
    "handover.moved": "handover:moved",
    "handover.cut": "handover:cut",
    "handover.left": "handover:left",
    "handover.over": "handover:over",
    "handover.accept": "handover:accept",
    "handover.refuse": "handover:refuse",
    "handover.prefer": "handover:prefer",
    "handover.roles": "handover:roles",
    "handover.wait": "handover:wait",
    "handover.maintain": "handover:maintain",
}


@dataclass
class Here:
    """This node, for questions. `load`: reads its site; raises LbkitError. `state`: the folder of intents."""

    site_file: Path
    load: Callable[[], Site]
    kind_of: KindOf
    state: Path | None = None
    _seen: tuple[int, int, int] | None = None

    @cached_property
    def site(self) -> Site:
        """Its site, read when the first question needs it; forgotten when a question has changed it."""
        return self.load()

    @property
    def node(self) -> Node:
        """Which node of the pair it is. Raises Misuse where its site has none."""
        found = node_of(self.site)
        if found is None:
            raise Misuse(f"{self.site_file} has no [pair]. Give it the site of the other node: lbkit pair sync")
        return found

    def look(self) -> None:
        """Forget the site where its file is another one by now: a conversation may last for weeks."""
        try:
            found = self.site_file.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            seen = None
        if seen != self._seen:
            self.__dict__.pop("site", None)
        self._seen = seen


Answer = Callable[[Here, Mapping[str, Any]], Mapping[str, Any]]


def serve(here: Here, source: RawIOBase, sink: BinaryIO) -> None:
    """Answer questions until the other node hangs up, or is silent for two minutes. `source` is unbuffered."""
    lines = Lines()
    while True:
        if (line := lines.take()) is not None:
            here.look()
            try:
                sink.write(json.dumps(_answered(here, line)).encode() + b"\n")
                sink.flush()
            except BrokenPipeError:
                return
            continue
        if not select.select([source], [], [], _SILENT_FOR)[0]:
            return
        part = source.read(1 << 16)
        if not part or len(lines) > LIMIT:
            return
        lines.feed(part)


def _answered(here: Here, line: bytes) -> Mapping[str, Any]:
    try:
        name, values = _question(line)
        return {"ok": True, **_function(name)(here, values)}
    except LbkitError as e:
        return {"ok": False, "error": str(e), "code": e.exit_code, "rolled_back": isinstance(e, RolledBack)}
    except Exception as e:  # the other node is told, rather than hung up on
        return {"ok": False, "error": f"a fault of lbkit: {type(e).__name__}: {e}", "code": 2}


def _question(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        document = json.loads(line)
        found, name = document["version"], document["ask"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Misuse("this is no question that a node asks. Is the other node's lbkit of this version?") from None
    if found != VERSION:
        raise Misuse(
            f"the other node speaks version {found!r:.20}, this one {VERSION}. Install the same lbkit on both nodes."
        )
    return str(name), document


def _function(name: str) -> Answer:
    where = _QUESTIONS.get(name)
    if where is None:
        raise Misuse(
            f"this node's lbkit {version('lbkit-core')} knows no question {name!r:.40}. Install the same on both."
        )
    module, _, attribute = where.partition(":")
    found: Answer = getattr(import_module(f"lbkit.operate.{module}"), attribute)
    return found


def hello(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Who is there: the node ("" where it has no site that says so), its lbkit, its clock (seconds since the epoch)."""
    try:
        node = here.node.name
    except LbkitError:
        node = ""
    return {"node": node, "lbkit": version("lbkit-core"), "time": time.time()}


def agent(here: Here, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the agent of this node says: `question` is one of its own, `state` by default."""
    door = Agent(here.site.agent.socket)
    asked = {"state": door.state, "reconcile": door.reconcile}.get(str(values.get("question", "state")))
    if asked is None:
        raise Misuse(f"the agent is not asked {values.get('question')!r:.40} from the other node.")
    return {"agent": asked().as_dict()}
