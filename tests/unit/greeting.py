"""A check of our own, for the drivers to run."""

from lbkit.checks.conversation import down, up
from lbkit.checks.kind import CheckKind, Params


def greeting():
    received = yield "greet", b"HELO\r\n"
    while received and not received.endswith(b"\n"):
        more = yield "greet", b""
        received += more
    return up(f"it says {received!r}") if received else down("closed", "it says nothing")


def check_of(protocol=greeting, params=Params, **given):
    return CheckKind("greet", "", params, lambda params: lambda target: protocol()).prepare({"timeout": 5, **given})
