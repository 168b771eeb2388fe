"""`lbkit.operate.overview` of a large site, against haproxy-stats on the same HAProxy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import lbkit
from benchmarks.measure import call_ms, ratio
from benchmarks.outcome import Measured, at_least
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from lbkit.checks.registry import Registry
from lbkit.haproxy import process
from lbkit.haproxy.engine import Haproxy
from lbkit.operate.apply import apply
from lbkit.operate.overview import overview
from lbkit.site.model import Site

VIPS, SERVERS_EACH = 20, 50
STATS, PEERS, FIRST_PORT = 18404, 17778, 18500

HEAD = f"""
name = "large"
[haproxy]
folder = "etc"
runtime = "run"
master_socket = "run/master.sock"
stats_port = {STATS}
peer_port = {PEERS}
"""
VIP = """
[[vips]]
label = "VIP_{number}"
address = "127.0.0.1"
ports = [{port}]
mode = "l7-snat"
check = {{ kind = "connect", interval = "1m" }}
"""
SERVER = """
[[vips.servers]]
label = "S_{number}"
address = "127.0.60.{number}"
port = 9
"""


@contextmanager
def large_site() -> Iterator[tuple[Site, Path]]:
    """A site of 20 VIPs with 50 real servers each, applied, and the folder of its intents."""
    with TemporaryDirectory(prefix="lb") as folder:
        servers = "".join(SERVER.format(number=number + 1) for number in range(SERVERS_EACH))
        vips = "".join(VIP.format(number=number, port=FIRST_PORT + number) + servers for number in range(VIPS))
        file = Path(folder, "site.toml")
        file.write_text(HEAD + vips)
        site, state = lbkit.load_site(file), Path(folder, "state")
        try:
            apply(site, Registry().kind, state=state)
            yield site, state
        finally:
            process.stop(Haproxy(site))


@benchmark("haproxy/overview", goal=at_least(2.5, "times"), baseline="haproxy-stats", rounds=21, quick=4)
def overview_of_many(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """The overview of a site with 1,000 real servers (state, health, intent, connections of old workers too), against
    haproxy-stats on the statistics page of the same HAProxy.
    """
    from haproxystats import HAProxyServer

    import lbkit.haproxy.statistics_page  # noqa: F401 - haproxy-stats would set up this process's logging

    with large_site() as (site, state):

        def ours() -> bool:
            return sum(len(view.servers) for view in overview(site, state=state)) == VIPS * SERVERS_EACH

        def theirs() -> bool:
            return len(HAProxyServer(f"127.0.0.1:{STATS}").listeners) >= VIPS * SERVERS_EACH

        return ratio(rounds, over=("haproxy-stats", call_ms(theirs)), under=("lbkit", call_ms(ours)))
