"""Who gets the events of this node: mail, traps, and the plugins that the site names. Each has a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import Any

from lbkit.agent.following import Follower
from lbkit.errors import LbkitError
from lbkit.site.model import Site
from lbkit.site.reporting import Snmp, TrapReceiver
from lbkit.state.events import Event
from lbkit.state.places import Places
from lbkit.state.receiver import Receiver
from lbkit.state.receiver_plugins import ReceiverPlugins

log = logging.getLogger("lbkit.agent")

_ENDS_WITHIN = 0.5  # seconds


class Receivers:
    """Of one site after the other. `state`: the folder of state.

    Nothing here blocks, but for `stop`: what a receiver needs is loaded and read in its own thread.
    """

    def __init__(self, site: Site, state: Path | None) -> None:
        self._site = site
        self._state = state
        self._until: float | None = None  # this node tells others, in seconds since the epoch; see Follower
        self._followers: dict[str, tuple[object, Follower]] = {}  # by name, with what each was made from

    def start(self) -> None:
        """Give them what they have not taken yet, and all that comes; once `tell` has said who tells others."""
        self.take_site(self._site)

    def tell(self, active: bool) -> None:
        """From now on this node is the one that tells others, or is not."""
        if active:
            self._until = inf
        elif self._until is None:
            self._until = 0.0
        elif self._until == inf:
            self._until = time()

    def stop(self) -> None:
        """Within half a second; one that hangs ends with the process. What was not taken is when the agent runs again."""
        followers = [one for _, one in self._followers.values()]
        for one in followers:
            one.end()
        deadline = monotonic() + _ENDS_WITHIN
        for one in followers:
            one.join(max(0.0, deadline - monotonic()))

    def take_site(self, site: Site) -> None:
        """Those that this site has; what nothing changed for goes on."""
        wanted, before = _wanted(site, self._state), self._followers
        self._followers = {}
        for name, (made_from, make) in wanted.items():
            old = before.pop(name, None)
            if old is not None and old[0] == made_from:
                self._followers[name] = old
                old[1].retry()
                continue
            if old is not None:
                old[1].end()
            follower = Follower(name, make, self._state, lambda: self._until, old[1] if old else None)
            self._followers[name] = made_from, follower
            follower.start()
        for _, follower in before.values():
            follower.end(forget=True)
        try:
            Places(self._state).forget_all_but(wanted)
        except LbkitError as e:
            log.warning("%s", e)

    def hurry(self) -> None:
        """There is something new in the log. For any thread."""
        for _, follower in self._followers.copy().values():
            follower.hurry()

    @property
    def state(self) -> Mapping[str, str]:
        """By name: what keeps it from taking events, "": nothing."""
        return {name: follower.trouble for name, (_, follower) in self._followers.items()}


def _wanted(site: Site, state: Path | None) -> dict[str, tuple[object, Callable[[], Receiver]]]:
    """By name: from what each is made, and what makes it."""
    found: dict[str, tuple[object, Callable[[], Receiver]]] = {}
    if site.alerts is not None:
        for name, given in site.alerts.receivers.items():
            found[name] = given, partial(Plugged, name, given)
        found["mail"] = site, partial(_mail, site, state)
    if site.snmp is not None:
        for one in site.snmp.traps:
            found[one.name] = (site.snmp, one), partial(_traps, site.snmp, one)
    return found


def _mail(site: Site, state: Path | None) -> Receiver:
    from lbkit.alerts.mail import Mail

    return Mail(site, state)


def _traps(snmp: Snmp, to: TrapReceiver) -> Receiver:
    from lbkit.snmp.traps import Traps

    return Traps(snmp, to)


class Plugged:
    """A plugin as a receiver. `given`: its table in the site file. Raises Misuse, PluginBroken where it can't be used.

    It takes one event at a time, so that one that it could not take brings back no other.
    """

    at_once = 1

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self.name = name
        self._kind = ReceiverPlugins().kind(name)
        self._settings = self._kind.read(given)

    def take(self, events: Sequence[Event], active: bool) -> float | None:
        """As `lbkit.state.receiver` has it."""
        for event in events:
            self._kind.take(event, self._settings, active)
        return None
