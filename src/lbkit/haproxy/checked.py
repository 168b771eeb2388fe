"""What HAProxy's last check of a server found, in words (management guide 9.1: check_status, check_code, last_chk)."""

from __future__ import annotations

from collections.abc import Mapping

from lbkit.haproxy.rows import Row

_STEPS: Mapping[str, str] = {
    "SOCKERR": "connect: HAProxy can't make a socket",
    "L4OK": "connect: the port takes connections",
    "L4TOUT": "connect: no answer in time",
    "L4CON": "connect: refused, or no way there",
    "L6OK": "tls: the handshake is done",
    "L6TOUT": "tls: no handshake in time",
    "L6RSP": "tls: the handshake failed",
    "L7OK": "response: as expected",
    "L7OKC": "response: as expected, to be stopped soon",
    "L7TOUT": "response: none in time",
    "L7RSP": "response: not as expected",
    "L7STS": "response: not as expected",
}


def checked(row: Row) -> str:
    """`response: not as expected (503, HTTP status check returned code <503>) in 3 ms`; "" before the first check."""
    code = row.text("check_status").removeprefix("* ")  # one that is running now has the star
    if code in ("", "INI", "UNK"):
        return ""
    beside = [text for text in (row.text("check_code"), row.text("last_chk")) if text]
    said = f" ({', '.join(beside)})" if beside and not code.endswith("OK") else ""
    took = row.text("check_duration")
    return f"{_STEPS.get(code, code)}{said}{f' in {took} ms' if took else ''}"
