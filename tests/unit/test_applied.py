"""Generations of a site: which is newer, and that nobody's word is lost without --force."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import CannotRun, Misuse, Refused
from lbkit.operate.sync_taken import refuse
from lbkit.state.applied import REMEMBERED, Applied, note

NODES = ("lb1", "lb2")


def after(*digests: str, node: str = "lb1") -> Applied:
    made = Applied()
    for digest in digests:
        made = made.next(digest, node)
    return made


def test_what_a_site_came_from_is_older_than_it() -> None:
    assert after("a", "b").compared(after("a")) == "newer"
    assert after("a").compared(after("a", "b")) == "older"
    assert after("a", "b").compared(after("a", "b", node="lb2")) == "same"


def test_a_node_that_has_none_is_older_than_any() -> None:
    assert after("a").compared(Applied()) == "newer"
    assert Applied().compared(after("a")) == "older"


def test_two_that_were_changed_apart_are_neither() -> None:
    assert after("a", "b").compared(after("a", "c")) == "diverged"
    assert after("a", "b", "c").compared(after("a", "d")) == "diverged"
    assert after("a").compared(after("b", "a")) == "diverged"


def test_an_older_site_that_is_applied_again_is_a_new_generation() -> None:
    again = after("a", "b", "a")
    assert again.generation == 3
    assert again.compared(after("a", "b")) == "newer"
    assert again.compared(after("a")) == "newer"


def test_what_is_forced_is_newer_than_both() -> None:
    ours, theirs = after("a", "b"), after("a", "c", "d", "e")
    forced = ours.over(theirs, "lb1")
    assert (forced.generation, forced.digest) == (5, "b")
    assert forced.compared(ours) == forced.compared(theirs) == "newer"


@pytest.mark.parametrize(("many", "few"), [(REMEMBERED, 2), (2, REMEMBERED), (REMEMBERED, REMEMBERED)])
def test_what_is_forced_is_newer_than_both_however_much_either_remembers(many: int, few: int) -> None:
    ours = after("a", *(f"ours {number}" for number in range(many)))
    theirs = after("a", *(f"theirs {number}" for number in range(few)), node="lb2")
    forced = ours.over(theirs, "lb1")
    assert forced.compared(ours) == forced.compared(theirs) == "newer"
    assert len(forced.history) <= REMEMBERED


def test_only_so_many_generations_are_remembered() -> None:
    made = after(*(str(number) for number in range(2 * REMEMBERED)))
    assert len(made.history) == REMEMBERED
    assert made.history[-1] == made.key == (2 * REMEMBERED, str(2 * REMEMBERED - 1))


def test_it_is_kept_in_the_state_folder(tmp_path: Path) -> None:
    assert Applied.read(tmp_path) == Applied()
    first = note("a", "lb1", tmp_path)
    assert note("a", "lb1", tmp_path) == first
    second = note("b", "lb1", tmp_path)
    assert (first.generation, second.generation) == (1, 2)
    assert Applied.read(tmp_path) == second
    assert (second.node, second.history) == ("lb1", ((1, "a"), (2, "b")))
    assert json.loads((tmp_path / "applied.json").read_text())["version"] == 1


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", "null", '{"version": 1}', '{"version": true, "generation": 1}', "[" * 100_000,
        '{"version": 1, "generation": -1, "digest": "a", "node": "", "who": "", "when": 0, "history": []}',
        '{"version": 1, "generation": 1, "digest": "a", "node": "", "who": "", "when": 0, "history": [[1]]}',
    ],
)  # fmt: skip
def test_a_broken_one_is_not_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "applied.json").write_text(content)
    with pytest.raises(Misuse, match=r"applied\.json .*Move it away"):
        Applied.read(tmp_path)


def test_one_of_a_newer_lbkit_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "applied.json").write_text('{"version": 2}')
    with pytest.raises(Misuse, match="a newer lbkit wrote"):
        Applied.read(tmp_path)


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRun, match=r"applied\.json can't be (read|written)"):
        note("a", "lb1", tmp_path / "file")


@pytest.mark.parametrize(
    ("ours", "theirs", "lies_here", "words"),
    [
        (after("a", "b"), after("a"), "b", "this node's site is newer: .*generation 2.*generation 1"),
        (after("a", "b"), after("a", "c"), "b", "both nodes' sites were changed"),
        (after("a"), after("a", "b"), "x", "was changed and never applied"),
        (Applied(), after("a"), "x", "was changed and never applied"),
    ],
)
def test_what_must_not_be_overwritten_is_refused_with_both_sides(
    ours: Applied, theirs: Applied, lies_here: str, words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        refuse(ours, theirs, lies_here, "lb1")
    assert "--force" in str(refused.value)


@pytest.mark.parametrize("lies_here", ["", "a", "b", "c"])
def test_what_was_here_or_there_before_may_be_overwritten(lies_here: str) -> None:
    refuse(after("a", "b"), after("a", "b", "c"), lies_here, "lb1")


def test_force_is_for_what_was_never_applied_not_for_what_is_newer() -> None:
    refuse(after("a"), after("a", "b"), "x", "lb1", force=True)
    with pytest.raises(Refused, match="newer"):
        refuse(after("a", "b"), after("a"), "b", "lb1", force=True)


@dataclass
class Machine:
    """A node, and all contents that its line of sites ever had."""

    applied: Applied = field(default_factory=Applied)
    seen: frozenset[str] = frozenset()

    def apply(self, content: str, node: str) -> None:
        if content != self.applied.digest:
            self.applied = self.applied.next(content, node)
            self.seen |= {content}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["apply", "apply", "sync", "sync", "force", "backup", "replaced"]),
        st.sampled_from([0, 1]),
        st.sampled_from("abcd"),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_sync_ever_overwrites_what_the_sender_has_not_known(steps: list[tuple[str, int, str]]) -> None:
    nodes = [Machine(), Machine()]
    backups = [Machine(), Machine()]
    for step, number, content in steps:
        node, peer = nodes[number], nodes[1 - number]
        if step == "apply":
            node.apply(content, NODES[number])
        elif step == "backup":
            backups[number] = Machine(node.applied, node.seen)
        elif step == "replaced":  # a new machine, or one from a backup: it returns as it was then
            nodes[number] = Machine(backups[number].applied, backups[number].seen)
        elif node.applied.digest:
            theirs = node.applied
            if step == "force" and theirs.compared(peer.applied) in ("older", "diverged"):
                theirs = node.applied = theirs.over(peer.applied, NODES[number])
                node.seen |= peer.seen
            try:
                refuse(peer.applied, theirs, peer.applied.digest, NODES[number])
            except Refused:
                assert step != "force"
                assert peer.applied.key not in theirs.history
                continue
            assert not peer.applied.digest or peer.applied.digest in node.seen
            assert peer.applied.generation <= theirs.generation
            peer.applied, peer.seen = theirs, node.seen
            assert nodes[0].applied.compared(nodes[1].applied) == "same"


@given(STEPS)
def test_what_is_newer_on_one_node_is_older_on_the_other(steps: list[tuple[str, int, str]]) -> None:
    nodes = [Machine(), Machine()]
    for _, number, content in steps:
        nodes[number].apply(content, NODES[number])
    opposite = {"same": "same", "newer": "older", "older": "newer", "diverged": "diverged"}
    first, second = (node.applied for node in nodes)
    assert opposite[first.compared(second)] == second.compared(first)


@given(st.lists(st.sampled_from("abc"), max_size=70))
def test_json_brings_it_back_as_it_was(digests: list[str]) -> None:
    made = after(*digests)
    assert Applied.of(json.loads(json.dumps(made.as_dict()))) == made
