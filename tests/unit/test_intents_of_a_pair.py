"""Two stores of intents that are merged: whoever begins, and however often, both end with the same."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.state.intents import Intent, Intents

PLACES = [("V", "a"), ("V", "b"), ("W", "a")]
ANY = st.builds(
    lambda place, wanted, when, who: Intent(*place, wanted, who=who, when=float(when)),
    st.sampled_from(PLACES),
    st.sampled_from(["online", "drain", "halt"]),
    st.integers(1, 4),
    st.sampled_from(["anna@lb1", "bob@lb2"]),
)


def store(folder: str, intents: list[Intent]) -> Intents:
    made = Intents(Path(folder))
    made.record(*intents)
    return made


@settings(max_examples=40)
@given(st.lists(ANY, max_size=5), st.lists(ANY, max_size=5), st.integers(0, 10**6))
def test_both_nodes_end_with_the_newest_whoever_begins(ours: list[Intent], theirs: list[Intent], seed: int) -> None:
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        merged(store(here, ours), store(there, theirs), seed)


def merged(one: Intents, other: Intents, seed: int) -> None:
    known = [*one.last_words(), *other.last_words()]
    pairs = [(one, other), (other, one)]
    random.Random(seed).shuffle(pairs)
    for into, source in pairs:
        into.merge(source.last_words())
    assert one.last_words() == other.last_words()
    for place in PLACES:
        said = [intent for intent in known if (intent.vip, intent.server) == place]
        found = one.of(*place)
        assert (found is None) == (not said)
        assert found is None or (found in said and found.when == max(intent.when for intent in said))
    generation = one.generation
    assert one.merge(other.last_words()).taken == ()
    assert one.generation == generation  # else the nodes would tell each other for ever


def test_what_is_taken_and_what_is_lost_is_returned(tmp_path: Path) -> None:
    made = Intents(tmp_path)
    older, newer = Intent("V", "a", "drain", when=1.0), Intent("V", "a", "online", when=2.0)
    made.record(older)
    merged = made.merge([newer, Intent("V", "b", "halt", when=1.0)])
    assert merged.lost == (older,)
    assert [one.server for one in merged.taken] == ["a", "b"]


def test_what_was_taken_back_does_not_come_back(tmp_path: Path) -> None:
    made = Intents(tmp_path)
    made.record(Intent("V", "a", "online", when=2.0))
    assert made.merge([Intent("V", "a", "drain", when=1.0)]).taken == ()


def test_of_one_moment_the_server_stays_out(tmp_path: Path) -> None:
    made = Intents(tmp_path)
    made.record(Intent("V", "a", "online", when=1.0))
    assert made.merge([Intent("V", "a", "halt", when=1.0)]).taken[0].wanted == "halt"
