"""What an operator asks is in force on both nodes, or pending on the one that is away, and then it is done there."""

from __future__ import annotations

import logging
import shutil
import time

import pytest
from interop.three import until
from interop.two_nodes import Pair
from interop.two_nodes import pair as pair
from interop.two_nodes import started as started

from lbkit.agent.exchange import Exchange
from lbkit.errors import NotDone, WaitRanOut
from lbkit.haproxy import guarded
from lbkit.operate import tables
from lbkit.operate.both import peer_intents
from lbkit.operate.drain import drain
from lbkit.operate.halt import halt
from lbkit.operate.online import online
from lbkit.operate.outcome import Done
from lbkit.operate.wait import wait
from lbkit.operate.weight import weight
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import EventLog
from lbkit.state.unfinished import Unfinished
from lbkit.state.who import who_asks


def exchanged(pair: Pair) -> Exchange:
    """What the agent of a does now."""
    exchange = Exchange(pair.a.site, pair.a.state)
    with pair.link() as link:
        exchange.once(link)
    return exchange


def cleared(pair: Pair, label: str, **more: object) -> Done:
    return tables.clear(pair.a.site, label, state=pair.a.state, **more)  # type: ignore[arg-type]


def test_each_verb_is_in_force_on_both_nodes(pair: Pair) -> None:
    (done,) = drain(pair.a.site, pair.a.asked("NONE", "one"))
    assert (done.peer.outcome, done.peer.node) == ("done", "b")
    assert pair.in_force(pair.a, "NONE", "one") == pair.in_force(pair.b, "NONE", "one") == "drain"
    halt(pair.a.site, pair.a.asked("NONE", "one"))
    assert pair.in_force(pair.b, "NONE", "one") == "halt"
    online(pair.a.site, pair.a.asked("NONE", "one"))
    assert pair.in_force(pair.b, "NONE", "one") == "online"
    weight(pair.a.site, pair.a.asked("NONE", "one"), 7)
    assert pair.b.haproxy.look()["NONE"].servers["one"].weight == 7
    assert Intents(pair.a.state).last_words() == Intents(pair.b.state).last_words()
    assert peer_intents(pair.a.site, pair.a.state).differs == ()


def test_what_was_asked_on_one_node_is_in_the_log_of_both_with_who_and_from_where(pair: Pair) -> None:
    for node in (pair.a, pair.b):
        shutil.rmtree(node.state / "events", ignore_errors=True)
    drain(pair.a.site, pair.a.asked("NONE", "one", why="patches"))
    pair.away = True
    online(pair.a.site, pair.a.asked("NONE", "one"))
    pair.away = False
    Intents(pair.b.state).record(Intent("LAST", "two", "halt", who="bob@b", when=time.time() + 1))
    exchanged(pair)
    exchanged(pair)
    here, there = (list(EventLog(node.state).all()) for node in (pair.a, pair.b))
    texts = ["one of NONE is drained", "one of NONE is online again"]
    assert [one.text for one in here] == [*texts, "two of LAST is halted"]
    assert (here[2].who, here[2].origin) == ("bob@b", "node b")
    assert [one.text for one in there] == texts
    assert {(one.who, one.origin) for one in there} == {(who_asks(), "node a")}
    assert [one.why for one in there] == ["patches", ""]


def test_a_dry_run_asks_nobody(pair: Pair) -> None:
    (done,) = drain(pair.a.site, pair.a.asked("NONE", "one", dry_run=True))
    assert done.peer.outcome == "none"
    assert done.steps[-1] == "the same on the other node"
    assert Intents(pair.b.state).generation == 0


def test_a_drain_moves_a_last_successful_vip_on_both_nodes(pair: Pair) -> None:
    assert pair.a.named("LAST") == "one"
    until(lambda: pair.entries(pair.b, "LAST") == {"1": "one"})
    drain(pair.a.site, pair.a.asked("LAST", "one"))
    assert "one" not in {*pair.entries(pair.a, "LAST").values(), *pair.entries(pair.b, "LAST").values()}
    assert pair.b.named("LAST") == "two"


def test_intents_do_not_wait_for_a_table_that_can_not_be_put_right(pair: Pair) -> None:
    pair.a.named("LAST")
    pair.away = True
    cleared(pair, "LAST")
    drain(pair.a.site, pair.a.asked("NONE", "one"))
    pair.away = False
    with pair.b_stopped():
        with pytest.raises(NotDone, match="node b: nobody answers"):
            exchanged(pair)
        assert [one.wanted for one in Intents(pair.b.state).all()] == ["drain"]
        assert len(Unfinished(pair.a.state).all()) == 1
    assert pair.in_force(pair.b, "NONE", "one") == "drain"


def test_what_the_peer_misses_is_pending_and_done_when_it_is_back(pair: Pair) -> None:
    pair.away = True
    (done,) = drain(pair.a.site, pair.a.asked("NONE", "one"))
    assert (done.peer.outcome, done.peer.node) == ("pending", "b")
    assert "No route to host" in done.peer.why
    assert pair.in_force(pair.a, "NONE", "one") == "drain"
    assert pair.in_force(pair.b, "NONE", "one") == "online"
    assert "No route to host" in peer_intents(pair.a.site, pair.a.state).why
    pair.away = False
    assert peer_intents(pair.a.site, pair.a.state).differs == ("NONE/one",)
    exchange = Exchange(pair.a.site, pair.a.state)
    assert exchange.is_due(0)
    with pair.link() as link:
        exchange.once(link)
    assert pair.in_force(pair.b, "NONE", "one") == "drain"
    assert not exchange.is_due(0)
    assert exchange.is_due(1)


def test_intents_go_both_ways_and_the_newer_wins(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.away = True
    drain(pair.a.site, pair.a.asked("NONE", "one", why="old"))
    now = time.time() + 1
    Intents(pair.b.state).record(
        Intent("NONE", "one", "halt", who="bob@b", when=now), Intent("LAST", "two", "drain", when=now)
    )
    pair.away = False
    with caplog.at_level(logging.INFO, "lbkit.pair"):
        exchanged(pair)
    assert pair.in_force(pair.a, "NONE", "one") == "halt"
    assert pair.in_force(pair.a, "LAST", "two") == "drain"
    assert any("halt by bob@b" in line and ": old" in line for line in caplog.messages)
    assert Intents(pair.a.state).last_words() == Intents(pair.b.state).last_words()


def test_a_verb_that_a_newer_word_outdoes_says_so(pair: Pair) -> None:
    ahead = Intent("NONE", "one", "halt", who="bob@b", when=time.time() + 3600)  # its clock is fast
    Intents(pair.b.state).record(ahead)
    with pytest.raises(NotDone, match="node b has a newer word, which holds on both: halt by bob@b"):
        drain(pair.a.site, pair.a.asked("NONE", "one"))
    assert pair.in_force(pair.a, "NONE", "one") == "halt"
    (done,) = online(pair.a.site, pair.a.asked("NONE", "one"))  # by now it is known how fast
    assert done.peer.outcome == "done"
    assert pair.in_force(pair.b, "NONE", "one") == "online"


def test_an_intent_that_a_failed_verb_took_back_does_not_come_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*about: object) -> None:
        raise NotDone("no")

    with monkeypatch.context() as patched:
        patched.setattr("lbkit.operate.layer7.Layer7.put", fails)
        with pytest.raises(NotDone, match="no"):
            drain(pair.a.site, pair.a.asked("NONE", "one"))
    exchanged(pair)
    assert Intents(pair.a.state).last_words() == Intents(pair.b.state).last_words() == ()


def test_what_the_site_has_no_more_is_neither_given_nor_taken(pair: Pair) -> None:
    Intents(pair.b.state).record(Intent("GONE", "one", "halt", when=1.0))
    exchanged(pair)
    assert Intents(pair.a.state).last_words() == ()


def test_an_intent_that_is_over_is_not_put_in_force_there(pair: Pair) -> None:
    now = time.time()
    Intents(pair.b.state).record(Intent("NONE", "one", "halt", when=now - 60, until=now - 1))
    exchanged(pair)
    assert pair.in_force(pair.a, "NONE", "one") == "online"


def test_where_haproxy_does_not_run_there_it_is_recorded_and_pending(pair: Pair) -> None:
    with pair.b_stopped():
        (done,) = drain(pair.a.site, pair.a.asked("NONE", "one"))
    assert done.peer.outcome == "pending"
    assert Intents(pair.b.state).all()[0].wanted == "drain"
    assert pair.in_force(pair.b, "NONE", "one") == "drain"


def test_a_clear_is_on_both_nodes_and_nothing_comes_back(pair: Pair) -> None:
    pair.servers["one"].die()
    until(lambda: pair.a.named("LAST") == "two")
    pair.servers["one"].rise()
    until(lambda: pair.entries(pair.b, "LAST") == {"1": "two"})
    done = cleared(pair, "LAST")
    assert done.peer.outcome == "done"
    time.sleep(0.5)
    assert pair.entries(pair.a, "LAST") == pair.entries(pair.b, "LAST") == {}


def test_a_clear_of_one_key_leaves_the_others_on_both_nodes(pair: Pair) -> None:
    for source in ("127.0.0.3", "127.0.0.4"):
        pair.a.named("SOURCE", source)
    until(lambda: len(pair.entries(pair.b, "SOURCE")) == 2)
    cleared(pair, "SOURCE", key="127.0.0.3")
    assert [*pair.entries(pair.a, "SOURCE")] == [*pair.entries(pair.b, "SOURCE")] == ["::ffff:127.0.0.4"]


def test_a_clear_for_a_peer_that_was_away_takes_out_there_what_is_not_here(pair: Pair) -> None:
    for source in ("127.0.0.3", "127.0.0.4"):
        pair.a.named("SOURCE", source)
    until(lambda: len(pair.entries(pair.b, "SOURCE")) == 2)
    pair.away = True
    done = cleared(pair, "SOURCE")
    assert done.peer.outcome == "pending"
    assert len(pair.entries(pair.b, "SOURCE")) == 2
    newer = pair.a.named("SOURCE", "127.0.0.3")
    pair.away = False
    exchanged(pair)
    assert pair.entries(pair.a, "SOURCE") == pair.entries(pair.b, "SOURCE") == {"::ffff:127.0.0.3": newer}
    assert Unfinished(pair.a.state).all() == ()


def test_a_late_clear_leaves_a_newer_last_successful_entry_on_both(pair: Pair) -> None:
    assert pair.a.named("LAST") == "one"
    until(lambda: pair.entries(pair.b, "LAST") == {"1": "one"})
    pair.away = True
    cleared(pair, "LAST")
    pair.a.haproxy.runtime.set_entry("LAST", "1", pair.a.haproxy.id_of("LAST", "two"))
    pair.b.haproxy.runtime.set_entry("LAST", "1", pair.b.haproxy.id_of("LAST", "one"))
    until(lambda: pair.entries(pair.a, "LAST") == {"1": "one"})  # it was replicated
    pair.a.haproxy.runtime.set_entry("LAST", "1", pair.a.haproxy.id_of("LAST", "two"))
    pair.away = False
    exchanged(pair)
    assert pair.entries(pair.a, "LAST") == pair.entries(pair.b, "LAST") == {"1": "two"}


def test_any_verb_does_first_what_was_left_undone(pair: Pair) -> None:
    pair.a.named("LAST")
    until(lambda: pair.entries(pair.b, "LAST") == {"1": "one"})
    pair.away = True
    cleared(pair, "LAST")
    assert pair.entries(pair.b, "LAST") == {"1": "one"}
    pair.away = False
    weight(pair.a.site, pair.a.asked("NONE", "one"), 7)
    assert pair.entries(pair.b, "LAST") == {}


def test_a_late_clear_waits_for_a_haproxy_that_has_yet_to_learn_its_table(pair: Pair) -> None:
    pair.a.named("LAST")
    pair.away = True
    cleared(pair, "LAST")
    pair.away = False
    with pair.b_stopped():
        pass
    if not guarded.is_resynchronised(pair.b.haproxy):
        with pytest.raises(NotDone, match="has yet to learn its tables"):
            exchanged(pair)
    until(lambda: guarded.is_resynchronised(pair.b.haproxy))
    exchanged(pair)
    assert pair.entries(pair.b, "LAST") == {}


def test_a_pin_is_on_both_nodes(pair: Pair) -> None:
    assert pair.a.named("LAST") == "one"
    done = tables.pin(pair.a.site, "LAST", "two", state=pair.a.state)
    assert done.peer.outcome == "done"
    assert pair.entries(pair.a, "LAST") == pair.entries(pair.b, "LAST") == {"1": "two"}
    assert pair.a.named("LAST") == pair.b.named("LAST") == "two"


def test_a_wait_counts_the_connections_of_both_nodes(pair: Pair) -> None:
    with pair.b.connect("NONE") as one, pair.b.connect("NONE") as other:
        assert {one.recv(16), other.recv(16)} == {b"one\n", b"two\n"}
        done = drain(pair.a.site, pair.a.asked("NONE", "one"))
        with pytest.raises(WaitRanOut, match=r"NONE/one: 0 open connections, 1 on the other node\."):
            wait(pair.a.site, done, 0.1, state=pair.a.state)
        assert done[0].connections == 1
    wait(pair.a.site, done, 10, state=pair.a.state)
