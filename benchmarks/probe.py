"""`lbkit-probe c-echo`, the whole process, against echoscu, pynetdicom's command and a Python that does nothing."""

from benchmarks import commands
from benchmarks.measure import ratio, wall_ms
from benchmarks.outcome import Measured, at_least, at_most
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes

UP = b"up"  # what lbkit prints


@benchmark(
    "probe-vs-echoscu", over=("storescp", "orthanc"),
    goal=at_least(6, "times faster"), baseline="dcmtk's echoscu", rounds=40, quick=6,
)  # fmt: skip
def probe_vs_echoscu(remotes: Remotes, remote: str, rounds: int) -> Measured:
    """The whole process of `lbkit-probe c-echo`, from its start to its end, against that of `echoscu`."""
    port = remotes.port(remote)
    return ratio(
        rounds,
        over=("echoscu", wall_ms(commands.echoscu(port))),
        under=("lbkit", wall_ms(commands.lbkit_probe(port), says=UP)),
    )


@benchmark(
    "probe-vs-pynetdicom", over=("storescp", "orthanc"),
    goal=at_least(18, "times faster"), baseline="python -m pynetdicom echoscu", rounds=20, quick=4,
)  # fmt: skip
def probe_vs_pynetdicom(remotes: Remotes, remote: str, rounds: int) -> Measured:
    """The same against `python -m pynetdicom echoscu`."""
    port = remotes.port(remote)
    return ratio(
        rounds,
        over=("pynetdicom", wall_ms(commands.pynetdicom_echoscu(port))),
        under=("lbkit", wall_ms(commands.lbkit_probe(port), says=UP)),
    )


@benchmark(
    "probe-vs-bare", over=("storescp",), goal=at_most(2.5, "times"), baseline=commands.BARE, rounds=100, quick=25
)
@benchmark("probe-vs-bare", over=("replayd",), goal=at_most(1.5, "times"), baseline=commands.BARE, rounds=100, quick=25)
def probe_vs_bare(remotes: Remotes, remote: str, rounds: int) -> Measured:
    """The same against `python3 -I -S -c pass` of the same interpreter: the least that a Python can do."""
    command = commands.lbkit_probe(remotes.port(remote))
    return ratio(rounds, over=("lbkit", wall_ms(command, says=UP)), under=("bare", wall_ms(commands.bare_python())))


@benchmark(
    "probe-tls",
    goal=at_least(3, "times faster"), baseline="dcmtk's echoscu, client certificate", rounds=40, quick=6,
)  # fmt: skip
def probe_tls(remotes: Remotes, variant: str, rounds: int) -> Measured:
    """`lbkit-probe c-echo --tls` against `echoscu --enable-tls`; storescp demands a client certificate."""
    port, authority, client = remotes.port("storescp-tls"), remotes.identities.authority, remotes.identities.client
    return ratio(
        rounds,
        over=("echoscu", wall_ms(commands.echoscu_tls(port, authority, client))),
        under=("lbkit", wall_ms(commands.lbkit_probe_tls(port, authority, client), says=UP)),
    )
