"""What `direct-routing` declares: its parameters, its reason codes, and that it sends frames of its own."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from lbkit.checks.kind import Aside, CheckKind, Params, Seconds
from lbkit.hookspecs import hookimpl
from lbkit_direct_routing.asking import Asking, named
from lbkit_direct_routing.words import REASONS

if TYPE_CHECKING:
    from lbkit.checks.conversation import Outcome
    from lbkit.checks.target import Target


class DirectRoutingParams(Params):
    """From the balancer: does each real server of a layer-4 VIP take its packets, and leave its ARP to the balancer?"""

    port: int | None = Field(
        104, ge=1, le=65535, description="Port of a VIP that is given without one, and not by the site file either."
    )
    timeout: Seconds = Field(
        30.0, ge=3, description="The whole check ends within this time; each real server takes 1 to 3 seconds of it."
    )
    real_server: tuple[str, ...] = Field(
        (),
        max_length=256,
        description="A real server's own address, or LABEL=ADDRESS; may be given several times. [default: the site file's]",
    )
    node: tuple[str, ...] = Field(
        (),
        max_length=2,
        description="A node of the pair, likewise: it may hold the VIP. [default: the site file's]",
    )
    interface: str | None = Field(
        None, description="Where to look. [default: the one by which each real server is reached]"
    )
    site_file: str | None = Field(
        None, description="The site file. [default: $LBKIT_SITE, ./site.toml or /etc/lbkit/site.toml]"
    )

    @field_validator("real_server", "node")
    @classmethod
    def _addresses(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            named(one)
        return given


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
