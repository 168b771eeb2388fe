"""Layer 7 as the verbs ask for it: HAProxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbkit.haproxy import persistence
from lbkit.haproxy.checked import UNANSWERED
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.state.intents import Intent, Wanted
from lbkit.state.observed import VipState


def unanswered(vips: Iterable[str]) -> str:
    """That HAProxy asks the agent about these VIPs' real servers, and no agent answers it."""
    return (
        f"no agent answers HAProxy: nobody checks the real servers of {', '.join(vips)}, and each stays as it was. "
        "Start it, without --observe: systemctl start lbkit-agent"
    )


class Layer7:
    """See `lbkit.operate.engines.Engine`."""

    name = "HAProxy"

    def __init__(self, site: Site) -> None:
        self.haproxy = Haproxy(site)
        self._unanswered: list[str] = []

    def look(self) -> Mapping[str, VipState]:
        """Each VIP that HAProxy has, by label."""
        seen = self.haproxy.look()
        self._unanswered = [
            label for label, vip in seen.items() if any(one.why.startswith(UNANSWERED) for one in vip.servers.values())
        ]
        return seen

    @property
    def warnings(self) -> list[str]:
        """Whom nobody checks, and why connections of before a reload are not counted."""
        why = self.haproxy.uncounted
        uncounted = [f"connections of before a reload are not counted: {why}"] if why else []
        return [*uncounted, *([unanswered(self._unanswered)] if self._unanswered else [])]

    def ready(self) -> None:
        """Without the master connections of before a reload could not be told, nor ended."""
        self.haproxy.master.processes()

    def put(self, vip: Vip, intent: Intent, weight: int) -> None:
        """The server's state, the entries and cookies that name it, and with a halt its sessions."""
        haproxy, label, wanted = self.haproxy, intent.server, intent.wanted
        haproxy.bring(vip.label, label, wanted, weight)
        moves = wanted == "drain" and intent.sticky
        if moves or (wanted != "online" and vip.persistence.mode == "last-successful"):
            persistence.move_away(haproxy, vip, label)
        if not moves:
            persistence.keep_cookies_off(haproxy, vip, label, off=False)
        if wanted == "halt":
            haproxy.end_sessions(vip.label, label)

    def put_back(self, vip: Vip, server: str, wanted: Wanted, weight: int) -> None:
        """The server's state alone: what its persistence was is not known any more."""
        self.haproxy.bring(vip.label, server, wanted, weight)

    def connections(self, vip: str, server: str) -> tuple[int, int]:
        """In the worker that serves, and in those of before a reload."""
        now, old = self.haproxy.connections(vip, server)
        return now + old, old

    def entries(self, vip: Vip, server: str) -> int:
        """Of the VIP's table."""
        return persistence.entries_of(self.haproxy, vip, server)

    def stuck_to(self, vip: Vip) -> str | None:
        """By the VIP's table."""
        return persistence.stuck_to(self.haproxy, vip)
