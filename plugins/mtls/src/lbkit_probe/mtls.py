"""`lbkit-probe mtls`: the same handshake as `lbkit check mtls`."""

from time import time

from lbkit.errors import Misuse
from lbkit_mtls.handshake import handshake
from lbkit_mtls.prepared import Prepared, days
from lbkit_probe.door import terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.conversation import Protocol

OPTIONS: "dict[str, Any]" = {"warning-days": 30, "critical-days": 0, "expect-refusal": False}


def protocol(options: "dict[str, Any]", host: str, port: int) -> "Protocol":
    """The protocol for the driver. Raises Misuse."""
    try:
        thresholds = days(options["warning-days"], options["critical-days"])
    except ValueError as e:
        raise Misuse(f"mtls: {e}.") from None
    return handshake(Prepared(terms(options), *thresholds, options["expect-refusal"]), host, time())
