"""What `direct-routing` declares: its reason codes, and that it sends frames of its own."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from lbkit.checks.kind import Aside, CheckKind
from lbkit.hookspecs import hookimpl
from lbkit_direct_routing.asking import Asking
from lbkit_direct_routing.params import DirectRoutingParams
from lbkit_direct_routing.words import REASONS

if TYPE_CHECKING:
    from lbkit.checks.conversation import Outcome
    from lbkit.checks.target import Target


class _DirectRouting(Aside):
    def __init__(self, params: DirectRoutingParams) -> None:
        self._timeout = params.timeout
        self._asking = Asking(params)

    def target(self, text: str) -> Target:
        return self._asking.target(text)

    def run(self, target: Target, steps: dict[str, float], abandoned: Callable[[], bool]) -> Outcome:
        from lbkit_direct_routing.course import observe
        from lbkit_direct_routing.verdict import judge

        return judge(observe(self._asking.asked(target), monotonic() + self._timeout, steps, abandoned))


@hookimpl
def lbkit_checks() -> list[CheckKind[DirectRoutingParams]]:
    """The check direct-routing."""
    summary = "from the balancer: real servers take packets for a layer-4 VIP, and leave its ARP alone"
    return [CheckKind("direct-routing", summary, DirectRoutingParams, _DirectRouting, REASONS)]
