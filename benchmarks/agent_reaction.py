"""`lbkit agent` on a kernel with IPVS, beside ldirectord and keepalived that start echoscu; one operation of its client."""

from functools import cache
from statistics import median

from benchmarks.guest import in_kernel
from benchmarks.measure import plain_medians
from benchmarks.outcome import Measured, at_least, reported
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes, program
from benchmarks.remotes.programs import compiled

Figures = dict[str, dict[str, list[float]]]


@cache
def reactions(remotes: Remotes, rounds: int) -> Figures:
    """All of them from one boot, in about four minutes."""
    for name in ("ldirectord", "keepalived", "echoscu"):
        program(name)
    found: Figures = in_kernel("reaction", str(rounds), compiled("replayd", remotes.folder))
    return found


def against(remotes: Remotes, other: str, rounds: int, what: str, unit: str) -> Measured:
    """How many times the median of lbkit is that of another."""
    found = reactions(remotes, rounds)
    costs = {name: found[name][what] for name in (other, "lbkit")}
    return Measured(median(costs[other]) / median(costs["lbkit"]), len(costs["lbkit"]), plain_medians(costs, unit))


@benchmark(
    "agent/killed", over=("ldirectord",), goal=reported("times faster"), baseline="ldirectord", rounds=3, quick=1
)
@benchmark(
    "agent/killed", over=("keepalived",), goal=reported("times faster"), baseline="keepalived", rounds=3, quick=1
)
def killed(remotes: Remotes, other: str, rounds: int) -> Measured:
    """In user-mode Linux, on its one slow CPU: from the SIGKILL of a real server until IPVS has it no more. 4 VIPs with 2
    real servers each; the others start an echoscu for each check (`checktype=external`, MISC_CHECK). Each checks every 2 s,
    with a time-out of 2 s, and takes a server out at the second check that fails. One server of each VIP dies at a time. The
    ratio of medians; all in one boot. Starting programs takes the others most of this CPU, so that they are late too.
    """
    return against(remotes, other, rounds, "killed", "s")


@benchmark("agent/hung", over=("ldirectord",), goal=reported("times faster"), baseline="ldirectord", rounds=3, quick=1)
@benchmark("agent/hung", over=("keepalived",), goal=reported("times faster"), baseline="keepalived", rounds=3, quick=1)
def hung(remotes: Remotes, other: str, rounds: int) -> Measured:
    """The same from the SIGSTOP of a real server, while one of another VIP hangs too."""
    return against(remotes, other, rounds, "hung", "s")


@benchmark("agent/back", over=("ldirectord",), goal=reported("times faster"), baseline="ldirectord", rounds=3, quick=1)
@benchmark("agent/back", over=("keepalived",), goal=reported("times faster"), baseline="keepalived", rounds=3, quick=1)
def back(remotes: Remotes, other: str, rounds: int) -> Measured:
    """The same from the start of a killed server until IPVS has it again; one check that passes is enough for each."""
    return against(remotes, other, rounds, "back", "s")


@benchmark("agent/share", over=("ldirectord",), goal=reported("times less"), baseline="ldirectord", rounds=3, quick=1)
@benchmark("agent/share", over=("keepalived",), goal=reported("times less"), baseline="keepalived", rounds=3, quick=1)
def share(remotes: Remotes, other: str, rounds: int) -> Measured:
    """CPU seconds a minute for the same site while all is well, with all processes that are started for it. This kernel
    makes the start of a process dearer than others do, so the ratio elsewhere is smaller.
    """
    return against(remotes, other, rounds, "cpu", "CPU s a minute")


@cache
def operations(rounds: int) -> dict[str, list[float]]:
    """All three in turns, in one boot."""
    program("ipvsadm")
    found: dict[str, list[float]] = in_kernel("operation", str(rounds))
    return found


@benchmark("agent/ipvs", over=("ipvsadm",), goal=at_least(8, "times faster"), baseline="ipvsadm", rounds=60, quick=20)
@benchmark("agent/ipvs", over=("pyroute2",), goal=at_least(3, "times faster"), baseline="pyroute2", rounds=60, quick=20)
def operation(remotes: Remotes, other: str, rounds: int) -> Measured:
    """In user-mode Linux: the weight of a destination set and the table of 4 services and 8 destinations read back, by
    `lbkit.ipvs.kernel` on an open socket, against two starts of `ipvsadm`, and pyroute2 on an open socket.
    """
    costs = operations(rounds)
    pairs = zip(costs[other], costs["lbkit"], strict=True)
    behind = plain_medians({name: costs[name] for name in (other, "lbkit")}, "ms")
    return Measured(median(theirs / ours for theirs, ours in pairs), rounds, behind)
