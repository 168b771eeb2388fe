"""Layer 4 as the verbs ask for it: the agent, which knows the real servers' health; without it the kernel itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from lbkit.errors import EngineError, NotAllowed, NotAnswering, NotDone, NotRunning, NotThere
from lbkit.ipvs.engine import Ipvs
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.state.agent import Agent, AgentState
from lbkit.state.intents import Intent, Intents, Wanted
from lbkit.state.observed import Health, ServerState, VipState

UNWATCHED = (
    "no agent runs: nobody checks the real servers of layer 4, and none that dies is taken out. "
    "Start it: systemctl start lbkit-agent"
)


class Layer4:
    """See `lbkit.operate.engines.Engine`."""

    name = "IPVS"

    def __init__(self, site: Site, state: Path | None = None) -> None:
        self.site = site
        self.agent = Agent(site.agent.socket)
        self.warnings: list[str] = []
        self._state = state
        self._seen: Mapping[str, VipState] = {}
        self._hangs: NotAnswering | None = None

    def look(self) -> Mapping[str, VipState]:
        """Each layer-4 VIP that the agent, or without it the kernel, has, by label."""
        try:
            known = self._ask(self.agent.state)
        except (NotRunning, NotAnswering) as e:
            self._seen = self._of_the_kernel(e)
            self.warnings = [UNWATCHED if isinstance(e, NotRunning) else str(e)]
        else:
            self._seen = known.vips
            self.warnings = [f"the agent says: {known.trouble}"] if known.trouble else []
            if known.observe:
                self.warnings.append("the agent only observes: it leaves IPVS as it is.")
        return self._seen

    def ready(self) -> None:
        """An agent that observes, or hangs, would not do what a verb asks, and nobody is to write behind its back."""
        with suppress(NotRunning):
            self._demand(self._ask(self.agent.state))

    def put(self, vip: Vip, intent: Intent, weight: int) -> None:
        """By the agent, which reads the intent from where the verb has recorded it; without one by the kernel itself."""
        self._bring(vip, intent.server, intent.wanted)
        now = self._server(vip.label, intent.server)
        if now.wanted != intent.wanted or now.weight != weight:
            raise NotDone(
                f"IPVS was to have {vip.label}/{intent.server} {intent.wanted} with weight {weight}, and has it "
                f"{now.wanted} with {now.weight}. What else writes its table here?"
            )

    def put_back(self, vip: Vip, server: str, wanted: Wanted, weight: int) -> None:
        """The intents of before are recorded again by now."""
        self._bring(vip, server, wanted)

    def connections(self, vip: str, server: str) -> tuple[int, int]:
        """Established ones, as far as a balancer sees them that no answer passes through; IPVS knows no reload."""
        self.look()
        return self._server(vip, server).connections, 0

    def entries(self, vip: Vip, server: str) -> int:
        """Of source-ip persistence. Where kept clients are to move none counts: what is left of them names nobody."""
        intent = self._intents().get((vip.label, server))
        if intent is not None and intent.wanted == "drain" and intent.sticky:
            return 0
        self.look()
        return self._server(vip.label, server).kept

    def stuck_to(self, vip: Vip) -> str | None:
        """Layer 4 knows no Last Successful."""
        return None

    def _ask(self, question: Callable[[], AgentState]) -> AgentState:
        """One that hangs is asked once."""
        if self._hangs is not None:
            raise self._hangs
        try:
            return question()
        except NotAnswering as e:
            self._hangs = e
            raise

    def _bring(self, vip: Vip, server: str, wanted: Wanted) -> None:
        try:
            answer = self._ask(self.agent.reconcile)
        except NotRunning:
            self._by_hand(vip, server, wanted)
        else:
            self._demand(answer)
            self._seen = answer.vips

    def _by_hand(self, vip: Vip, server: str, wanted: Wanted) -> None:
        """Only what is asked changes: others stay in or out, as whoever checked them last has left them."""
        intents = self._intents()
        health: dict[tuple[str, str], Health] = {(vip.label, one.label): "unknown" for one in vip.servers}
        if wanted != "halt":
            health[vip.label, server] = "up"
        ipvs = Ipvs(self.site, self._state)
        try:
            ipvs.reconcile(intents, health, only=[vip.label])
            self._seen = ipvs.seen(intents, {})
        finally:
            ipvs.close()

    def _of_the_kernel(self, no_agent: EngineError) -> Mapping[str, VipState]:
        ipvs = Ipvs(self.site, self._state)
        try:
            return ipvs.seen(self._intents(), {})
        except NotAllowed as e:
            raise NotAllowed(f"{no_agent} Without it: {e}") from None
        finally:
            ipvs.close()

    def _intents(self) -> dict[tuple[str, str], Intent]:
        return {(one.vip, one.server): one for one in Intents(self._state).all()}

    def _server(self, vip: str, server: str) -> ServerState:
        if vip not in self._seen or server not in self._seen[vip].servers:
            raise NotThere(f"the agent knows no real server {vip}/{server}. Is the site applied? lbkit diff")
        return self._seen[vip].servers[server]

    def _demand(self, answer: AgentState) -> None:
        if answer.observe:
            raise NotAllowed(
                "the agent only observes (--observe): nothing may change IPVS beside it. Start it without, or stop it."
            )
