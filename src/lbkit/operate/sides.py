"""Both nodes of the pair, asked the same questions: this one by a call, the other one over the link."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbkit.errors import LbkitError
from lbkit.operate import handover
from lbkit.operate.fitness import Look
from lbkit.operate.receive import Here
from lbkit.pair.link import Link

_CLOCKS = 5  # questions: the one that was answered soonest tells the difference best
_LOOKS_WITHIN = 10.0  # seconds
_MORE = 3.0  # seconds that an answer may take beyond what was asked for


@dataclass
class Sides:
    """`here`: this node. `link`: to the other one."""

    here: Here
    link: Link

    def __post_init__(self) -> None:
        self.name = self.here.node.name
        self.peer = self.link.peer.name

    def other(self, node: str) -> str:
        """The name of the other one."""
        return self.peer if node == self.name else self.name

    def ask(self, node: str, question: str, **values: Any) -> Mapping[str, Any]:
        """What a node answers to `handover.QUESTION`; the other is told `from` whom. Raises as that, and as `Link.ask`."""
        if node != self.name:
            within = float(values.get("within", 0.0)) + _LOOKS_WITHIN
            return self.link.ask(f"handover.{question}", timeout=within, **{"from": self.name, **values})
        answer: Mapping[str, Any] = getattr(handover, question)(self.here, values)
        return answer

    def looks(self) -> dict[str, Look]:
        """How both are, by name, looked at at the same time. Raises EngineError."""
        found = self.together("look", {self.name: {}, self.peer: {}})
        return {node: Look.of(values) for node, values in found.items()}

    def together(self, question: str, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Ask both at the same time, each with its values. Raises what one of them raises; the peer's first."""
        found: dict[str, Mapping[str, Any]] = {}
        failed: list[LbkitError] = []

        def here() -> None:
            try:
                found[self.name] = self.ask(self.name, question, **values[self.name])
            except LbkitError as e:
                failed.append(e)

        thread = threading.Thread(target=here, daemon=True)
        thread.start()
        found[self.peer] = self.ask(self.peer, question, **values[self.peer])
        thread.join(float(values[self.name].get("within", 0.0)) + _LOOKS_WITHIN + _MORE)
        if failed:
            raise failed[0]
        return found

    def offset(self) -> float:
        """The peer's clock minus this one's, in seconds."""
        best = (float("inf"), 0.0)
        for _ in range(_CLOCKS):
            before = time.time()
            there = float(self.link.ask("hello")["time"])
            after = time.time()
            best = min(best, (after - before, there - (before + after) / 2))
        return best[1]
