"""DICOM upper-layer PDUs as bytes: what a verification sends and reads (PS3.8 section 9.3, PS3.7 annex E).

Bytes in, tuples out; no sockets, no clock, and only C modules: `lbkit-probe` starts once per check. Whatever is not what
the standard allows raises Malformed with a sentence; lengths are judged from the 6-byte header, before anything is kept.
"""

from _struct import Struct, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VERIFICATION = "1.2.840.10008.1.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
IMPLEMENTATION_CLASS_UID = "2.25.122099785302631960357496330084431603114"
IMPLEMENTATION_VERSION = "LBKIT"

CONTEXT_ID = 1
MESSAGE_ID = 1
MAX_PDU = 16384  # bytes of one P-DATA-TF's variable field that we announce, and take (PS3.8 annex D.1)
MAX_ASSOCIATE_AC = 131072  # far above any legal answer to one proposed context
MAX_COMMAND = 16384  # bytes of one command set; a C-ECHO-RSP has about 70
MAX_FRAGMENTS = 256
MAX_TEXT = 64  # characters of a remote's that we show; the standard's own limit for UIDs and error comments

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7

NAMES = {
    1: "A-ASSOCIATE-RQ",
    ASSOCIATE_AC: "A-ASSOCIATE-AC",
    ASSOCIATE_RJ: "A-ASSOCIATE-RJ",
    P_DATA: "P-DATA-TF",
    RELEASE_RQ: "A-RELEASE-RQ",
    RELEASE_RP: "A-RELEASE-RP",
    ABORT: "A-ABORT",
}

# The lengths that a PDU of each type may have. A-ASSOCIATE-RQ never comes to the side that sent one.
_LENGTHS = {
    ASSOCIATE_AC: (68, MAX_ASSOCIATE_AC),
    ASSOCIATE_RJ: (4, 4),
    P_DATA: (6, MAX_PDU),
    RELEASE_RQ: (4, 4),
    RELEASE_RP: (4, 4),
    ABORT: (4, 4),
}

_HEADER = Struct(">BxI")
_ITEM = Struct(">BxH")
_PDV = Struct(">IBB")
_ELEMENT = Struct("<HHI")
_SHORT = Struct("<H")

RELEASE_RQ_PDU = pack(">BxII", RELEASE_RQ, 4, 0)
RELEASE_RP_PDU = pack(">BxII", RELEASE_RP, 4, 0)
ABORT_PDU = pack(">BxII", ABORT, 4, 0)  # source 0: the service-user


class Malformed(Exception):
    """What was read is not what PS3.8 or PS3.7 allows; `start`: its first bytes, where it is not DICOM at all."""

    def __init__(self, message: str, start: bytes = b"") -> None:
        super().__init__(message)
        self.start = start


class Reader:
    """Cuts the stream into PDUs; never keeps more than the longest legal one and what one read brought."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def read(self, data: bytes = b"") -> tuple[int, bytes] | None:
        """Add what was read; the next PDU as (type, variable field), or None: it is not complete. Raises Malformed."""
        buffer = self._buffer + data if self._buffer else data
        self._buffer = buffer
        size = len(buffer)
        if size < 6:
            if size:
                _known_type(buffer)
            return None
        kind, length = _HEADER.unpack_from(buffer)
        least, most = _LENGTHS.get(kind) or _known_type(buffer)
        if not least <= length <= most:
            raise Malformed(f"{NAMES[kind]} claims a length of {length} bytes; {least} to {most} are legal here")
        end = 6 + length
        if size < end:
            return None
        self._buffer = buffer[end:]
        return kind, buffer[6:end]

    @property
    def pending(self) -> bool:
        """Whether bytes wait that no PDU has taken."""
        return bool(self._buffer)


def _known_type(buffer: bytes) -> tuple[int, int]:
    kind = buffer[0]
    if kind in _LENGTHS:
        return _LENGTHS[kind]
    if kind == 1:
        raise Malformed("the remote sent an A-ASSOCIATE-RQ where it should have answered ours")
    raise Malformed("this is no DICOM PDU", start=buffer[:48])


def text(raw: bytes, most: int | None = None) -> str:
    """Bytes of a remote, the first `most`, as text that is safe on a terminal: printable ASCII, everything else as `?`."""
    plain = raw[:most].decode("latin-1")
    if not (plain.isascii() and plain.isprintable()):
        plain = "".join([c if " " <= c <= "~" else "?" for c in plain])
    return plain.strip()


# --- what we send ---------------------------------------------------------------------------------------------------


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content


def associate_rq(calling: str, called: str) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 table 9-11) that proposes Verification in Implicit VR Little Endian as context 1."""
    context = (
        bytes((CONTEXT_ID, 0, 0, 0)) + _item(0x30, VERIFICATION.encode()) + _item(0x40, IMPLICIT_LITTLE_ENDIAN.encode())
    )
    user = (
        _item(0x51, pack(">I", MAX_PDU))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + _item(0x55, IMPLEMENTATION_VERSION.encode())
    )
    body = (
        pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
        + _item(0x10, APPLICATION_CONTEXT.encode())
        + _item(0x20, context)
        + _item(0x50, user)
    )
    return _HEADER.pack(1, len(body)) + body


def _echo_command() -> bytes:
    sop_class = VERIFICATION.encode() + b"\0"
    fields = (
        _ELEMENT.pack(0, 0x0002, len(sop_class))
        + sop_class
        + _ELEMENT.pack(0, 0x0100, 2)
        + _SHORT.pack(0x0030)
        + _ELEMENT.pack(0, 0x0110, 2)
        + _SHORT.pack(MESSAGE_ID)
        + _ELEMENT.pack(0, 0x0800, 2)
        + _SHORT.pack(0x0101)
    )
    return _ELEMENT.pack(0, 0, 4) + pack("<I", len(fields)) + fields


def echo_rq(remote_max_pdu: int = 0) -> bytes:
    """C-ECHO-RQ (PS3.7 table 9.3-12) as P-DATA-TF, in pieces where the remote takes short PDUs only (0: any length)."""
    command = _echo_command()
    room = (remote_max_pdu - 6) & ~1 if remote_max_pdu else len(command)  # fragments have an even length
    pdus = []
    for start in range(0, len(command), room):
        piece = command[start : start + room]
        last = 2 if start + room >= len(command) else 0
        pdus.append(_HEADER.pack(P_DATA, len(piece) + 6) + _PDV.pack(len(piece) + 2, CONTEXT_ID, 1 | last) + piece)
    return b"".join(pdus)


ECHO_RQ_PDU = echo_rq()


# --- what we read ---------------------------------------------------------------------------------------------------


class Accepted:
    """An A-ASSOCIATE-AC (PS3.8 table 9-17), as far as a verification needs it.

    `result`: of our presentation context (0: accepted). `max_pdu`: bytes, 0: no limit.
    """

    __slots__ = ("class_uid", "max_pdu", "result", "version")

    def __init__(self, result: int, max_pdu: int, class_uid: str, version: str) -> None:
        self.result = result
        self.max_pdu = max_pdu
        self.class_uid = class_uid
        self.version = version


def _items(body: bytes, start: int, end: int, where: str) -> "Iterator[tuple[int, int, int]]":
    """(type, start, end) of each item between two offsets; lengths that reach beyond are Malformed."""
    while start < end:
        if end - start < 4:
            raise Malformed(f"{where} ends in the middle of an item")
        kind, length = _ITEM.unpack_from(body, start)
        start += 4
        if start + length > end:
            raise Malformed(
                f"{where} holds an item of type {kind:02X}H whose length of {length} bytes reaches beyond it"
            )
        yield kind, start, start + length
        start += length


def associate_ac(body: bytes) -> Accepted:
    """Read an A-ASSOCIATE-AC's variable field. Raises Malformed. Items of unknown type are skipped (PS3.8 9.3.1)."""
    result = -1
    max_pdu = 0
    class_uid = version = ""
    for kind, start, end in _items(body, 68, len(body), "A-ASSOCIATE-AC"):
        if kind == 0x21:
            if result >= 0:
                raise Malformed("A-ASSOCIATE-AC answers more presentation contexts than the one proposed")
            result = _context_result(body, start, end)
        elif kind == 0x50:
            for sub, first, stop in _items(body, start, end, "the user information of A-ASSOCIATE-AC"):
                if sub == 0x51:
                    max_pdu = _max_pdu(body[first:stop])
                elif sub == 0x52:
                    class_uid = text(body[first:stop].rstrip(b"\0"), MAX_TEXT)
                elif sub == 0x55:
                    version = text(body[first:stop], MAX_TEXT)
    if result < 0:
        raise Malformed("A-ASSOCIATE-AC does not answer the presentation context that was proposed")
    return Accepted(result, max_pdu, class_uid, version)


def _context_result(body: bytes, start: int, end: int) -> int:
    if end - start < 4:
        raise Malformed("A-ASSOCIATE-AC holds a presentation context item that is too short")
    if body[start] != CONTEXT_ID:
        raise Malformed(f"A-ASSOCIATE-AC answers presentation context {body[start]}; {CONTEXT_ID} was proposed")
    result = body[start + 2]
    if result > 4:
        raise Malformed(f"A-ASSOCIATE-AC gives presentation context result {result}; 0 to 4 are legal")
    if result == 0:
        syntaxes = [
            text(body[first:stop].rstrip(b"\0"), MAX_TEXT)
            for kind, first, stop in _items(body, start + 4, end, "a presentation context of A-ASSOCIATE-AC")
            if kind == 0x40
        ]
        if syntaxes != [IMPLICIT_LITTLE_ENDIAN]:
            chosen = ", ".join(syntaxes[:4]) or "none"
            raise Malformed(
                f"A-ASSOCIATE-AC chose transfer syntax {chosen}; only {IMPLICIT_LITTLE_ENDIAN} was proposed"
            )
    return result


def _max_pdu(value: bytes) -> int:
    if len(value) != 4:
        raise Malformed(f"A-ASSOCIATE-AC gives a maximum length of {len(value)} bytes; it has 4 (PS3.8 annex D.1)")
    most = int.from_bytes(value, "big")
    if 0 < most < 8:
        raise Malformed(f"A-ASSOCIATE-AC allows PDUs of {most} bytes, in which no message fits")
    return most


class Response:
    """Joins the fragments of a C-ECHO-RSP, split over PDVs and PDUs in any legal way (PS3.8 annex E)."""

    __slots__ = ("_fragments", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._fragments = 0

    def add(self, body: bytes) -> tuple[int, str] | None:
        """Take a P-DATA-TF's variable field; (status, error comment) once all is there. Raises Malformed."""
        start, end = 0, len(body)
        while start < end:
            if end - start < 6:
                raise Malformed("P-DATA-TF ends in the middle of a presentation data value")
            length, context, control = _PDV.unpack_from(body, start)
            stop = start + 4 + length
            if length < 2 or stop > end:
                raise Malformed(f"P-DATA-TF holds a presentation data value whose length of {length} bytes is wrong")
            if context != CONTEXT_ID:
                raise Malformed(f"P-DATA-TF comes in presentation context {context}; {CONTEXT_ID} was agreed")
            if not control & 1:
                raise Malformed("P-DATA-TF holds a data set; a C-ECHO response has none")
            self._keep(body[start + 6 : stop])
            start = stop
            if control & 2:
                if start < end:
                    raise Malformed("P-DATA-TF goes on after the last fragment of the command")
                return echo_status(b"".join(self._parts))
        return None

    def _keep(self, fragment: bytes) -> None:
        self._parts.append(fragment)
        self._size += len(fragment)
        self._fragments += 1
        if self._size > MAX_COMMAND or self._fragments > MAX_FRAGMENTS:
            raise Malformed(f"the response does not end: {self._fragments} fragments, {self._size} bytes")


def echo_status(command: bytes) -> tuple[int, str]:
    """(status, error comment) of a C-ECHO-RSP's command set (PS3.7 table 9.3-13). Raises Malformed."""
    fields = _elements(command)
    field = _short(fields, 0x0100, "Command Field")
    if field != 0x8030:
        raise Malformed(f"Command Field (0000,0100) is {field:04X}H; a C-ECHO-RSP has 8030H")
    answered = _short(fields, 0x0120, "Message ID Being Responded To")
    if answered != MESSAGE_ID:
        raise Malformed(f"Message ID Being Responded To (0000,0120) is {answered}; {MESSAGE_ID} was asked")
    data_set = _short(fields, 0x0800, "Command Data Set Type")
    if data_set != 0x0101:
        raise Malformed(f"Command Data Set Type (0000,0800) is {data_set:04X}H; a C-ECHO-RSP has 0101H, no data set")
    status = _short(fields, 0x0900, "Status")
    return status, text(fields.get(0x0902, b"").rstrip(b"\0"), MAX_TEXT)


def _elements(command: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    start, end = 0, len(command)
    while start < end:
        if end - start < 8:
            raise Malformed("the command set ends in the middle of an element")
        group, element, length = _ELEMENT.unpack_from(command, start)
        if group:
            raise Malformed(f"the command set holds an element of group {group:04X}H; all are of group 0000H")
        start += 8
        if start + length > end:
            raise Malformed(f"element (0000,{element:04X}) claims {length} bytes, more than the command set has left")
        if element in fields:
            raise Malformed(f"element (0000,{element:04X}) stands twice in the command set")
        fields[element] = command[start : start + length]
        start += length
    return fields


def _short(fields: dict[int, bytes], element: int, name: str) -> int:
    value = fields.get(element)
    if value is None:
        raise Malformed(f"{name} (0000,{element:04X}) is missing")
    if len(value) != 2:
        raise Malformed(f"{name} (0000,{element:04X}) has {len(value)} bytes; it has 2")
    return value[0] | value[1] << 8
