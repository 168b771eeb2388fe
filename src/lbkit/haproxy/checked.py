"""What was found of a server last, by HAProxy's check or by the agent (management guide 9.1: check_status, agent_status)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lbkit.haproxy.rows import Row
from lbkit.state.observed import Health

COLUMNS = ("check_status", "check_code", "check_duration", "last_chk", "agent_status", "last_agt")
"""Those of `show stat` that are read here."""

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
_REASONS: Mapping[str, str] = {
    "SOCKERR": "cannot-run",
    "L4TOUT": "timed-out",
    "L4CON": "refused",
    "L6TOUT": "timed-out",
    "L6RSP": "tls-failed",
    "L7TOUT": "timed-out",
    "L7RSP": "not-as-expected",
    "L7STS": "not-as-expected",
}
UNANSWERED = "the agent does not answer"
"""So begins what was found of a server that HAProxy asks the agent about in vain."""

_CHECKED_HERE = re.compile(r"(?:the agent says down \()?([a-z0-9-]+) \(([a-z0-9-]+)\): ")  # by the agent
_UNREACHABLE = ("No route to host", "Network is unreachable", "Host is unreachable")
_NONE_YET = ("", "INI", "UNK")  # before the first
_SAYS_UP, _SAYS_DOWN, _SAYS_NOTHING = "L7OK", "L7STS", "CHECKED"  # agent_status
_SAID_DOWN = "via agent : down"


def checked(row: Row) -> str:
    """`response: not as expected (503, HTTP status check returned code <503>) in 3 ms`; "" before the first check."""
    if _of_agent(row):
        return _told(row)
    code = _code(row, "check_status")
    if code in _NONE_YET:
        return ""
    beside = [text for text in (row.text("check_code"), row.text("last_chk")) if text]
    said = f" ({', '.join(beside)})" if beside and not code.endswith("OK") else ""
    took = row.text("check_duration")
    return f"{_STEPS.get(code, code)}{said}{f' in {took} ms' if took else ''}"


def cause(why: str) -> tuple[str, str]:
    """The step and the reason code out of the words about a server that is down, HAProxy's or the agent's; "" for none."""
    if found := _CHECKED_HERE.match(why):
        return found[1], found[2]
    for code, reason in _REASONS.items():
        if why.startswith(words := _STEPS[code]):
            unreachable = code == "L4CON" and any(said in why for said in _UNREACHABLE)
            return words.partition(":")[0], "unreachable" if unreachable else reason
    return "", ""


def health(row: Row, stopped: bool) -> Health:
    """`stopped`: HAProxy sends it nobody. Unknown: not checked yet, or the agent does not say and HAProxy lets it in."""
    if _of_agent(row):
        return "down" if stopped else "up" if _code(row, "agent_status") == _SAYS_UP else "unknown"
    if _code(row, "check_status") in _NONE_YET:
        return "unknown"
    return "down" if stopped else "up"


def _of_agent(row: Row) -> bool:
    return not row.text("check_status") and bool(row.text("agent_status"))


def _told(row: Row) -> str:
    """What the agent answered last. While it does not, HAProxy leaves the server as it was."""
    code, text = _code(row, "agent_status"), row.text("last_agt")
    if code in _NONE_YET:
        return ""
    if code == _SAYS_UP:
        return "the agent says up"
    if code == _SAYS_DOWN:
        return f"the agent says down{text.removeprefix(_SAID_DOWN)}"
    if code == _SAYS_NOTHING:
        return "the agent does not know yet; it is left as it was"
    return f"{UNANSWERED} ({text or _STEPS.get(code, code)}); it is left as it was"


def _code(row: Row, column: str) -> str:
    return row.text(column).removeprefix("* ")  # one that is running now has the star
