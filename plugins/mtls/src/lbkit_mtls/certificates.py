"""What is told of a certificate: whose it is, and how long it still lasts. C modules only: `lbkit-probe` loads it.

It reads the dictionaries that `_ssl` makes of certificates; `ssl.SSLSocket.getpeercert` documents them.
"""

from _datetime import datetime, timezone  # type: ignore[import-not-found]  # the C half of `datetime`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DAY = 86400  # seconds
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_SHORT = {  # RFC 4514 section 3
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
}


def told(whose: str, info: "dict[str, Any]", now: float) -> "dict[str, Any]":
    """`whose`, `subject`, `issuer`, `not_after` (ISO 8601, UTC), `days_left` (whole days, negative once it has expired).

    `whose`: `remote`, `ca` or `client`. `now`: seconds since 1970. The last two are None where no date can be read.
    """
    end = _date(info.get("notAfter", ""))
    return {
        "whose": whose,
        "subject": _name(info.get("subject", ())) or _first_name(info),
        "issuer": _name(info.get("issuer", ())),
        "not_after": end and end.isoformat()[:19] + "Z",
        "days_left": None if end is None else int((end.timestamp() - now) // DAY),
    }


def of_remote(tls: "Any", verified: bool, now: float) -> "list[dict[str, Any]]":
    """What is told of the remote's certificates, its own first: as verified, up to the root, or else as they were sent."""
    found: list[dict[str, Any]] = []
    for certificate in (tls.get_verified_chain if verified else tls.get_unverified_chain)() or ():
        try:
            info = certificate.get_info()
        except Exception:  # it holds something that OpenSSL takes and Python can't decode
            info = {}
        found.append(told("ca" if found else "remote", info, now))
    return found


def _name(rdns: "tuple[tuple[tuple[str, str], ...], ...]") -> str:
    """As RFC 4514 writes it: the last first."""
    return ",".join("+".join(f"{_SHORT.get(kind, kind)}={value}" for kind, value in rdn) for rdn in reversed(rdns))


def _first_name(info: "dict[str, Any]") -> str:
    """For a certificate without a subject, which RFC 5280 section 4.1.2.6 allows."""
    names = info.get("subjectAltName", ())
    return str(names[0][1]) if names else "unknown"


def _date(text: str) -> "Any":
    """`Jun  1 12:00:00 2026 GMT` as a datetime, or None."""
    try:
        month, day, time, year, _ = text.split()
        hour, minute, second = time.split(":")
        number = _MONTHS.index(month) // 3 + 1
        return datetime(int(year), number, int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)
    except ValueError:
        return None
