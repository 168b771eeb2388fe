"""Who gets the mail about what."""

from __future__ import annotations

from typing import NamedTuple

from lbkit.site.model import Site
from lbkit.site.reporting import Alerts, Recipients
from lbkit.site.services import Vip
from lbkit.state.events import Event

_OF_THE_PAIR = frozenset({"failover", "peer-lost", "peer-found", "split-brain", "split-brain-ended"})


class Route(NamedTuple):
    """From whom, to whom."""

    sender: str
    to: tuple[str, ...]


class Routes:
    """Those of a site."""

    def __init__(self, site: Site, alerts: Alerts) -> None:
        self._general = _route(alerts, None)
        self._pair = _route(alerts, alerts.pair)
        self._vips = {vip.label: _of_a_vip(alerts, vip) for vip in site.vips}

    def of(self, event: Event) -> Route:
        """A VIP's own, else that of its layer; the pair's; else where all goes."""
        if event.kind in _OF_THE_PAIR:
            return self._pair
        return self._vips.get(event.vip, self._general)

    @property
    def all(self) -> tuple[Route, ...]:
        """Each once."""
        return tuple(dict.fromkeys((self._general, self._pair, *self._vips.values())))


def _of_a_vip(alerts: Alerts, vip: Vip) -> Route:
    of_layer = _route(alerts, alerts.layer_4 if vip.mode == "l4-dr" else alerts.layer_7)
    return Route(of_layer.sender, (vip.alert_to,)) if vip.alert_to else of_layer


def _route(alerts: Alerts, part: Recipients | None) -> Route:
    sender, to = (part.sender, part.to) if part else (None, ())
    return Route(sender or alerts.sender, to or alerts.to)
