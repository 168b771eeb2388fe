"""`lbkit-probe c-echo`: the same verification as `lbkit check c-echo`, without what makes that comfortable."""

from lbkit.errors import Misuse
from lbkit_dicom_echo.echo import Terms, ae_title, status_code, verification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.conversation import Protocol

OPTIONS: "dict[str, Any]" = {"tls": False, "aet": "LOADBALANCER", "aec": "LB-SCP", "accept-status": (), "busy": "down"}


def protocol(options: "dict[str, Any]", host: str, port: int) -> "Protocol":
    """The protocol for the driver. Raises Misuse."""
    if options["busy"] not in ("up", "down"):
        raise Misuse(f"--busy: {options['busy']!r} is neither up nor down.")
    try:
        called, calling = ae_title(options["aec"]), ae_title(options["aet"])
        accepted = tuple([status_code(value) for value in options["accept-status"]])
    except ValueError as e:
        raise Misuse(f"c-echo: {e}.") from None
    return verification(Terms(calling, called, accepted, options["busy"] == "up"))
