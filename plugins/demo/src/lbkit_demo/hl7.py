"""HL7 over MLLP: the frame of a message, and the acknowledgement that a receiver sends. No sockets but in `acknowledge`.

MLLP: HL7 v2.5.1 implementation guide, appendix C (a block is VT, data, FS, CR). Acknowledgements: HL7 v2.5.1 sections 2.9.2,
2.15.8 (MSA) and 2.15.9 (MSH).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lbkit_demo.remote import Client

START, END = b"\x0b", b"\x1c\r"
LONGEST_MESSAGE = 1 << 20  # bytes


def frame(message: bytes) -> bytes:
    """A message as MLLP sends it."""
    return START + message + END


def acknowledgement(message: bytes, text: bytes = b"") -> bytes:
    """Application accept (AA) of a message, with a text (MSA-3). Raises ValueError for what is no HL7 v2 message."""
    header = message.partition(b"\r")[0]
    if not header.startswith(b"MSH") or len(header) < 8:
        raise ValueError("a message begins with the segment MSH")
    separator, component = header[3:4], header[4:5]
    fields = [*header.split(separator), *[b""] * 12]  # MSH-1 is the separator itself: fields[n - 1] is MSH-n
    sender, receiver = fields[2:4], fields[4:6]
    kind = component.join((b"ACK", *fields[8].split(component)[1:2]))
    msh = (*fields[:2], *receiver, *sender, fields[6], b"", kind, *fields[9:12])
    msa = (b"MSA", b"AA", fields[9], *([text] if text else []))
    return separator.join(msh) + b"\r" + separator.join(msa) + b"\r"


def acknowledge(client: Client) -> None:
    """Accept every message that comes, and say in MSA-3 who does."""
    waiting = b""
    while True:
        while END not in waiting:
            waiting += client.read_some()
            if len(waiting) > LONGEST_MESSAGE:
                raise ConnectionError("the message is too long")
        block, _, waiting = waiting.partition(END)
        client.say(frame(acknowledgement(block.removeprefix(START), client.name.encode())))
