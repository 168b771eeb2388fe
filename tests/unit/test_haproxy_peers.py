"""`show peers`, as HAProxies of both versions answered it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import EngineError
from lbkit.haproxy.peers import PeerSession, parsed

RECORDED = Path(__file__).parent / "haproxy_replies"
LOCAL = PeerSession("lb1", True, "127.0.77.1:37778", "NONE", False, None)


def recorded(version, name):
    return (RECORDED / version / f"{name}.txt").read_text()


@pytest.mark.parametrize("version", ["2.6.12", "2.8.25"])
def test_a_session_is_established_while_the_other_one_talks(version):
    other, local = parsed(recorded(version, "show-peers"))
    assert (other.name, other.status, other.established, local) == ("lb2", "ESTA", True, LOCAL)
    assert 0 <= other.heard <= 5


@pytest.mark.parametrize("version", ["2.6.12", "2.8.25"])
def test_a_session_that_is_lost_is_not_established_whatever_its_last_status(version):
    other, local = parsed(recorded(version, "show-peers-lost"))
    assert (other.name, other.established, other.heard, local) == ("lb2", False, None, LOCAL)


def test_without_peers_there_are_no_sessions():
    assert parsed("\n") == []


@given(st.text() | st.tuples(st.sampled_from(["2.6.12", "2.8.25"]), st.integers(0, 3000)))
def test_whatever_it_says_it_is_read_or_refused(said):
    text = said if isinstance(said, str) else recorded(said[0], "show-peers")[: said[1]]
    with suppress(EngineError):
        assert all(one.name for one in parsed(text))
