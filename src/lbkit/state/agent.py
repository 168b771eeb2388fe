"""Asking the agent of this node: its unix socket, one JSON object a line, one question a connection.

A question is `{"version": 1, "ask": "state"}`; an answer has `"ok": true`, or `"ok": false` and an `"error"` in words.

    state       what it knows now
    reconcile   read the intents anew, bring the engines to them, then answer as to `state`
    reload      read the site file anew and bring the engines to it, then answer as to `state`
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lbkit.errors import EngineError, NotAllowed, NotAnswering, NotDone, NotRunning
from lbkit.state.observed import VipState
from lbkit.state.pair import PairSeen

VERSION = 1
LIMIT = 16 << 20  # bytes of an answer
_AT_ONCE = 5.0  # seconds for an answer that it has ready
Question = Literal["state", "reconcile", "reload"]


def for_snmpd(path: str) -> Path:
    """The socket beside the agent's that answers `state` alone: where its folder is there, which snmpd's user may enter."""
    return Path(path).with_name("snmp") / Path(path).name


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent says of itself and of the VIPs: `vips` are those of layer 4.

    `observe`: it writes nothing. `site`: its name, `site_file`: where it was read. `generation`: of the intents that
    it has in force. `trouble`: what keeps it from its work, "": nothing. `checks`: how many run. `lag`: seconds that
    its loop was late at the 99th percentile, of late. `pair`: this node in its pair, None: it has none. `layer_7`: the VIPs
    of layer 7 as HAProxy had them a second or two ago, {}: not known. `counters`: events by kind since it started.
    `receivers`: what keeps each from taking events, "": nothing.
    """

    pid: int
    observe: bool
    site: str
    site_file: str
    generation: int
    vips: Mapping[str, VipState]
    trouble: str = ""
    checks: int = 0
    lag: float = 0.0
    pair: PairSeen | None = None
    layer_7: Mapping[str, VipState] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    receivers: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For its answer."""
        return {
            "pid": self.pid,
            "observe": self.observe,
            "site": self.site,
            "site_file": self.site_file,
            "generation": self.generation,
            "trouble": self.trouble,
            "checks": self.checks,
            "lag_s": round(self.lag, 6),
            "vips": {label: vip.as_dict() for label, vip in self.vips.items()},
            "pair": self.pair.as_dict() if self.pair else None,
            "layer_7": {label: vip.as_dict() for label, vip in self.layer_7.items()},
            "counters": dict(self.counters),
            "receivers": dict(self.receivers),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> AgentState:
        """What `as_dict` gave, of an older agent too. Raises KeyError, TypeError, AttributeError for anything else."""
        vips = {label: VipState.of(vip) for label, vip in values["vips"].items()}
        layer_7 = {label: VipState.of(vip) for label, vip in values.get("layer_7", {}).items()}
        return cls(
            values["pid"],
            values["observe"],
            values["site"],
            values["site_file"],
            values["generation"],
            vips,
            values["trouble"],
            values["checks"],
            values["lag_s"],
            PairSeen.of(values["pair"]) if values["pair"] else None,
            layer_7,
            values.get("counters", {}),
            values.get("receivers", {}),
        )


class Agent:
    """The agent that listens at `path`. `timeout`: seconds for each question.

    All methods raise NotRunning where nobody is there, NotAnswering where the agent hangs, NotAllowed where this user may
    not ask, NotDone for what the agent could not do, in its words.
    """

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout

    def state(self) -> AgentState:
        """What it knows now."""
        return self._ask("state", min(self._timeout, _AT_ONCE))

    def reconcile(self) -> AgentState:
        """Have it read the intents anew; it answers when the engines are brought to them."""
        return self._ask("reconcile", self._timeout)

    def reload(self) -> AgentState:
        """Have it read the site file anew; it answers when the engines are brought to it."""
        return self._ask("reload", self._timeout)

    def _ask(self, question: Question, timeout: float) -> AgentState:
        line = json.dumps({"version": VERSION, "ask": question}).encode() + b"\n"
        try:
            answer = json.loads(self._exchange(line, timeout))
            if answer["ok"]:
                return AgentState.of(answer)
            error = str(answer["error"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EngineError(
                f"the agent at {self._path} answers in a way that this lbkit does not know. Are both of one version? "
                "lbkit doctor"
            ) from None
        raise NotDone(f"the agent says: {error}")

    def _exchange(self, line: bytes, timeout: float) -> bytes:
        """The answer to a line, until the agent hangs up."""
        deadline = time.monotonic() + timeout
        parts, size = [], 0
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asked:
                asked.settimeout(timeout)
                asked.connect(self._path)
                asked.sendall(line)
                while part := asked.recv(1 << 16):
                    parts.append(part)
                    size += len(part)
                    if size > LIMIT:
                        raise EngineError(f"the agent at {self._path} answers without end. Restart it.")
                    asked.settimeout(max(0.001, deadline - time.monotonic()))
        except (TimeoutError, BlockingIOError):  # the second: as many wait for it as may
            raise NotAnswering(
                f"the agent at {self._path} runs, and has not answered in {timeout:g} s: it hangs. See its log: "
                "journalctl -u lbkit-agent. Then: systemctl restart lbkit-agent"
            ) from None
        except PermissionError:
            raise NotAllowed(
                f"the agent's socket {self._path} is not for this user. Run this as root, or join its group."
            ) from None
        except OSError as e:
            raise NotRunning(
                f"no agent answers at {self._path}: {e.strerror}. Start it: systemctl start lbkit-agent, or lbkit agent"
            ) from None
        return b"".join(parts)
