"""The exchange of https-get, and h11 below it, fed with whatever a fuzzer makes up.

    pip install atheris
    python fuzz/http_answer.py -max_total_time=600

Of an input the first byte says in what chunks the rest is fed (0: at once), the second how the connection ends and what is
asked for. Whatever comes, the exchange must end in an Outcome of one printable line, or wait; the verdict must not hang on
the chunks; and it must not wait for ever: after 1 MiB it has ended, so that it can't have kept more. Inputs that get further
than others are kept in fuzz/corpus/.
"""

import contextlib
import sys
from pathlib import Path

if __name__ == "__main__":
    import atheris

    watched = atheris.instrument_imports(include=["lbkit", "lbkit_https_get", "h11"])
else:
    watched = contextlib.nullcontext()

with watched:
    from lbkit.checks.conversation import Conversation, Lost, Outcome
    from lbkit_https_get import redirect, words  # noqa: F401 - they would be imported later, and not be watched
    from lbkit_https_get.exchange import exchange
    from lbkit_https_get.terms import Terms

CORPUS = Path(__file__).parent / "corpus" / "http_answer"
MOST = 1 << 20  # bytes that an exchange may take in before it ends
TERMS = (Terms(), Terms(redirects=2, tls=False), Terms(match="contains", body="a", max_body=9), Terms(match="anything"))
ENDINGS = (None, b"", Lost("timed-out", "no answer within 5 s"), Lost("reset", "the remote reset the connection"))


def one_input(data: bytes) -> None:
    """Feed one input; AssertionError, or any other exception, is a find."""
    size, choice, stream = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    terms, end = TERMS[choice >> 2 & 3], ENDINGS[choice & 3]
    found = fed(terms, stream, size or len(stream) or 1, end)
    if not terms.redirects:  # behind a redirect, what was sent before it was asked for is no answer
        other = fed(terms, stream, 1, end)
        assert verdict(found) == verdict(other), (verdict(found), verdict(other))
    if found.outcome is not None:
        judge(found.outcome)
    elif end is None and stream:
        drown(found, stream)


def fed(terms: Terms, stream: bytes, size: int, end: bytes | Lost | None) -> Conversation:
    """An exchange that has been fed the stream in chunks of `size`, and its end."""
    conversation = Conversation(exchange(terms, "192.0.2.1", 443), {})
    waits = conversation.begin(0.0) is not None
    for start in range(0, len(stream), size):
        if waits:
            waits = conversation.receive(stream[start : start + size], 0.0) is not None
    if waits and isinstance(end, Lost):
        conversation.lose(end, 0.0)
    elif waits and end is not None:
        conversation.receive(end, 0.0)
    return conversation


def verdict(conversation: Conversation) -> object:
    """What must not hang on the chunks."""
    outcome = conversation.outcome
    return None if outcome is None else (outcome.up, outcome.step, outcome.reason)


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
    assert outcome.step in ("request", "status", "body"), outcome.step
    assert outcome.up == (outcome.reason == "ok")
    for said in (outcome.message, *map(str, outcome.details.values())):
        assert said.isprintable(), said
        assert len(said) < 1000, said
    assert outcome.message
    assert not outcome.last_words


def seeds() -> list[bytes]:
    """Valid answers in every framing, whole and in pieces, with every ending, and some that are broken in one place."""
    body = b"allServicesOperative"
    ok = b"HTTP/1.1 200 OK\r\nServer: s\r\n"
    streams = [
        b"",
        ok + b"Content-Length: 20\r\n\r\n" + body,
        ok + b"Transfer-Encoding: chunked\r\n\r\n8;a=b\r\nallServi\r\nc\r\ncesOperative\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n" + body,
        b"HTTP/1.1 302 Found\r\nLocation: /a?b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\n\r\n<title>a</title>",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 47\r\n\r\n<p>The plain HTTP request was sent to HTTPS port",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01\0\2\2\x46",
    ]
    whole = streams[2]
    streams += [whole[:at] + bytes((whole[at] ^ 0x81,)) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    choices = ((0, 0), (1, 1), (50, 2), (0, 3), (0, 4), (3, 9), (0, 13))
    return [bytes((size, choice)) + stream for stream in streams for size, choice in choices]


def main() -> None:
    """Run the fuzzer on the seeds and on what earlier runs have kept."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (CORPUS / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(CORPUS)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
