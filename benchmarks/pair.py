"""A pair of balancers, whatever happens to it: what clients see, beside keepalived as most sites have it."""

from statistics import median

from benchmarks.guest import in_kernel
from benchmarks.guest.sync import NUMBER
from benchmarks.outcome import Measured, at_most
from benchmarks.pairs import figures
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes, program

BASELINE = "plain keepalived"
ROUNDS, QUICK = 10, 2
PLANNED, FAILED = ("1s", "200ms"), ("1s", "100ms")
VARIANTS = ("1s", "200ms", "100ms")
PROGRAMS = ("keepalived", "haproxy", "sshd")


def most(rounds: int, variant: str, what: str, unit: str, plain: str = "") -> Measured:
    """The worst of what happened to one pair; beside it the same of the plain one, where that has it."""
    sides = _sides(rounds, variant, (what,), (plain,) if plain else ())
    behind = ", ".join(f"{side} {median(one):.4g} {unit}, most {max(one):.4g} {unit}" for side, one in sides.items())
    return Measured(max(sides["lbkit"]), len(sides["lbkit"]), behind)


def total(rounds: int, variant: str, what: tuple[str, ...], plain: tuple[str, ...] = ()) -> Measured:
    """How many in all rounds."""
    sides = _sides(rounds, variant, what, plain)
    behind = ", ".join(f"{side} {sum(one):g}" for side, one in sides.items())
    return Measured(sum(sides["lbkit"]), len(sides["lbkit"]) // len(what), behind)


def _sides(rounds: int, variant: str, what: tuple[str, ...], plain: tuple[str, ...]) -> dict[str, list[float]]:
    for name in PROGRAMS:
        program(name)
    found = figures(rounds)
    sides = {"lbkit": [value for one in what for value in found[variant][one]]}
    if plain:
        sides["plain"] = [value for one in plain for value in found["plain"][one]]
    return sides


@benchmark("pair/planned", over=PLANNED, goal=at_most(0, "lost"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def planned(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """`lbkit failover` there and back while 300 connections a second are made to the master's VIP and 1,000 stay, at this
    interval of adverts: the connections that failed and the sessions that were lost. Plain: keepalived is stopped.
    """
    return total(rounds, variant, ("failed, keep", "lost, keep"), ("failed, planned", "lost, planned"))


@benchmark("pair/moved", over=("200ms",), goal=at_most(1, "s"), baseline="none", rounds=ROUNDS, quick=QUICK)
@benchmark("pair/moved", over=("1s",), goal=at_most(3, "s"), baseline="none", rounds=ROUNDS, quick=QUICK)
def moved(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The same: from the order until the other node has the addresses, as the command says; the benchmark sees that they are
    there.
    """
    return most(rounds, variant, "moved, keep", "s")


@benchmark("pair/cut", over=PLANNED, goal=at_most(50, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def cut(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The same with `--sessions cut`: how long new connections failed. Plain: keepalived is stopped."""
    return most(rounds, variant, "outage, cut", "ms", "outage, planned")


@benchmark("pair/silent", over=("100ms",), goal=at_most(500, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
@benchmark("pair/silent", over=("1s",), goal=at_most(4000, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def silent(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The master dies without a word: how long new connections failed."""
    return most(rounds, variant, "silent", "ms", "silent")


@benchmark("pair/return", over=FAILED, goal=at_most(50, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def returned(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """It comes back: how long new connections failed."""
    return most(rounds, variant, "return", "ms", "return")


@benchmark("pair/killed", over=("100ms",), goal=at_most(50, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
@benchmark("pair/killed", over=("1s",), goal=at_most(100, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def killed(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """SIGKILL of the master's HAProxy: how long new connections failed. Plain: `vrrp_script` asks its page each second."""
    return most(rounds, variant, "killed", "ms", "killed")


@benchmark("pair/hung", over=FAILED, goal=at_most(1000, "ms"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def hung(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The same with SIGSTOP."""
    return most(rounds, variant, "hung", "ms", "hung")


@benchmark("pair/passive", over=("100ms",), goal=at_most(8, "s"), baseline="none", rounds=ROUNDS, quick=QUICK)
def passive(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The passive node dies without a word: until the agent of the master says so. keepalived never does."""
    return most(rounds, variant, "passive", "s")


@benchmark("pair/split", over=("100ms",), goal=at_most(5, "s"), baseline="none", rounds=ROUNDS, quick=QUICK)
def split(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """VRRP is lost between the nodes, as by a firewall: from when both have the addresses until an agent says so."""
    return most(rounds, variant, "split", "s")


@benchmark("pair/reload", over=("100ms",), goal=at_most(0, "wrong"), baseline="SIGUSR2", rounds=ROUNDS, quick=QUICK)
def reload(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """`lbkit reload` of the master, 4 in each round, under 300 connections a second to a Last Successful VIP: those that
    failed or went to another real server. Plain: HAProxy's own reload.
    """
    return total(rounds, variant, ("reloads",), ("reloads",))


@benchmark("pair/kept", over=VARIANTS, goal=at_most(0, "lost"), baseline=BASELINE, rounds=ROUNDS, quick=QUICK)
def kept(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """All of the above: connections to the Last Successful VIP that another real server answered, clients of the source-IP
    VIP that changed theirs, and intents that a node no longer has. n: the times it was looked at.
    """
    return total(rounds, variant, ("misrouted",), ("misrouted",))


@benchmark("pair/layer-4", goal=at_most(2, "s"), baseline="none", rounds=ROUNDS, quick=QUICK)
def layer_4(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """In user-mode Linux, with `ipvs_sync`: 10 sessions of direct routing begin each second, and the node dies without a
    word: the age of the oldest one that was lost. Where nothing else begins, the kernel holds its last message for 2 to 3 s.
    """
    found: dict[str, list[float]] = in_kernel("sync", str(rounds))
    ages = found["oldest"]
    lost = f"{sum(found['lost']):g} of {rounds * NUMBER} sessions lost"
    return Measured(max(ages), len(ages), f"oldest lost {median(ages):.3g} s, most {max(ages):.3g} s; {lost}")
