"""`lbkit agent --observe` as a process of its own: on this machine it needs neither root nor IPVS, and writes nothing."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from benchmarks.commands import installed
from benchmarks.outcome import BenchmarkError
from lbkit.errors import NotRunning
from lbkit.state.agent import Agent, AgentState

ENDS_WITHIN = 5.0  # seconds

HEAD = """
name = "benchmark"
[agent]
socket = "{folder}/agent.sock"
"""
VIP = """
[[vips]]
label = "VIP_{number}"
address = "{address}"
ports = [{port}]
mode = "{mode}"
check = {{ kind = "c-echo", aet = "LOADBALANCER", aec = "LB-SCP", {check} }}
"""
SERVER = """
[[vips.servers]]
label = "S_{number}"
address = "{address}"
"""


def site_text(
    folder: Path, vips: Iterable[tuple[int, Sequence[str]]], check: str, more: str = "", mode: str = "l4-dr"
) -> str:
    """A site file. `vips`: the port of each, and the addresses of its real servers. `check`: how it is checked, as TOML.
    `more`: tables besides. `mode`: of all VIPs.
    """
    parts = [HEAD.format(folder=folder), more]
    for number, (port, servers) in enumerate(vips):
        address = f"198.18.{number // 250}.{number % 250 + 1}"
        parts.append(VIP.format(number=number, address=address, port=port, check=check, mode=mode))
        parts += [SERVER.format(number=at, address=server) for at, server in enumerate(servers)]
    return "".join(parts)


class AgentProcess:
    """One that runs. `folder`: of its site file."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.folder = folder
        self._process = process
        self._client = Agent(str(folder / "agent.sock"))
        self._log = folder / "log"
        self._proc = Path("/proc", str(process.pid))

    def state(self) -> AgentState:
        """What it says."""
        return self._client.state()

    def has_all(self, health: str, within: float) -> AgentState:
        """Wait until all real servers are so; what it says then."""
        deadline = monotonic() + within
        while monotonic() < deadline:
            try:
                state = self.state()
            except NotRunning:
                if self._process.poll() is not None:
                    raise BenchmarkError(f"the agent has ended: {self._log.read_text()[-500:]}") from None
            else:
                if all(one.health == health for vip in state.vips.values() for one in vip.servers.values()):
                    return state
            sleep(0.2)
        raise BenchmarkError(f"after {within:g} s not all real servers are {health}")

    def pin(self, core: int) -> None:
        """All its threads run on this core from now on."""
        for thread in (self._proc / "task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})

    @property
    def cpu_s(self) -> float:
        """CPU time that it has used so far, in seconds."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mb(self) -> float:
        """Its memory now."""
        return int((self._proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def observing(
    vips: Iterable[tuple[int, Sequence[str]]], check: str, more: str = "", *, telling: bool = False
) -> Iterator[AgentProcess]:
    """An agent for this site (see `site_text`), until the block ends. `telling`: it sends what it has to tell, and its VIPs
    are of layer 7, for there it writes nothing either.
    """
    with TemporaryDirectory(prefix="lb") as name:
        folder = Path(name)
        file = folder / "site.toml"
        file.write_text(site_text(folder, vips, check, more, "l7-snat" if telling else "l4-dr"))
        observe = [] if telling else ["--observe"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [installed("lbkit"), "agent", *observe, "--site", str(file)],
                env={**os.environ, "LBKIT_STATE": str(folder / "state")},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield AgentProcess(process, folder)
        finally:
            process.terminate()
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
