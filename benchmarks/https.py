"""HTTPS checks with client certificates: a thousand at once, against httpx."""

from benchmarks.clients import Job
from benchmarks.measure import ratio
from benchmarks.outcome import Measured, at_most
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.scale import WARM_UP, addresses, cpu_us


def job(remotes: Remotes, count: int) -> Job:
    """This many checks of nginx, each at an address of its own, all at once."""
    targets = [f"{address}:{remotes.port('nginx')}" for address in addresses(count)]
    known = remotes.identities
    options = {
        "ca_file": known.authority,
        "cert_file": known.client.certificate,
        "key_file": known.client.key,
        "server_name": "localhost",
    }
    return Job(targets, count, targets[:WARM_UP], check="https-get", options=options)


@benchmark(
    "https", over=("1000",), goal=at_most(0.5, "times"), baseline="httpx's AsyncClient", rounds=15, quick=3
)  # fmt: skip
def against_httpx(remotes: Remotes, at_once: str, rounds: int) -> Measured:
    """CPU time of the client process for each of 1,000 HTTPS checks at once (TLS 1.3, a client certificate, the server's
    chain and name verified, a fresh connection to an address of its own each, status and body compared), against httpx's
    `AsyncClient`, one SSL context for all; the server is nginx.
    """
    work = job(remotes, int(at_once))
    return ratio(
        rounds, over=("lbkit", cpu_us("lbkit", work)), under=("httpx", cpu_us("httpx", work)), unit="µs", warm_up=False
    )
