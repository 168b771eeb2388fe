"""What a new worker is told of the servers, from what both versions print of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import EngineError
from lbkit.haproxy.server_state import Told, as_they_are, told

RECORDED = Path(__file__).with_name("haproxy_replies")
OPERATORS = ("srv_admin_state",)
OF_THE_SITE = ("srv_check_port", "srv_check_addr", "srv_agent_addr", "srv_agent_port")
ADMIN = {"online": 0, "halt": 1, "drain": 8}


@pytest.fixture(params=["2.6.12", "2.8.25"])
def dump(request: pytest.FixtureRequest) -> str:
    """`show servers state`, as it was recorded."""
    return (RECORDED / request.param / "show-servers-state.txt").read_text()


def rows(text: str) -> dict[tuple[str, str], dict[str, str]]:
    _, head, *lines = text.splitlines()
    made = [dict(zip(head.removeprefix("# ").split(), line.split(), strict=True)) for line in lines if line]
    return {(row["be_name"], row["srv_name"]): row for row in made}


def as_it_is(row: dict[str, str], **more: object) -> Told:
    found = Told(
        row["be_name"], row["srv_name"], int(row["srv_id"]), row["srv_addr"], int(row["srv_port"]),
        row["srv_use_ssl"] == "1", "online",
    )  # fmt: skip
    return replace(found, **more)  # type: ignore[arg-type]


def test_what_is_told_of_a_dump_as_it_is_is_that_dump(dump: str) -> None:
    assert rows(told(dump, as_they_are(dump))) == rows(dump)


@pytest.mark.parametrize("wanted", ADMIN)
def test_of_a_server_that_stays_only_the_operators_side_changes(dump: str, wanted: str) -> None:
    before = rows(dump)
    after = rows(told(dump, [as_it_is(row, wanted=wanted) for row in before.values()]))
    assert list(after) == list(before)
    for key, row in after.items():
        untouched = row.keys() - {*OPERATORS, *OF_THE_SITE}
        assert {name: row[name] for name in untouched} == {name: before[key][name] for name in untouched}
        assert int(row["srv_admin_state"]) & (1 | 8) == ADMIN[wanted]
        assert int(row["srv_admin_state"]) & ~(1 | 8) == int(before[key]["srv_admin_state"]) & ~(1 | 8)


@pytest.mark.parametrize(
    ("now", "column", "is_told"),
    [
        ({"port": 9999}, "srv_port", "9999"),
        ({"tls": True}, "srv_use_ssl", "1"),
        ({"address": "::1"}, "srv_addr", "::1"),
    ],
)
def test_a_server_that_is_another_now_is_reached_as_the_site_says_and_begins_unchecked(
    dump: str, now: dict[str, object], column: str, is_told: str
) -> None:
    before = next(row for row in rows(dump).values() if row["srv_use_ssl"] == "0")
    after = next(iter(rows(told(dump, [as_it_is(before, **now)])).values()))
    assert after[column] == is_told
    assert (after["srv_op_state"], after["srv_check_status"], after["srv_check_result"]) == ("2", "1", "0")


def test_a_new_server_begins_as_wanted_and_unchecked(dump: str) -> None:
    backend = next(iter(rows(dump)))[0]
    after = rows(told(dump, [Told(backend, "new", 9, "192.0.2.9", 104, False, "halt")]))
    assert after.keys() == {(backend, "new")}
    row = after[backend, "new"]
    assert (row["srv_id"], row["srv_addr"], row["srv_port"]) == ("9", "192.0.2.9", "104")
    assert (row["srv_admin_state"], row["srv_op_state"], row["srv_check_status"]) == ("1", "2", "1")


def test_of_a_backend_that_the_old_worker_does_not_have_nothing_is_told(dump: str) -> None:
    assert rows(told(dump, [Told("NEW", "one", 1, "192.0.2.9", 104, False, "drain")])) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Permission denied\n",
        "2\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port srv_use_ssl\n",
        "1\n# be_id be_name srv_id srv_name srv_addr srv_port srv_use_ssl\n",
        "1\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port srv_use_ssl\n2 NONE 1 one 192.0.2.1\n",
        "1\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port srv_use_ssl\n2 NONE 1 one 192.0.2.1 x 1 0\n",
    ],
)
def test_a_form_that_is_not_known_is_said(text: str) -> None:
    with pytest.raises(EngineError, match="not known"):
        told(text, [])


HEAD = "1\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port srv_use_ssl\n"


@given(st.one_of(st.text(), st.text().map(HEAD.__add__), st.text("012 -aN\n\r\x85\u2028²").map(HEAD.__add__)))
def test_any_text_is_told_or_refused(text: str) -> None:
    with suppress(EngineError):
        again = told(text, [Told("N", "a", 1, "192.0.2.1", 1, False, "drain")])
        assert [(one.server, one.wanted) for one in as_they_are(again)] in ([], [("a", "drain")])
