"""Layer 7 as the verbs ask for it: HAProxy."""

from __future__ import annotations

from collections.abc import Mapping

from lbkit.haproxy import persistence
from lbkit.haproxy.engine import Haproxy
from lbkit.site.model import Site
from lbkit.site.services import Vip
from lbkit.state.intents import Intent, Wanted
from lbkit.state.observed import VipState


class Layer7:
    """See `lbkit.operate.engines.Engine`."""

    name = "HAProxy"

    def __init__(self, site: Site) -> None:
        self.haproxy = Haproxy(site)

    def look(self) -> Mapping[str, VipState]:
        """Each VIP that HAProxy has, by label."""
        return self.haproxy.look()

    @property
    def warnings(self) -> list[str]:
        """Why connections of before a reload are not counted."""
        why = self.haproxy.uncounted
        return [f"connections of before a reload are not counted: {why}"] if why else []

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
