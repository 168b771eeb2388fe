"""What the agent of a node knows at one moment, as values: all that its page of metrics is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lbkit.checks.exposition import ResultRow
from lbkit.metrics.failures import Place
from lbkit.site.model import Site
from lbkit.state.agent import AgentState
from lbkit.state.intents import Intent


class Expiry(NamedTuple):
    """When a certificate that the site names ends, the first issuer in its file, the first of a family's CAs or lists.

    `when`: seconds since the epoch.
    """

    kind: Literal["certificate", "issuer", "ca", "crl"]
    name: str
    when: float


@dataclass(frozen=True, slots=True)
class Figures:
    """`state`: what the agent says of itself. `checks`: the last result of each check of a real server, which has as many as
    it has ports to check. `intents`: what operators ask, both layers. `failures`: by reason.

    `entries`: of the tables of layer-7 VIPs, so far as HAProxy has said. `expiries`: of files that the agent may
    read. `reconciled`: seconds that the last attempt to bring IPVS to what is wanted took, None: there was none.
    """

    site: Site
    state: AgentState
    version: str
    checks: Sequence[ResultRow] = ()
    failures: Mapping[Place, Mapping[str, int]] = field(default_factory=dict)
    intents: Mapping[Place, Intent] = field(default_factory=dict)
    entries: Mapping[str, int] = field(default_factory=dict)
    expiries: Sequence[Expiry] = ()
    reconciled: float | None = None
