"""A verification that is sent anything whatsoever: it ends in an outcome or waits, and keeps little."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit import pdu_bytes as remote
from unit.pdu_bytes import ABORT, ASSOCIATE_AC, ECHO_RSP, RELEASE_RP, RELEASE_RQ, p_data, pdu, pdv

from lbkit.checks.conversation import Lost
from lbkit.testing import play
from lbkit_dicom_echo.echo import Terms, verification

MOST = 1 << 20
TERMS = Terms("LOADBALANCER", "LB-SCP")
ENDS = [b"", Lost("timed-out", "no answer within 5 s"), Lost("reset", "the remote reset the connection")]
PIECES = [
    ASSOCIATE_AC,
    ECHO_RSP,
    RELEASE_RP,
    RELEASE_RQ,
    ABORT,
    p_data(pdv(b"", 1)),
    b"\2\0\0\2\0\0",
    b"\4\0\0\0\x40\0",
]
CHUNK = st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=300))
MUTATED = st.builds(
    lambda piece, at, value: piece[: at % len(piece)] + bytes((value,)) + piece[at % len(piece) + 1 :],
    st.sampled_from(PIECES),
    st.integers(0, 300),
    st.integers(0, 255),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(CHUNK, MUTATED), max_size=8), st.sampled_from([None, *ENDS]))
def test_whatever_a_remote_sends_ends_in_an_outcome_of_one_printable_line_or_waits(chunks, end):
    outcome, _ = play(verification(TERMS), *chunks, *([] if end is None else [end]))
    if outcome is None:
        assert end is None
        return
    assert outcome.step in ("associate", "echo", "release")
    assert outcome.message.isprintable()
    assert all(note.isprintable() for note in outcome.details.get("notes", ()))


@pytest.mark.parametrize(
    "before", [(), (ASSOCIATE_AC,), (ASSOCIATE_AC, ECHO_RSP), (ASSOCIATE_AC, ECHO_RSP, RELEASE_RQ)]
)
@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(pdu(2, bytes(MOST)[:131072]), id="items"),
        pytest.param(remote.associate_ac(*[remote.context(1, 0, *[b"?"] * 13000)]), id="syntaxes"),
        pytest.param(pdu(4, bytes(16384)), id="data"),
        pytest.param(p_data(pdv(b"", 1)), id="empty fragments"),
        pytest.param(p_data(*[pdv(b"", 1)] * 2000), id="empty fragments in one PDU"),
        pytest.param(p_data(pdv(b"x", 1)), id="fragments"),
        pytest.param(p_data(pdv(remote.element(0x10, b"") * 2000, 1)), id="elements"),
    ],
)
def test_a_flood_ends_the_verification_within_a_mebibyte_and_little_of_it_is_kept(before, flood):
    stream = flood * (MOST // len(flood))
    chunks = [stream[i : i + 65536] for i in range(0, MOST, 65536)]
    tracemalloc.start()
    outcome, _ = play(verification(TERMS), *before, *chunks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome is not None
    assert len(outcome.message) < 1000
    assert peak < MOST
