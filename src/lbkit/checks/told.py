"""Prometheus' text format 0.0.4: which metrics are told of one kind of thing, and how they are written down.

A page of thousands of real servers is written while their checks run: what is told of each of them is written without a
step in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

Sample: TypeAlias = tuple[str, float | str]  # its labels as `labels` writes them, "": none; and its value
Samples: TypeAlias = Iterator[Sample]
_A_PIECE = 64  # things, or samples


class Named(Protocol):
    """A thing whose labels are written down already."""

    @property
    def named(self) -> str:
        """As `labels` writes them."""


class Metric(NamedTuple):
    """What is announced of a metric before its samples."""

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str


Thing = TypeVar("Thing")
Row = TypeVar("Row", bound=Named)
Write: TypeAlias = Callable[[Sequence[Thing]], Iterator[str]]  # its lines in pieces; some may be empty


class Told(Generic[Thing]):
    """A table of metrics, each with a function that gives its samples of one thing. The functions enter themselves."""

    def __init__(self) -> None:
        self._entries: list[tuple[Metric, Write[Thing]]] = []

    def metric(
        self, name: str, meaning: str, kind: Literal["gauge", "counter"] = "gauge"
    ) -> Callable[[Callable[[Thing], Samples]], Callable[[Thing], Samples]]:
        """Enter a function that gives any number of samples."""

        def enter(of: Callable[[Thing], Samples]) -> Callable[[Thing], Samples]:
            self._entries.append((Metric(name, kind, meaning), lambda things: _samples(name, of, things)))
            return of

        return enter

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """In the order of a page."""
        return tuple(metric for metric, _ in self._entries)

    def lines(self, things: Iterable[Thing]) -> Iterator[str]:
        """All metrics of these things, each announced, in pieces of a few lines; nothing of a metric without samples."""
        every = tuple(things)
        for (name, kind, meaning), write in self._entries:
            head = f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
            for piece in filter(None, write(every)):
                yield head + piece
                head = ""


class ToldOfRows(Told[Row]):
    """The same, of things that are named."""

    def value(
        self, name: str, meaning: str
    ) -> Callable[[Callable[[Row], float | str | None]], Callable[[Row], float | str | None]]:
        """Enter a function that gives the value of the only sample; None: there is none."""

        def enter(of: Callable[[Row], float | str | None]) -> Callable[[Row], float | str | None]:
            def write(rows: Sequence[Row]) -> Iterator[str]:
                for piece in _pieces(rows):
                    yield "".join(
                        [f"{name}{{{row.named}}} {value}\n" for row in piece if (value := of(row)) is not None]
                    )

            self._entries.append((Metric(name, "gauge", meaning), write))
            return of

        return enter

    def seconds(
        self, name: str, meaning: str, of_what: str
    ) -> Callable[[Callable[[Row], Mapping[str, float]]], Callable[[Row], Mapping[str, float]]]:
        """Enter a function that gives any number of durations, by the value of this label; told to six digits."""

        def enter(of: Callable[[Row], Mapping[str, float]]) -> Callable[[Row], Mapping[str, float]]:
            def write(rows: Sequence[Row]) -> Iterator[str]:
                for piece in _pieces(rows):
                    yield "".join(
                        [
                            f"{name}{{{row.named},{label(of_what, what)}}} {took:.6g}\n"
                            for row in piece
                            for what, took in of(row).items()
                        ]
                    )

            self._entries.append((Metric(name, "gauge", meaning), write))
            return of

        return enter

    def states(
        self, name: str, meaning: str, of_what: str, values: tuple[str, ...]
    ) -> Callable[[Callable[[Row], str]], Callable[[Row], str]]:
        """Enter a function that says which of these a thing is: a sample for each of them, 1 for it and 0 for the others."""
        # the labels of the thing come in place of \0, which is in none
        texts = {
            found: "".join(f'{name}{{\0,{of_what}="{value}"}} {int(value == found)}\n' for value in values)
            for found in values
        }

        def enter(of: Callable[[Row], str]) -> Callable[[Row], str]:
            def write(rows: Sequence[Row]) -> Iterator[str]:
                for piece in _pieces(rows):
                    yield "".join([texts[of(row)].replace("\0", row.named) for row in piece])

            self._entries.append((Metric(name, "gauge", meaning), write))
            return of

        return enter


def state_set(named: str, label: str, values: tuple[str, ...], found: str) -> Samples:
    """A sample for each of what a thing with these labels can be: 1 for what it is, 0 for the others."""
    for value in values:
        yield f'{named},{label}="{value}"', int(value == found)


def labels(named: Mapping[str, str]) -> str:
    """Names and values as they stand between the braces."""
    return ",".join([label(name, value) for name, value in named.items()])


@lru_cache(maxsize=1 << 12)
def label(name: str, value: str) -> str:
    """One of them."""
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


def _samples(name: str, of: Callable[[Thing], Samples], things: Iterable[Thing]) -> Iterator[str]:
    left = chain.from_iterable(map(of, things))
    while piece := list(islice(left, _A_PIECE)):
        yield "".join([f"{name}{{{named}}} {value}\n" if named else f"{name} {value}\n" for named, value in piece])


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for at in range(0, len(rows), _A_PIECE):
        yield rows[at : at + _A_PIECE]
