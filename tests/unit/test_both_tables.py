"""Tables of two nodes that are put right: the node that has the VIP is right, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lbkit.errors import NotDone
from lbkit.operate import both_tables
from lbkit.operate.both_tables import Chosen, Entries, _finish, clear, match_tables, pin
from lbkit.state.unfinished import TableWork, Unfinished

WORK = TableWork("V", "clear", None, None, "anna@lb1", 1.0, True)


class Table:
    """Of one node. `renews`: entries that a client brings in again after each change, as HAProxy has it."""

    def __init__(
        self, entries: dict[str, str | None], holds: bool | None = None, renews: Entries | None = None
    ) -> None:
        self.now = dict(entries)
        self.holds = holds
        self.renews = renews or {}
        self.cleared = 0
        self.is_whole = True

    def demand_whole(self) -> None:
        if not self.is_whole:
            raise NotDone("not whole")

    def entries(self, chosen: Chosen) -> Entries:
        return {
            key: server
            for key, server in self.now.items()
            if chosen.key in (None, key) and chosen.server in (None, server)
        }

    def clear(self, chosen: Chosen) -> None:
        for key in self.entries(chosen):
            del self.now[key]
        self.cleared += 1
        self.now |= self.renews

    def put(self, entries: Entries) -> None:
        for key, server in entries.items():
            self.now.pop(key, None)
            if server is not None:
                self.now[key] = server
        self.now |= self.renews

    def end_sessions(self, server: str) -> int:
        return 0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_tables, "_REPLICATED_WITHIN", 0.0)


@pytest.mark.parametrize(("ours", "theirs", "right"), [
    (True, False, "ours"), (False, True, "theirs"), (None, None, "ours"), (True, True, "ours"), (False, False, "ours"),
])  # fmt: skip
def test_the_node_that_has_the_vip_is_right(ours: bool | None, theirs: bool | None, right: str) -> None:
    tables = {"ours": Table({}, ours), "theirs": Table({}, theirs)}
    assert both_tables.in_order(tables["ours"], tables["theirs"])[1] is tables[right]


def test_an_entry_that_came_to_the_follower_in_between_goes() -> None:
    right, follows = Table({"1": "a"}, True), Table({"1": "a"})

    def late(chosen: Chosen) -> None:
        Table.clear(right, chosen)
        follows.now["1"] = "a"  # a connection, before the clear on the node that is right

    right.clear = late  # type: ignore[method-assign]
    clear(right, follows, Chosen())
    assert right.now == follows.now == {}


def test_what_a_client_makes_after_the_clear_stays_on_both() -> None:
    right, follows = Table({"1": "a"}, True, {"1": "b"}), Table({"1": "a"}, False, {"1": "b"})
    clear(right, follows, Chosen())
    assert right.now == follows.now == {"1": "b"}
    assert right.cleared == 1


def test_tables_that_never_agree_are_said_to_differ() -> None:
    with pytest.raises(NotDone, match="differ still in 1 entries, such as that of '1'"):
        match_tables(Table({}, renews={"1": "a"}), Table({"1": "b"}), Chosen("1"))


def test_other_entries_stay() -> None:
    ours, theirs = Table({"1": "a", "2": "b"}), Table({"1": "a", "2": "b"})
    clear(ours, theirs, Chosen(server="a"))
    assert ours.now == theirs.now == {"2": "b"}


def test_a_pin_reaches_a_node_that_has_no_entry() -> None:
    ours, theirs = Table({}), Table({})
    pin(ours, theirs, "b")
    assert ours.now == theirs.now == {"1": "b"}


@pytest.mark.parametrize(
    ("held", "ours", "theirs", "left"),
    [
        pytest.param(True, True, False, {"2": "b"}, id="the other one follows"),
        pytest.param(True, False, True, {"1": "a", "2": "a"}, id="it took over meanwhile: its clients stay"),
        pytest.param(False, False, True, {}, id="it had the VIP then and has it still: it is cleared there"),
        pytest.param(False, True, False, {"2": "b"}, id="it had the VIP then; this node has it now"),
    ],
)
def test_a_late_clear(held: bool, ours: bool, theirs: bool, left: dict[str, str]) -> None:
    here, there = Table({"2": "b"}, ours), Table({"1": "a", "2": "a"}, theirs)
    _finish(here, there, Chosen(), replace(WORK, held=held))
    assert there.now == left


def test_a_late_clear_waits_where_both_have_the_vip_or_one_learns_yet() -> None:
    with pytest.raises(NotDone, match="both have the VIP"):
        _finish(Table({}, True), Table({}, True), Chosen(), WORK)
    learning = Table({}, True)
    learning.is_whole = False
    other = Table({"1": "a"})
    with pytest.raises(NotDone, match="not whole"):
        _finish(learning, other, Chosen(), WORK)
    assert other.now == {"1": "a"}


def test_unfinished_work_is_kept_the_newest_of_each(tmp_path: Path) -> None:
    store = Unfinished(tmp_path)
    assert store.all() == ()
    store.add(WORK)
    store.add(replace(WORK, when=2.0))
    pin_one, pin_two = (replace(WORK, verb="pin", key="1", server=one) for one in ("a", "b"))
    store.add(pin_one)
    store.add(pin_two)
    assert store.all() == (replace(WORK, when=2.0), pin_two)
    store.drop([pin_two])
    assert store.all() == (replace(WORK, when=2.0),)


def test_unfinished_work_is_bounded(tmp_path: Path) -> None:
    store = Unfinished(tmp_path)
    for number in range(120):
        store.add(replace(WORK, vip=f"V{number}"))
    assert [one.vip for one in store.all()] == [f"V{number}" for number in range(20, 120)]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"work": [{"vip": "V"}]}', '{"work": 1}'])
def test_a_broken_file_is_no_work(tmp_path: Path, content: str) -> None:
    (tmp_path / "tables.json").write_text(content)
    store = Unfinished(tmp_path)
    assert store.all() == ()
    store.add(WORK)
    assert store.all() == (WORK,)
