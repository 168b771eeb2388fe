"""`lbkit-probe connect`."""

from lbkit.checks.conversation import up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.conversation import Protocol

OPTIONS: "dict[str, Any]" = {}


def protocol(options: "dict[str, Any]") -> "Protocol":
    """The protocol for the driver."""
    step, message = ("tls", "takes TLS connections") if options["tls"] else ("connect", "takes connections")
    return up(message, step)
    yield  # a generator, though one with nothing to say
