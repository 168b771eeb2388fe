"""How long the command line takes to start: for an operator who waits, and for scripts that call it often."""

from statistics import median

from benchmarks import commands
from benchmarks.measure import difference, plain_medians, take_turns, wall_ms
from benchmarks.outcome import Measured, at_most
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.remotes.fleet import HOST


@benchmark("cli-start/check", goal=at_most(350, "ms more"), baseline=commands.BARE, rounds=30, quick=6)
def check(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The whole process of `lbkit check c-echo` against replayd: what it takes above a Python that does nothing."""
    command = [commands.installed("lbkit"), "check", "c-echo", f"{HOST}:{remotes.port('replayd')}"]
    return difference(
        rounds, of=("lbkit", wall_ms(command, says=b"up")), above=("bare", wall_ms(commands.bare_python()))
    )


@benchmark("cli-start/help", goal=at_most(300, "ms"), baseline="none", rounds=30, quick=6)
def help_text(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The whole process of `lbkit --help`."""
    lbkit = wall_ms([commands.installed("lbkit"), "--help"], says=b"check")
    costs = take_turns(rounds, {"lbkit": lbkit, "bare": wall_ms(commands.bare_python())})
    return Measured(median(costs["lbkit"]), rounds, plain_medians(costs, "ms"))
