"""`lbkit-probe connect`."""

from lbkit.checks.conversation import connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.conversation import Protocol

OPTIONS: "dict[str, Any]" = {"tls": False}


def protocol(options: "dict[str, Any]", host: str, port: int) -> "Protocol":
    """The protocol for the driver."""
    return connected(options["tls"])
