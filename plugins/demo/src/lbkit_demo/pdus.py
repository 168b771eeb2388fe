"""The bytes that a DICOM acceptor sends, and the little it must read of what it is sent.

PDUs are those of PS3.8 section 9.3, command sets those of PS3.7 section 9.3.5 and annex E. No sockets here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER = struct.Struct(">BxI")

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LE = "1.2.840.10008.1.2"
EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
IMPLEMENTATION = "2.25.206357849931725186034097286103525318817"

COMMAND, LAST = 0x01, 0x02  # the bits of a PDV's message control header, PS3.8 annex E.2
C_ECHO_RSP = 0x8030
NO_DATA_SET = 0x0101


def pdu(kind: int, body: bytes) -> bytes:
    """One PDU: its type, its length, its body (PS3.8 section 9.3.1)."""
    return HEADER.pack(kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """One item or sub-item of an A-ASSOCIATE PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def context_item(context: int, result: int = 0, syntax: str = IMPLICIT_VR_LE) -> bytes:
    """The answer to one proposed presentation context (PS3.8 section 9.3.3.2)."""
    return item(0x21, struct.pack("BxBx", context, result) + item(0x40, syntax.encode()))


def user_information(extra: bytes = b"") -> bytes:
    """Maximum length, implementation class UID and version name (PS3.8 annex D.1, PS3.7 annex D.3.3)."""
    maximum, version = item(0x51, struct.pack(">I", 16384)), item(0x55, b"LBKIT_DEMO")
    return item(0x50, maximum + item(0x52, IMPLEMENTATION.encode()) + extra + version)


def associate_ac(request: bytes, items: bytes) -> bytes:
    """A-ASSOCIATE-AC (PS3.8 section 9.3.3), which repeats the AE titles of the request."""
    titles_and_reserved = request[10:74]
    return pdu(
        ASSOCIATE_AC,
        struct.pack(">Hxx", 1) + titles_and_reserved + item(0x10, APPLICATION_CONTEXT.encode()) + items,
    )


def associate_rj(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 section 9.3.4, table 9-21)."""
    return pdu(ASSOCIATE_RJ, struct.pack("xBBB", result, source, reason))


def abort(source: int, reason: int) -> bytes:
    """A-ABORT (PS3.8 section 9.3.8, table 9-26)."""
    return pdu(ABORT, struct.pack("xxBB", source, reason))


def release_rq() -> bytes:
    """A-RELEASE-RQ (PS3.8 section 9.3.6)."""
    return pdu(RELEASE_RQ, bytes(4))


def release_rp() -> bytes:
    """A-RELEASE-RP (PS3.8 section 9.3.7)."""
    return pdu(RELEASE_RP, bytes(4))


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """One presentation data value item (PS3.8 section 9.3.5.1)."""
    return struct.pack(">IBB", len(fragment) + 2, context, control) + fragment


def p_data(pdvs: Iterable[bytes]) -> bytes:
    """P-DATA-TF (PS3.8 section 9.3.5)."""
    return pdu(P_DATA, b"".join(pdvs))


def echo_response(
    message_id: int,
    status: int | None = 0,
    command: int = C_ECHO_RSP,
    data_set: int = NO_DATA_SET,
    comment: str = "",
) -> bytes:
    """The command set of a C-ECHO-RSP (PS3.7 table 9.3-13); `comment` adds an Error Comment and an Error ID."""
    elements = {
        0x0002: _even(VERIFICATION, "\0"),
        0x0100: struct.pack("<H", command),
        0x0120: struct.pack("<H", message_id),
        0x0800: struct.pack("<H", data_set),
    }
    if status is not None:
        elements[0x0900] = struct.pack("<H", status)
    if comment:
        elements |= {0x0902: _even(comment, " "), 0x0903: struct.pack("<H", 1)}
    body = b"".join(_element(number, value) for number, value in elements.items())
    return _element(0x0000, struct.pack("<I", len(body))) + body


def proposed_contexts(request: bytes) -> tuple[int, ...]:
    """The ids of the presentation contexts that an A-ASSOCIATE-RQ proposes (PS3.8 section 9.3.2.2)."""
    return tuple(body[0] for kind, body in _items(request[74:]) if kind == 0x20)


def context_and_message_id(data: bytes) -> tuple[int, int]:
    """Presentation context id and Message ID (0000,0110) of a C-ECHO-RQ that came in one PDV."""
    context, command = data[10], data[12:]
    at = command.index(struct.pack("<HHI", 0x0000, 0x0110, 2)) + 8
    return context, int.from_bytes(command[at : at + 2], "little")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        kind, length = struct.unpack_from(">BxH", data)
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


def _element(number: int, value: bytes) -> bytes:
    """One element of group 0000 in Implicit VR Little Endian, as every command set is (PS3.7 section 6.3.1)."""
    return struct.pack("<HHI", 0x0000, number, len(value)) + value


def _even(text: str, padding: str) -> bytes:
    return (text + padding * (len(text) % 2)).encode()
