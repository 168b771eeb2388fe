"""Generic netlink: requests as bytes, answers from bytes (linux/netlink.h, linux/genetlink.h). No socket here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from lbkit.errors import EngineError

CONTROLLER = 16  # GENL_ID_CTRL: the family that knows the others
GET_FAMILY = 3  # CTRL_CMD_GETFAMILY
FAMILY_ID, FAMILY_NAME = 1, 2  # CTRL_ATTR_…
REQUEST, ACKNOWLEDGE, DUMP = 0x01, 0x04, 0x300  # NLM_F_…; DUMP is NLM_F_ROOT | NLM_F_MATCH
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed while it was read
_ERROR, _DONE = 2, 3  # NLMSG_…
_CONTROL = 16  # NLMSG_MIN_TYPE: below are netlink's own messages
_NESTED = 0x8000  # NLA_F_NESTED
_TYPE = 0x3FFF  # NLA_TYPE_MASK
_VERSION = 1
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_GENERIC = struct.Struct("=BBxx")  # command, version
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_NUMBER = struct.Struct("=i")


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to the next."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that is made of others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def request(family: int, command: int, sequence: int, body: bytes = b"", *, dump: bool = False) -> bytes:
    """One message that asks a family. It is answered up to an acknowledgement, a dump up to its end."""
    length = _HEADER.size + _GENERIC.size + len(body)
    flags = REQUEST | (DUMP if dump else ACKNOWLEDGE)
    return _HEADER.pack(length, family, flags, sequence, 0) + _GENERIC.pack(command, _VERSION) + body


def attributes(data: bytes) -> dict[int, bytes]:
    """The values of attributes, by their types. Raises EngineError for what is none."""
    return dict(_attributes(data))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while len(data) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= length <= len(data) - at:
            raise unreadable(f"an attribute of {length} bytes where {len(data) - at} are left")
        yield kind & _TYPE, data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4
    if at < len(data):
        raise unreadable(f"{len(data) - at} bytes that are no attribute")


class Answer:
    """What comes back for one request, datagram by datagram. `bodies`: the attributes of each message. `error`: an errno,
    or 0. `interrupted`: the table changed in the course of a dump, which is to be asked for again.
    """

    def __init__(self, sequence: int) -> None:
        self.bodies: list[bytes] = []
        self.error = 0
        self.interrupted = False
        self.complete = False
        self._sequence = sequence

    def take(self, datagram: bytes) -> None:
        """Read one. What belongs to another request is passed over. Raises EngineError for what can't be read."""
        for message in _messages(datagram):
            if message.sequence != self._sequence or self.complete:
                continue
            self.interrupted |= bool(message.flags & _INTERRUPTED)
            if message.kind in (_ERROR, _DONE):
                self.complete = True
                self.error = -_number(message.payload)
            elif message.kind >= _CONTROL:
                if len(message.payload) < _GENERIC.size:
                    raise unreadable(f"a message of {len(message.payload)} bytes")
                self.bodies.append(message.payload[_GENERIC.size :])


class _Message(NamedTuple):
    kind: int
    flags: int
    sequence: int
    payload: bytes


def _messages(data: bytes) -> Iterator[_Message]:
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise unreadable(f"{len(data) - at} bytes that are no message")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise unreadable(f"a message of {length} bytes where {len(data) - at} are left")
        yield _Message(kind, flags, sequence, data[at + _HEADER.size : at + length])
        at += length + -length % 4


def _number(payload: bytes) -> int:
    if len(payload) < _NUMBER.size:
        raise unreadable("an end without its number")
    return int(_NUMBER.unpack_from(payload)[0])


def unreadable(what: str) -> EngineError:
    """The error for an answer that is not as it should be."""
    return EngineError(f"the kernel's answer can't be read: {what}. Is this kernel supported (Linux 4.1 or later)?")
