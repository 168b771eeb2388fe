"""An exchange that is sent anything whatsoever: it ends in an outcome or waits, and keeps little."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.http_bytes import EARLY_HINTS, UP, answer, chunked, redirect, until_close

from lbkit.checks.conversation import Lost
from lbkit.testing import play
from lbkit_https_get.exchange import exchange
from lbkit_https_get.terms import Terms

MOST = 1 << 20
TERMS = [Terms(), Terms(redirects=3, tls=False), Terms(match="anything", max_body=9), Terms(match="regex", body="a+$")]
ENDS = [b"", Lost("timed-out", "no answer within 5 s"), Lost("reset", "the remote reset the connection")]
PIECES = [
    UP,
    until_close(),
    chunked(b"all", b"Services", trailer=b"A: b\r\n"),
    redirect(b"/a", body=b"moved"),
    redirect(b"https://[::1/"),
    answer(b"<p>no</p>", b"503 Down"),
    EARLY_HINTS,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\r\n",
    b"5\r\n",
]
CHUNK = st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=300))
MUTATED = st.builds(
    lambda piece, at, value: piece[: at % len(piece)] + bytes((value,)) + piece[at % len(piece) + 1 :],
    st.sampled_from(PIECES),
    st.integers(0, 300),
    st.integers(0, 255),
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TERMS),
    st.lists(st.one_of(CHUNK, MUTATED), max_size=8),
    st.sampled_from([None, *ENDS]),
    st.booleans(),
)
def test_whatever_a_remote_sends_ends_in_an_outcome_of_one_printable_line_or_waits(terms, chunks, end, joined):
    chunks = [b"".join(chunks)] if joined and any(chunks) else chunks
    outcome, _ = play(exchange(terms, "192.0.2.1", 443), *chunks, *([] if end is None else [end]))
    if outcome is None:
        assert end is None
        return
    assert outcome.step in ("request", "status", "body")
    assert outcome.up == (outcome.reason == "ok")
    assert outcome.message.isprintable()
    assert len(outcome.message) < 1000
    assert all(str(value).isprintable() for value in outcome.details.values())


@pytest.mark.parametrize("redirects", [0, 10])
@pytest.mark.parametrize(
    ("before", "flood"),
    [
        pytest.param(b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * MOST, id="an endless line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", id="headers"),
        pytest.param(b"", EARLY_HINTS, id="informational answers"),
        pytest.param(until_close(b""), b"x" * 1000, id="a body without end"),
        pytest.param(answer(b"", length=b"%d" % MOST), b"x", id="a long body"),
        pytest.param(chunked()[:-5], b"1\r\nx\r\n", id="chunks of one byte"),
        pytest.param(chunked()[:-5], b"1;" + b"x" * 9000 + b"\r\nx\r\n", id="chunks of one byte and long extensions"),
        pytest.param(chunked()[:-3], b"X: x\r\n", id="trailers"),
        pytest.param(answer(b"", b"500 Oops", length=b"%d" % MOST), b"x", id="a long body behind a wrong status"),
        pytest.param(b"", redirect(b"/a"), id="redirects"),
        pytest.param(
            answer(b"", b"302 Found", b"Location: /a", length=b"%d" % MOST), b"x", id="a redirect's long body"
        ),
    ],
)
def test_a_flood_ends_the_exchange_within_a_mebibyte_and_little_of_it_is_kept(before, flood, redirects):
    stream = (before + flood * (MOST // len(flood) + 1))[:MOST]
    chunks = [stream[i : i + 65536] for i in range(0, MOST, 65536)]
    tracemalloc.start()
    outcome, _ = play(exchange(Terms(redirects=redirects), "192.0.2.1", 443), *chunks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome is not None
    assert peak < MOST
