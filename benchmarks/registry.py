"""The table of benchmarks: what each one measures, against what, and the goal that its figure has to meet."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.outcome import BenchmarkError, Goal, Measured, NotInstalledError, Result
from benchmarks.remotes import Remotes

Measure = Callable[[Remotes, str, int], Measured]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One figure. `measure` is told the remotes, the variant and the number of rounds."""

    name: str
    variant: str
    goal: Goal
    baseline: str
    rounds: int
    quick_rounds: int
    measure: Measure

    @property
    def family(self) -> str:
        """The name without the variant."""
        return self.name.removesuffix(f"/{self.variant}")

    @property
    def description(self) -> str:
        """What is measured, in one paragraph: the docstring of the function that measures it."""
        return " ".join((self.measure.__doc__ or "").split())

    def run(self, remotes: Remotes, *, quick: bool) -> Result:
        """Measure; a remote that is not installed and a run that failed are results too."""
        try:
            measured = self.measure(remotes, self.variant, self.quick_rounds if quick else self.rounds)
        except NotInstalledError as missing:
            return Result(self.name, self.goal, self.baseline, None, None, 0, f"not measured: {missing}")
        except Exception as failure:  # it must not take the other benchmarks with it
            if not isinstance(failure, BenchmarkError):
                traceback.print_exc()
            return Result(self.name, self.goal, self.baseline, None, False, 0, f"failed: {failure}")
        holds = self.goal.holds(measured.value)
        return Result(self.name, self.goal, self.baseline, measured.value, holds, measured.n, measured.behind)


BENCHMARKS: list[Benchmark] = []


def benchmark(
    name: str, *, goal: Goal, baseline: str, rounds: int, quick: int, over: Sequence[str] = ("",)
) -> Callable[[Measure], Measure]:
    """Enter a function into the table, once for each variant in `over`, under the name `name/variant`."""

    def enter(measure: Measure) -> Measure:
        for variant in over:
            full_name = f"{name}/{variant}" if variant else name
            BENCHMARKS.append(Benchmark(full_name, variant, goal, baseline, rounds, quick, measure))
        return measure

    return enter


def select(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks with these names or below them (`scale` means every `scale/…`); all when no name is given.

    :raises LookupError: nothing goes by one of the names
    """
    for name in names:
        if not any(_stands_below(entry.name, name) for entry in BENCHMARKS):
            raise LookupError(name)
    return [entry for entry in BENCHMARKS if not names or any(_stands_below(entry.name, name) for name in names)]


def _stands_below(full_name: str, name: str) -> bool:
    return full_name == name or full_name.startswith(name + "/")
