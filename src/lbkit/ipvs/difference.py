"""From the table that there is to the one that is wanted: the fewest steps, and never a moment with less than both have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lbkit.ipvs.table import Destination, Key, SeenService, Service, bracketed
from lbkit.ipvs.wanted import Table

if TYPE_CHECKING:
    from lbkit.ipvs.kernel import Kernel

Verb = Literal["add", "change", "remove"]


@dataclass(frozen=True, slots=True)
class ServiceStep:
    """What is done with a service."""

    verb: Verb
    service: Service

    @property
    def key(self) -> Key:
        """The service's."""
        return self.service.key

    def carry_out(self, kernel: Kernel) -> None:
        """Do it. Raises EngineError."""
        if self.verb == "add":
            kernel.add_service(self.service)
        elif self.verb == "change":
            kernel.change_service(self.service)
        else:
            kernel.remove_service(self.service.key)

    def __str__(self) -> str:
        kept = "" if self.service.persistence is None else f", a client kept for {self.service.persistence} s"
        how = "" if self.verb == "remove" else f" ({self.service.scheduler}{kept})"
        return f"{_DONE[self.verb]} {self.service.key}{how}"


@dataclass(frozen=True, slots=True)
class DestinationStep:
    """What is done with a destination. `before`: its weight until then."""

    verb: Verb
    key: Key
    destination: Destination
    before: int | None = None

    def carry_out(self, kernel: Kernel) -> None:
        """Do it. Raises EngineError."""
        if self.verb == "add":
            kernel.add(self.key, self.destination)
        elif self.verb == "change":
            kernel.change(self.key, self.destination)
        else:
            kernel.remove(self.key, *self.destination.place)

    def __str__(self) -> str:
        where = f"{self.key} -> {bracketed(self.destination.address)}:{self.destination.port}"
        if self.verb == "remove":
            return f"{_DONE[self.verb]} {where}"
        was = "" if self.before in (None, self.destination.weight) else f", until now {self.before}"
        return f"{_DONE[self.verb]} {where} (weight {self.destination.weight}{was})"


Step = ServiceStep | DestinationStep
_DONE: Mapping[Verb, str] = {"add": "added", "change": "changed", "remove": "removed"}


def steps(now: Mapping[Key, SeenService], wanted: Table, owned: Collection[Key] = ()) -> list[Step]:
    """In their order. `owned`: services that were lbkit's; those that are wanted no more go. Others are let alone."""
    found: list[Step] = []
    for key, (service, destinations) in wanted.items():
        there = now.get(key)
        if there is None:
            found.append(ServiceStep("add", service))
        elif there.service != service:
            found.append(ServiceStep("change", service))
        found += _destinations(key, there, destinations)
    found += [ServiceStep("remove", now[key].service) for key in owned if key in now and key not in wanted]
    return found


def _destinations(
    key: Key, there: SeenService | None, wanted: Mapping[tuple[str, int], Destination]
) -> Iterator[DestinationStep]:
    """What takes new clients comes before what takes none any more: there is always somebody for them."""
    known = there.destinations if there else {}
    for place, one in sorted(wanted.items(), key=lambda item: item[1].weight == 0):
        if place not in known:
            yield DestinationStep("add", key, one)
        elif known[place].destination != one:
            yield DestinationStep("change", key, one, known[place].destination.weight)
    for place, seen in known.items():
        if place not in wanted:
            yield DestinationStep("remove", key, seen.destination)
