"""pynetdicom's own way: `AE.associate` in as many threads as checks run at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pynetdicom import AE

from benchmarks.clients import Job
from benchmarks.pdus import VERIFICATION


def check_all(job: Job) -> Counter[str]:
    """Check every target and count the outcomes."""
    entity = AE("LOADBALANCER")
    entity.add_requested_context(VERIFICATION.decode())
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = job.timeout_s

    def check(target: str) -> str:
        host, port = target.split(":")
        association = entity.associate(host, int(port), ae_title="LB-SCP")
        if not association.is_established:
            return "not associated"
        status = association.send_c_echo().get("Status")
        association.release()
        return "up" if status == 0 else "bad status"

    with ThreadPoolExecutor(job.at_once) as threads:
        return Counter(threads.map(check, job.targets))
