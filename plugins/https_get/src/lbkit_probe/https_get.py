"""`lbkit-probe https-get`: the same exchange as `lbkit check https-get`, without what makes that comfortable.

Importing h11 is most of its start: 37 ms without TLS, where `c-echo` takes 12 ms, and 50 ms with a client certificate, where
`connect --tls` takes 23 ms; a bare Python takes 8.5 ms (n = 60, medians, the whole process).
"""

from lbkit.errors import Misuse
from lbkit_https_get.exchange import exchange
from lbkit_https_get.terms import MATCHES, MOST_BODY, MOST_REDIRECTS, Terms, host_header, request_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lbkit.checks.conversation import Protocol

OPTIONS: "dict[str, Any]" = {
    "tls": True,
    "path": "/api/health/",
    "host": "",
    "status": (200,),
    "match": "equals",
    "body": "allServicesOperative",
    "max-body": 65536,
    "redirects": 0,
}


def protocol(options: "dict[str, Any]", host: str, port: int) -> "Protocol":
    """The protocol for the driver. Raises Misuse."""
    if options["match"] not in MATCHES:
        raise Misuse(f"--match: {options['match']!r} is none of {', '.join(MATCHES)}.")
    given = [status for status in options["status"] if isinstance(status, str)]  # behind the default, which it replaces
    try:
        terms = Terms(
            request_path(options["path"]),
            options["host"] and host_header(options["host"]),
            options["server-name"],
            tuple([_number("status", status, 200, 599) for status in given]) or OPTIONS["status"],
            options["match"],
            options["body"],
            _number("max-body", options["max-body"], 1, MOST_BODY),
            _number("redirects", options["redirects"], 0, MOST_REDIRECTS),
            options["tls"],
        )
    except ValueError as e:
        raise Misuse(f"https-get: {e}.") from None
    return exchange(terms, host, port)


def _number(name: str, given: str | int, least: int, most: int) -> int:
    try:
        number = int(given)
    except ValueError:
        number = -1
    if not least <= number <= most:
        raise ValueError(f"{name}: {given} is no number from {least} to {most}")
    return number
