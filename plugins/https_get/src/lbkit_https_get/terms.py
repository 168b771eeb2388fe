"""What one exchange is run with, and what may be given for it. Loaded by `lbkit-probe`: nothing is imported on the way."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MATCHES = ("equals", "contains", "regex", "anything")
MOST_BODY = 1 << 24  # bytes that --max-body may allow
MOST_REDIRECTS = 10
MAX_TEXT = 2048  # characters of a path; RFC 9110 section 4.1 asks servers for 8000 at least, and many take fewer
_DELIMITERS = '/?#@\\"<>^`{|}'  # of URIs, or never part of one (RFC 3986 appendix A)


def request_path(value: str) -> str:
    """A path with its query, as it stands in a request (RFC 9112 section 3.2.1). Raises ValueError."""
    if not value.startswith("/"):
        raise ValueError(f"{value!r} does not begin with a slash")
    if not is_visible(value) or "#" in value:
        raise ValueError(f"{value!r}: a path has only printable ASCII, no spaces and no #; write others as %XX")
    if len(value) > MAX_TEXT:
        raise ValueError(f"the path has {len(value)} characters; at most {MAX_TEXT} are sent")
    return value


def host_header(value: str) -> str:
    """A Host header's value: a name or address, perhaps with a port (RFC 9110 section 7.2). Raises ValueError."""
    if not value or len(value) > 255 or not is_visible(value) or any(c in _DELIMITERS for c in value):
        raise ValueError(f"{value!r} is no host; write NAME, NAME:PORT or [IPV6]:PORT")
    return value


def is_visible(text: str) -> bool:
    """Whether all of it is printable ASCII, and no space: what can't break out of its place in a request's head."""
    return text.isascii() and text.isprintable() and " " not in text


def authority(host: str, port: int, tls: bool) -> str:
    """The Host header for a place: with the port where it is not the scheme's own, IPv6 in brackets without its zone."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            host = host.encode("ascii", "replace").decode()  # no resolver takes it; the check fails there, not here
    name = f"[{host.partition('%')[0]}]" if ":" in host else host.removesuffix(".")
    return name if port == (443 if tls else 80) else f"{name}:{port}"


class Terms:
    """Prepared once, used for any number of targets. Raises ValueError for a `body` that is no regular expression.

    `host`: the Host header, "": made of `server_name`, or else of the target's host. `statuses`: those that are expected.
    """

    __slots__ = ("body", "host", "match", "matches", "max_body", "path", "redirects", "server_name", "statuses", "tls")

    def __init__(
        self,
        path: str = "/api/health/",
        host: str = "",
        server_name: str = "",
        statuses: tuple[int, ...] = (200,),
        match: str = "equals",
        body: str = "allServicesOperative",
        max_body: int = 65536,
        redirects: int = 0,
        tls: bool = True,
    ) -> None:
        self.path = path
        self.host = host
        self.server_name = server_name
        self.statuses = frozenset(statuses)
        self.match = match
        self.body = body
        self.matches = _matcher(match, body)
        self.max_body = max_body
        self.redirects = redirects
        self.tls = tls

    def host_for(self, host: str, port: int) -> str:
        """The Host header for a target."""
        return self.host or authority(self.server_name or host, port, self.tls)


def _matcher(match: str, body: str) -> "Callable[[str], bool]":
    if match == "equals":
        wanted = body.strip()
        return lambda received: received.strip() == wanted
    if match == "contains":
        return lambda received: body in received
    if match == "anything":
        return lambda received: True
    import re

    try:
        pattern = re.compile(body)
    except (re.error, OverflowError, RecursionError) as e:
        raise ValueError(f"{body!r} is no regular expression: {e}") from None
    return lambda received: pattern.search(received) is not None
