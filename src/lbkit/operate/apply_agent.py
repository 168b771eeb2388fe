"""The agent after HAProxy was brought to the site: it answers HAProxy, and keeps there what operators want."""

from __future__ import annotations

from typing import Literal

from lbkit.checks.plan import KindOf
from lbkit.errors import NotAllowed, NotAnswering, NotRunning
from lbkit.haproxy.native import by_agent
from lbkit.operate.layer7 import unanswered
from lbkit.operate.outcome import Applied, Progress
from lbkit.site.model import Site
from lbkit.state.agent import Agent, AgentState


def apply(
    site: Site, kind_of: KindOf, done: Applied, progress: Progress, layer_4: Literal["none", "done", "left"]
) -> None:
    """Have it read the site anew, if it is there. Raises NotDone where it could not.

    `layer_4`: where that was done it has read the site already; where it was left it is not to read it now: it would bring
    IPVS to it too.
    """
    answer = None
    try:
        answer = _told(site, done, progress, layer_4)
    except NotRunning:
        pass
    except (NotAllowed, NotAnswering) as e:
        done.warnings.append(f"the agent goes on with the site as it was: {e}")
        return
    asked = [vip.label for vip in by_agent(site, kind_of)]
    if asked and (answer is None or answer.observe):
        done.warnings.append(unanswered(asked))


def _told(site: Site, done: Applied, progress: Progress, layer_4: Literal["none", "done", "left"]) -> AgentState:
    agent = Agent(site.agent.socket)
    answer = agent.state()
    if layer_4 == "none":
        progress("the agent reads the site")
        answer = agent.reload()
        done.steps.append(f"the agent (pid {answer.pid}) has read {answer.site_file}")
    elif layer_4 == "left":
        done.warnings.append(
            f"the agent (pid {answer.pid}) goes on with the site as it was: reading it, it would bring IPVS to it too. "
            "Have it do that: lbkit apply"
        )
    return answer
