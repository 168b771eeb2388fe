"""The kernel's ways to say no, told apart by their numbers (ip_vs_ctl.c of Linux 6.1)."""

from __future__ import annotations

import errno
import os

from lbkit.errors import AlreadyThere, EngineError, NotAllowed, NotRunning, NotThere
from lbkit.ipvs.table import Key, Service, bracketed

NO_IPVS = "this kernel has no IPVS, or has not loaded it. As root: modprobe ip_vs"


def not_running() -> EngineError:
    """What to raise where nobody knows IPVS."""
    return NotRunning(NO_IPVS)


def refused(code: int, what: str) -> EngineError:
    """What to raise for a number that says the same whatever was asked. `what`: such as "to list the services"."""
    if code == errno.EPERM:
        return NotAllowed(f"this user may not ask IPVS {what}. Run as root, or with CAP_NET_ADMIN.")
    return EngineError(f"IPVS refuses {what}: {os.strerror(code)} ({errno.errorcode.get(code, code)}). See dmesg.")


def of_service(code: int, verb: str, service: Service | Key) -> EngineError:
    """What to raise when a service was not added, changed, removed or zeroed."""
    key = service.key if isinstance(service, Service) else service
    if code == errno.EEXIST:
        return AlreadyThere(f"IPVS has a service {key} already. Change it, or remove it first.")
    if code == errno.ESRCH:
        return NotThere(f"IPVS has no service {key}. Those that it has: ipvsadm -ln")
    if code == errno.ENOENT and isinstance(service, Service):
        name = service.scheduler
        return NotThere(f"{key}: this kernel knows no scheduler {name}. As root: modprobe ip_vs_{name}")
    return refused(code, f"to {verb} the service {key}")


def of_destination(code: int, verb: str, key: Key, address: str, port: int) -> EngineError:
    """What to raise when a destination was not added, changed or removed."""
    place = f"{bracketed(address)}:{port}"
    if code == errno.EEXIST:
        return AlreadyThere(f"the service {key} has a destination {place} already. Change it, or remove it first.")
    if code == errno.ESRCH:
        return NotThere(f"IPVS has no service {key}. Those that it has: ipvsadm -ln")
    if code == errno.ENOENT:
        return NotThere(f"the service {key} has no destination {place}. Those that it has: ipvsadm -ln")
    if code == errno.EINVAL:
        return EngineError(
            f"IPVS takes no destination {place} for {key}: its address is no host's (multicast, broadcast, link-local), "
            "or of the other address family while a sync daemon runs. Give the real server's own address."
        )
    return refused(code, f"to {verb} the destination {place} of {key}")


def of_daemon(code: int, verb: str, role: str, interface: str | None = None) -> EngineError:
    """What to raise when a sync daemon was not started or stopped."""
    if code == errno.EEXIST:
        return AlreadyThere(f"IPVS has a {role} sync daemon already. Stop it first.")
    if code == errno.ESRCH:
        return NotThere(f"IPVS has no {role} sync daemon. Those that it has: ipvsadm -ln --daemon")
    if code == errno.ENODEV:
        return NotThere(f"there is no interface {interface} for the {role} sync daemon. Those that there are: ip link")
    if code == errno.EINVAL and verb == "start":
        return EngineError(
            f"IPVS starts no {role} sync daemon while a service has a destination of the other address family. "
            "Remove that destination first."
        )
    return refused(code, f"to {verb} the {role} sync daemon")
