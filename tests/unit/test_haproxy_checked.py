"""What HAProxy's columns say of a server's health, and why; as 2.6.12 and 2.8.25 print them."""

from __future__ import annotations

import pytest

from lbkit.haproxy.checked import COLUMNS, checked, health
from lbkit.haproxy.rows import Row


def row(**values):
    return Row({name: at for at, name in enumerate(COLUMNS)}, [values.get(name, "") for name in COLUMNS])


@pytest.mark.parametrize(
    ("status", "last", "stopped", "found", "why"),
    [
        ("INI", "", False, "unknown", ""),
        ("L7OK", "via agent : up", False, "up", "the agent says up"),
        ("* L7OK", "via agent : up", False, "up", "the agent says up"),
        ("L7STS", "via agent : down (echo: rejected)", True, "down", "the agent says down (echo: rejected)"),
        ("L7STS", "via agent : down", True, "down", "the agent says down"),
        ("CHECKED", "", False, "unknown", "the agent does not know yet; it is left as it was"),
        ("CHECKED", "", True, "down", "the agent does not know yet; it is left as it was"),
        ("L4CON", "Connection refused", False, "unknown",
         "the agent does not answer (Connection refused); it is left as it was"),
        ("L4CON", "Connection refused", True, "down",
         "the agent does not answer (Connection refused); it is left as it was"),
        ("* L7TOUT", "", False, "unknown", "the agent does not answer (response: none in time); it is left as it was"),
    ],
)  # fmt: skip
def test_of_the_agents_answer(status, last, stopped, found, why):
    seen = row(agent_status=status, last_agt=last)
    assert health(seen, stopped) == found
    assert checked(seen) == why


@pytest.mark.parametrize(
    ("values", "stopped", "found", "why"),
    [
        ({}, False, "unknown", ""),
        ({"check_status": "INI"}, False, "unknown", ""),
        ({"check_status": "L4OK", "check_duration": "0"}, False, "up", "connect: the port takes connections in 0 ms"),
        ({"check_status": "* L7STS", "check_code": "503", "last_chk": "busy", "check_duration": "3"}, True, "down",
         "response: not as expected (503, busy) in 3 ms"),
        ({"check_status": "L7STS"}, False, "up", "response: not as expected"),
    ],
)  # fmt: skip
def test_of_haproxys_own_check(values, stopped, found, why):
    seen = row(**values)
    assert health(seen, stopped) == found
    assert checked(seen) == why
