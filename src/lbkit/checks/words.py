"""What the drivers say when a connection fails, before any protocol has spoken. Loaded on failures only."""

import errno

from lbkit.checks.conversation import Outcome, down

_REFUSED = (
    "connection refused: nothing listens on {where} (or a firewall rejects it). "
    "Start the service there, or check the port."
)
_TIMED_OUT = (
    "no answer to the connection request within {seconds:g} s: {where} is switched off, on another network, or a "
    "firewall drops it. Ping the host, then check the firewall."
)
_UNREACHABLE = "{where} can't be reached: {why}. Check this machine's route to it, and that the host is switched on."

_BY_ERRNO = {
    errno.ECONNREFUSED: ("refused", _REFUSED),
    errno.ETIMEDOUT: ("timed-out", _TIMED_OUT),
    errno.EHOSTUNREACH: ("unreachable", _UNREACHABLE),
    errno.ENETUNREACH: ("unreachable", _UNREACHABLE),
    errno.EHOSTDOWN: ("unreachable", _UNREACHABLE),
    errno.ENETDOWN: ("unreachable", _UNREACHABLE),
    errno.EAFNOSUPPORT: ("unreachable", _UNREACHABLE),
}


def connect_failed(number: int, why: str, where: str, seconds: float) -> "Outcome | None":
    """The verdict on an errno of connect(2); None: it speaks of this machine, not of the remote."""
    known = _BY_ERRNO.get(number)
    if known is None:
        return None
    reason, text = known
    return down(reason, text.format(where=where, seconds=seconds, why=why), "connect")


def timed_out_at_connect(where: str, seconds: float) -> Outcome:
    """The deadline passed before the connection stood."""
    return down("timed-out", _TIMED_OUT.format(where=where, seconds=seconds), "connect")


def name_failed(host: str, known_absent: bool) -> Outcome:
    """The name service answered without an address (`known_absent`), or gave no usable answer."""
    if known_absent:
        text = f"the name {host} was not found: it is misspelt, or not in DNS or /etc/hosts. Check it, or give the address."
        return down("name-not-found", text, "dns")
    text = f"the name service gave no answer for {host}: DNS is down or out of reach. Give the address, or repair DNS."
    return down("dns-failed", text, "dns")


def timed_out_at_dns(host: str, seconds: float) -> Outcome:
    """The deadline passed before the name was looked up."""
    text = f"the name service did not answer for {host} within {seconds:g} s. Give the address, or repair DNS."
    return down("timed-out", text, "dns")
