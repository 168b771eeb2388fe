"""`python -m benchmarks [NAME…] [--quick] [--json] [--write PAGE]`, from the repository root.

Exit codes: 0 every goal holds, 1 one does not (or was not measured), 3 misuse.
"""

import argparse
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

from benchmarks import (
    agent,
    agent_reaction,
    cli_start,
    events,
    haproxy,
    https,
    metrics,
    overview,
    pair,
    probe,
    scale,
    site,
    wire,
)
from benchmarks.machine import this_machine
from benchmarks.outcome import Result
from benchmarks.registry import Benchmark, select
from benchmarks.remotes import Remotes
from benchmarks.report import HEADER, as_json, as_line, as_page

FAMILIES = (probe, cli_start, wire, scale, https, site, haproxy, overview, agent, agent_reaction, metrics, events, pair)
"""Importing them fills the table."""

OPEN_FILES = 20_000  # a thousand checks at once need as many sockets on either side


class Parser(argparse.ArgumentParser):
    """Misuse exits with 3, as everywhere in lbkit."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit."""
        self.print_usage(sys.stderr)
        self.exit(3, f"{self.prog}: {message}\n")


def main() -> int:
    """Read the command line, measure, report."""
    parser = Parser(prog="python -m benchmarks", description="Measure lbkit and say whether its goals hold.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark, or what its name starts with (scale)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and their goals, and measure nothing")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: all of them within a minute")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each figure")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of all results to this file")
    options = parser.parse_args()
    if options.write and options.names:
        parser.error("--write takes all benchmarks: leave out the names")
    try:
        chosen = select(options.names)
    except LookupError as unknown:
        parser.error(f"no benchmark is called {unknown.args[0]}; --list shows them")
    if options.list:
        for entry in chosen:
            print(f"{entry.name:<30} {f'{entry.goal} {entry.goal.unit}':<20} {entry.description}")
        return 0
    results = measure(chosen, quick=options.quick, json=options.json)
    if options.write:
        options.write.write_text(as_page(chosen, results, this_machine(), quick=options.quick))
    return 0 if all(result.holds for result in results) else 1


def measure(chosen: list[Benchmark], *, quick: bool, json: bool) -> list[Result]:
    """Run the benchmarks and print each result as soon as it is there."""
    machine = this_machine()
    if not json:
        print(", ".join(f"{key} {value}" for key, value in machine.items()), HEADER, sep="\n", flush=True)
    results = []
    with Remotes() as remotes:
        for entry in chosen:
            result = entry.run(remotes, quick=quick)
            print(as_json(result, machine) if json else as_line(result), flush=True)
            results.append(result)
    return results


def raise_open_files() -> None:
    """Children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the remotes are stopped
    raise_open_files()
    sys.exit(main())
