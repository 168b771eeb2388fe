"""One operation on IPVS: set the weight of a destination, and read the table back."""

import itertools
import subprocess
from time import perf_counter
from typing import Any

from pyroute2 import IPVS, IPVSDest, IPVSService

from benchmarks.guest.servers import PORT, VIPS
from benchmarks.measure import Contender, take_turns
from benchmarks.outcome import BenchmarkError
from benchmarks.remotes import program
from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Destination, Service, Virtual

VIP, (SERVER, *_) = next(iter(VIPS.items()))
KEY = Virtual(VIP, PORT)


def measure(rounds: str) -> dict[str, list[float]]:
    """Milliseconds of each, in turns."""
    with Kernel() as kernel, IPVS() as other:
        kernel.flush()
        for vip, servers in VIPS.items():
            kernel.add_service(Service(Virtual(vip, PORT)))
            for server in servers:
                kernel.add(Virtual(vip, PORT), Destination(server, PORT))
        return take_turns(
            int(rounds), {"lbkit": _ours(kernel), "pyroute2": _pyroute2(other), "ipvsadm": _ipvsadm(program("ipvsadm"))}
        )


def _ours(kernel: Kernel) -> Contender:
    def operation(weight: int) -> bool:
        kernel.change(KEY, Destination(SERVER, PORT, weight))
        return kernel.services()[KEY].destinations[SERVER, PORT].destination.weight == weight

    return _ms(operation)


def _pyroute2(other: Any) -> Contender:
    service = IPVSService(addr=VIP, port=PORT, protocol=6)

    def operation(weight: int) -> bool:
        destination = IPVSDest(addr=SERVER, port=PORT, weight=weight, fwd_method=3)
        other.dest("set", service=service, dest=destination)
        weights = []
        for found in other.service("dump"):
            one = IPVSService.from_message(found)
            for message in other.dest("dump", service=one):
                attributes = dict(message.get_nested("IPVS_CMD_ATTR_DEST")["attrs"])
                if attributes["IPVS_DEST_ATTR_ADDR"] == SERVER:
                    weights.append(attributes["IPVS_DEST_ATTR_WEIGHT"])
        return weights == [weight]

    return _ms(operation)


def _ipvsadm(path: str) -> Contender:
    change = [path, "-e", "-t", f"{VIP}:{PORT}", "-r", f"{SERVER}:{PORT}", "-g", "-w"]

    def operation(weight: int) -> bool:
        subprocess.run([*change, str(weight)], check=True)
        said = subprocess.run([path, "-Sn"], check=True, capture_output=True, text=True).stdout
        return f"-r {SERVER}:{PORT} -g -w {weight}\n" in said

    return _ms(operation)


def _ms(operation: Any) -> Contender:
    """Each turn sets another weight."""
    weights = itertools.count(1)

    def run() -> float:
        weight = next(weights)
        start = perf_counter()
        done = operation(weight)
        took = perf_counter() - start
        if not done:
            raise BenchmarkError("a weight that was set could not be read back")
        return took * 1000

    return run
