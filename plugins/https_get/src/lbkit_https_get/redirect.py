"""Where a redirect leads (RFC 9110 section 10.2.2). Loaded when there is one: urllib.parse is too slow for each start."""

from urllib.parse import SplitResult, urljoin, urlsplit

from lbkit_https_get.terms import request_path

_PORTS = {"http": 80, "https": 443}


def path_here(place: str, path: str, tls: bool, location: bytes) -> str:
    """The path and query that `location` means, seen from `path`; "": it is at another scheme, host or port than `place`."""
    here = f"{'https' if tls else 'http'}://{place}"
    try:
        found = urlsplit(urljoin(here + path, location.decode("latin-1")))
        if _place(found) != _place(urlsplit(here)):
            return ""
        return request_path((found.path or "/") + (f"?{found.query}" if found.query else ""))
    except ValueError:
        return ""


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)
