"""Which metrics are told of one kind of thing: of a node, of a VIP, of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Generic, Literal, TypeAlias, TypeVar

from lbkit.checks.exposition import Metric, Sample, lines

Thing = TypeVar("Thing")
Samples: TypeAlias = Iterator[Sample]


class Told(Generic[Thing]):
    """A table of metrics, each with a function that gives its samples of one thing. The functions enter themselves."""

    def __init__(self) -> None:
        self._entries: list[tuple[Metric, Callable[[Thing], Samples]]] = []

    def metric(
        self, name: str, meaning: str, kind: Literal["gauge", "counter"] = "gauge"
    ) -> Callable[[Callable[[Thing], Samples]], Callable[[Thing], Samples]]:
        """Enter a function under a metric's name."""

        def enter(of: Callable[[Thing], Samples]) -> Callable[[Thing], Samples]:
            self._entries.append((Metric(name, kind, meaning), of))
            return of

        return enter

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """In the order of a page."""
        return tuple(metric for metric, _ in self._entries)

    def lines(self, things: Iterable[Thing]) -> Iterator[str]:
        """All metrics of these things."""
        every = tuple(things)
        for metric, of in self._entries:
            yield from lines(metric, chain.from_iterable(map(of, every)))


def state_set(named: str, label: str, values: tuple[str, ...], found: str) -> Samples:
    """A sample for each of what a thing with these labels can be: 1 for what it is, 0 for the others."""
    for value in values:
        yield f'{named},{label}="{value}"', int(value == found)
