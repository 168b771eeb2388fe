"""One C-ECHO within a running process, everything imported: what the conversation itself costs."""

from benchmarks.measure import call_ms, ratio
from benchmarks.outcome import Measured, NotInstalledError, at_least
from benchmarks.pdus import VERIFICATION
from benchmarks.registry import benchmark
from benchmarks.remotes import Remotes
from benchmarks.remotes.fleet import HOST


@benchmark(
    "wire-latency", over=("storescp", "orthanc"),
    goal=at_least(40, "times faster"), baseline="pynetdicom's AE.associate", rounds=150, quick=15,
)  # fmt: skip
def wire_latency(remotes: Remotes, remote: str, rounds: int) -> Measured:
    """One C-ECHO within a running process, against pynetdicom's `associate`, `send_c_echo` and `release`."""
    try:
        from pynetdicom import AE
    except ImportError:
        raise NotInstalledError("the Python package pynetdicom is not installed") from None
    from lbkit import check

    port = remotes.port(remote)
    entity = AE("LOADBALANCER")
    entity.add_requested_context(VERIFICATION.decode())

    def with_pynetdicom() -> bool:
        association = entity.associate(HOST, port, ae_title="LB-SCP")
        up = association.is_established and association.send_c_echo().get("Status") == 0
        association.release()
        return up

    def with_lbkit() -> bool:
        return check("c-echo", f"{HOST}:{port}").status == "up"

    return ratio(rounds, over=("pynetdicom", call_ms(with_pynetdicom)), under=("lbkit", call_ms(with_lbkit)))
