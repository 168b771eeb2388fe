"""Layer 4 of a site on this node: what the kernel has in force, and how it is brought to what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from lbkit.errors import AlreadyThere, EngineError, LbkitError, NotAllowed, NotDone, NotRunning, NotThere
from lbkit.ipvs import owned, settings, sync
from lbkit.ipvs.difference import ServiceStep, Step, steps
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Key, SeenDestination, SeenService, Virtual
from lbkit.ipvs.wanted import Healths, Intents, Table, kernel_weight, layer_4, services, table, weight_of
from lbkit.site.model import Site
from lbkit.site.services import RealServer, Vip
from lbkit.state.intents import Intent, Wanted
from lbkit.state.observed import Health, InForce, ServerState, VipState

_ATTEMPTS = 3  # somebody else may change the table at the same time


class Ipvs:
    """`state`: the folder of intents. `kernel`: the table that is used, absent: that of this network namespace.

    `only`, where a method takes it: the labels of VIPs; none given: all, and what was lbkit's and left the site. `health`,
    `shares`: see `lbkit.ipvs.wanted.table`. Methods raise EngineError.
    """

    def __init__(self, site: Site, state: Path | None = None, kernel: Kernel | None = None) -> None:
        self.site = site
        self.vips = layer_4(site)
        self._state = state
        self._kernel = kernel or Kernel()
        self._unrecorded: set[Key] = set()  # services that were made, and could not be written down as lbkit's

    def close(self) -> None:
        """Let go of the kernel; the next use opens it again."""
        self._kernel.close()

    def difference(
        self,
        intents: Intents,
        health: Healths,
        shares: Mapping[tuple[str, str], float] | None = None,
        only: Collection[str] = (),
    ) -> tuple[list[Step], dict[str, str]]:
        """The steps to what is wanted, and the settings that are to be written."""
        return self._difference(intents, health, shares, only, set() if only else owned.read(self._state))

    def _difference(
        self,
        intents: Intents,
        health: Healths,
        shares: Mapping[tuple[str, str], float] | None,
        only: Collection[str],
        known: Collection[Key],
    ) -> tuple[list[Step], dict[str, str]]:
        """`known`: the services that are lbkit's."""
        now = self._kernel.services()
        wanted = table(self.site, intents, health, now, shares)
        if only:
            keys = {service.key for vip in self.vips if vip.label in only for _, service in services(vip)}
            found = steps(now, {key: one for key, one in wanted.items() if key in keys})
        else:
            found = steps(now, wanted, known)
        sticky = any(one.wanted == "drain" and one.sticky and self._has(one) for one in intents.values())
        needed = settings.wanted(move_sticky=sticky) | (sync.SETTINGS if sync.is_wanted(self.site) else {})
        differing = settings.differing(needed) if self.vips else {}
        return found, differing

    def sync_difference(self) -> list[sync.Step]:
        """What is to be done with the sync daemons."""
        return sync.difference(self.site, self._kernel, self._state)

    def reconcile(
        self,
        intents: Intents,
        health: Healths,
        shares: Mapping[tuple[str, str], float] | None = None,
        only: Collection[str] = (),
    ) -> list[str]:
        """Bring the kernel to what is wanted, read that back, and say what was done; only what differs is touched.

        What can't be done keeps nothing else from being done, such as the removal of a dead server; then it is raised.
        Raises CannotRun, Misuse too, where it can't be kept which services are lbkit's. Raises NotDone where something else
        changes the table against us.
        """
        known: Collection[Key] = ()
        unknown: LbkitError | None = None
        try:
            self._record()
            known = () if only else owned.read(self._state)
        except LbkitError as e:
            unknown = e
        done: list[str] = []
        for _ in range(_ATTEMPTS):
            todo, differing = self._difference(intents, health, shares, only, known)
            if not todo and not differing:
                break
            done += self._carry_out(todo, differing)
        else:
            todo, _ = self._difference(intents, health, shares, only, known)
        if unknown:
            raise unknown
        if not only:
            done += sync.reconcile(self.site, self._kernel, self._state)
        if todo:
            raise NotDone(
                f"IPVS does not keep what it is told: {todo[0]} is to be done again and again. What else writes its table "
                "here (keepalived, ldirectord)? Stop that."
            )
        return done

    def flush(self) -> list[str]:
        """Take this site's services out of the kernel, and what was lbkit's before; what others put there stays."""
        now = self._kernel.services()
        keys = {service.key for vip in self.vips for _, service in services(vip)} | owned.read(self._state)
        done = self._carry_out([ServiceStep("remove", now[key].service) for key in sorted(keys) if key in now], {})
        owned.write((), self._state)
        return done + sync.stop(self._kernel, self._state)

    def _carry_out(self, todo: list[Step], differing: Mapping[str, str]) -> list[str]:
        made = {step.service.key for step in todo if isinstance(step, ServiceStep) and step.verb == "add"}
        gone = {step.service.key for step in todo if isinstance(step, ServiceStep) and step.verb == "remove"}
        done, failed = self._prepare(made, differing)
        stuck: set[Key] = set()  # services that can't be added
        for step in todo:
            if step.key in stuck:
                continue
            try:
                step.carry_out(self._kernel)
            except (NotAllowed, NotRunning):
                raise  # all others would end so
            except EngineError as e:
                is_wanted = isinstance(step, ServiceStep) and step.verb != "remove"
                if isinstance(e, AlreadyThere) or (isinstance(e, NotThere) and not is_wanted):
                    break  # the table is another than it was: looked at anew
                if is_wanted:
                    stuck.add(step.key)  # its scheduler
                failed.append(e)
            else:
                done.append(str(step))
        else:
            if gone:
                self._own(set(), gone)
        if failed:
            raise failed[0]
        return done

    def _prepare(self, made: set[Key], differing: Mapping[str, str]) -> tuple[list[str], list[LbkitError]]:
        """What was done, and what failed: clients come first, and the steps are carried out all the same."""
        done: list[str] = []
        failed: list[LbkitError] = []
        self._unrecorded |= made  # before they are there: what is killed in between leaves nothing that nobody knows
        try:
            self._record()
        except LbkitError as e:
            failed.append(e)
        try:
            settings.put(differing)
            done = [f"set net.ipv4.vs.{name} to {value}" for name, value in differing.items()]
        except EngineError as e:
            failed.append(e)
        return done, failed

    def _record(self) -> None:
        if self._unrecorded:
            self._own(self._unrecorded, set())
            self._unrecorded = set()

    def _own(self, made: set[Key], gone: set[Key]) -> None:
        before = owned.read(self._state)
        after = (before | {key for key in made if isinstance(key, Virtual)}) - gone
        if after != before:
            owned.write(after, self._state)

    def _has(self, intent: Intent) -> bool:
        return any(vip.label == intent.vip for vip in self.vips)

    def wanted(self, intents: Intents, health: Healths, shares: Mapping[tuple[str, str], float] | None = None) -> Table:
        """The table that is wanted, from what is there now."""
        return table(self.site, intents, health, self._kernel.services(), shares)

    def now(self) -> dict[Key, SeenService]:
        """The kernel's own table, all of it."""
        return self._kernel.services()

    def seen(
        self, intents: Intents, health: Healths, shares: Mapping[tuple[str, str], float] | None = None
    ) -> dict[str, VipState]:
        """Each layer-4 VIP, by label, as the kernel has it; what it does not have is absent."""
        return states(self.vips, self._kernel.services(), intents, health, shares)


def states(
    vips: Collection[Vip],
    now: Mapping[Key, SeenService],
    intents: Intents,
    health: Healths,
    shares: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, VipState]:
    """Each VIP as the table `now` has it. A real server that its health keeps out counts as in force as it is wanted."""
    found: dict[str, VipState] = {}
    for vip in vips:
        tables = [(port, now[one.key]) for port, one in services(vip) if one.key in now]
        servers = {}
        for server in vip.servers:
            key = (vip.label, server.label)
            there = [seen.destinations.get((server.address, port)) for port, seen in tables]
            share = (shares or {}).get(key, 1.0)
            weight = kernel_weight(vip, server, intents.get(key), share)
            found_now = _server(server, weight, there, intents.get(key), health.get(key, "unknown"))
            servers[server.label] = found_now._replace(share=share)
        clients = sum(one.active for _, seen in tables for one in seen.destinations.values())
        spare = vip.fallback is not None and any(
            (vip.fallback.address, port) in seen.destinations for port, seen in tables
        )
        found[vip.label] = VipState(servers, clients, spare)
    return found


def _server(
    server: RealServer, weight: int, there: list[SeenDestination | None], intent: Intent | None, health: Health
) -> ServerState:
    """`weight`: the one that IPVS is to have."""
    present = [one for one in there if one is not None]
    in_force = _in_force(server, there, intent, health)
    as_wanted = all(one.destination.weight == weight for one in present)
    shown = weight_of(server, intent) if as_wanted else min(one.destination.weight for one in present)
    return ServerState(
        in_force,
        health,
        weight=shown,
        connections=sum(one.active for one in present),
        total=sum(one.statistics.connections for one in present),
        inactive=sum(one.inactive for one in present),
        kept=sum(one.persistent for one in present),
    )


def _in_force(
    server: RealServer, there: list[SeenDestination | None], intent: Intent | None, health: Health
) -> InForce:
    wanted: Wanted = intent.wanted if intent else "online"
    if not there or None in there:
        return "halt" if wanted == "halt" else wanted if health == "down" and there else "absent"
    weights = [one.destination.weight for one in there if one is not None]
    return "online" if all(weights) or (wanted == "online" and not weight_of(server, intent)) else "drain"
