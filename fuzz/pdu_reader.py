"""The PDU reader, and the whole verification above it, fed with whatever a fuzzer makes up.

    pip install atheris
    python fuzz/pdu_reader.py -max_total_time=600

Of an input the first byte says in what chunks the rest is fed (0: at once), the second how the connection ends. Whatever
comes, the verification must end in an Outcome of one printable line, or wait; and it must not wait for ever: after 1 MiB it
has ended, so that it can't have kept more. Inputs that get further than others are kept in fuzz/corpus/.
"""

import contextlib
import sys
from pathlib import Path

if __name__ == "__main__":
    import atheris

    watched = atheris.instrument_imports(include=["lbkit", "lbkit_dicom_echo"])
else:
    watched = contextlib.nullcontext()

with watched:
    from lbkit.checks.conversation import Conversation, Lost, Outcome
    from lbkit_dicom_echo import pdu, words  # noqa: F401 - words would be imported later, and not be watched
    from lbkit_dicom_echo.echo import Terms, verification

CORPUS = Path(__file__).parent / "corpus"
MOST = 1 << 20  # bytes that a verification may take in before it ends
TERMS = Terms("LOADBALANCER", "LB-SCP", (0x0122,))
ENDINGS = (None, b"", Lost("timed-out", "no answer within 5 s"), Lost("reset", "the remote reset the connection"))


def one_input(data: bytes) -> None:
    """Feed one input; AssertionError, or any other exception, is a find."""
    size, ending, stream = data[0] if data else 0, data[1] % 4 if len(data) > 1 else 0, data[2:]
    read_alone(stream)
    conversation = Conversation(verification(TERMS), {})
    waits = conversation.begin(0.0) is not None
    step = size or len(stream) or 1
    for start in range(0, len(stream), step):
        if waits:
            waits = conversation.receive(stream[start : start + step], 0.0) is not None
    end = ENDINGS[ending]
    if waits and isinstance(end, Lost):
        conversation.lose(end, 0.0)
    elif waits and end is not None:
        conversation.receive(end, 0.0)
    elif waits and stream:
        drown(conversation, stream)
    if conversation.outcome is not None:
        judge(conversation.outcome)
        conversation.farewell()


def read_alone(stream: bytes) -> None:
    """The reader gives the same PDUs whether it is fed at once or in two."""
    assert pdus_in((stream,)) == pdus_in((stream[: len(stream) // 2], stream[len(stream) // 2 :]))


def pdus_in(chunks: tuple[bytes, ...]) -> list[object]:
    """What the reader makes of the chunks, the sentence of Malformed last."""
    reader = pdu.Reader()
    found: list[object] = []
    try:
        for chunk in chunks:
            one = reader.read(chunk)
            while one is not None:
                found.append(one)
                one = reader.read()
    except pdu.Malformed as e:
        found.append(str(e))
    return found


def drown(conversation: Conversation, stream: bytes) -> None:
    """Feed the same again and again: it ends."""
    chunk = stream * (65536 // len(stream) + 1)
    for _ in range(0, MOST, len(chunk)):
        if conversation.receive(chunk, 0.0) is None:
            return
    raise AssertionError(f"it waits at {conversation.step} for more than {MOST} bytes")


def judge(outcome: Outcome) -> None:
    """What every outcome must be."""
    assert isinstance(outcome, Outcome)
    assert outcome.step in ("associate", "echo", "release"), outcome.step
    assert outcome.up == (outcome.reason == "ok")
    for said in (outcome.message, *outcome.details.get("notes", ())):
        assert said.isprintable(), said
        assert 0 < len(said) < 1000, said
    assert outcome.last_words in (b"", pdu.ABORT_PDU, pdu.RELEASE_RP_PDU)


def seeds() -> list[bytes]:
    """Valid exchanges, whole and in pieces, with every ending, and some that are broken in one place."""
    acceptance = bytes.fromhex(
        "0200000000b8000100004c422d534350202020202020202020204c4f414442414c414e434552202020200000000000000000000000000000"
        "00000000000000000000000000000000000010000015312e322e3834302e31303030382e332e312e312e3121000019010000004000001131"
        "2e322e3834302e31303030382e312e325000003a51000004000040005200001b312e322e3237362e302e373233303031302e332e302e332e"
        "362e375500000f4f464649535f44434d544b5f333637"
    )
    response = bytes.fromhex(
        "040000000054000000500103000000000400000042000000000002001200000031"
        "2e322e3834302e31303030382e312e310000000001020000003080000020010200000001000000000802000000010100000009020000000000"
    )
    fragments = b"".join(
        pdu._HEADER.pack(4, 6 + len(piece)) + pdu._PDV.pack(2 + len(piece), 1, 3 if last else 1) + piece
        for piece, last in ((response[12:40], False), (response[40:], True))
    )
    streams = [
        b"",
        acceptance + pdu.ABORT_PDU,
        bytes.fromhex("03000000000400020301"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\x02\x00\xff\xff\xff\xff",
        *(
            acceptance + answer + ending
            for answer in (response, fragments)
            for ending in (pdu.RELEASE_RP_PDU, pdu.RELEASE_RQ_PDU)
        ),
    ]
    whole = streams[-2]
    streams += [whole[:at] + bytes((whole[at] ^ 0x81,)) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    return [bytes((size, ending)) + stream for stream in streams for size, ending in ((0, 0), (1, 1), (50, 2), (0, 3))]


def main() -> None:
    """Run the fuzzer on the seeds and on what earlier runs have kept."""
    CORPUS.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds()):
        (CORPUS / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(CORPUS)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
