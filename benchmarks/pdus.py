"""The PDUs of one DICOM verification, packed by hand: what the C client and the plain asyncio client send."""

from struct import pack

CALLING, CALLED = b"LOADBALANCER", b"LB-SCP"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION = b"1.2.840.10008.1.1"
IMPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2"


def _pdu(kind: int, body: bytes) -> bytes:
    """A PDU of PS3.8 section 9.3: type, a reserved byte, 4 bytes of length."""
    return pack(">BxI", kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU: type, a reserved byte, 2 bytes of length."""
    return pack(">BxH", kind, len(body)) + body


def _element(element: int, value: bytes) -> bytes:
    """A command element of group 0000 in Implicit VR Little Endian (PS3.7 section 6.3)."""
    return pack("<HHI", 0, element, len(value)) + value


def _associate_rq() -> bytes:
    context = pack(">B3x", 1) + _item(0x30, VERIFICATION) + _item(0x40, IMPLICIT_LITTLE_ENDIAN)
    user = _item(0x51, pack(">I", 16384)) + _item(0x52, b"1.2.3.4.56") + _item(0x55, b"BENCH")
    titles = CALLED.ljust(16) + CALLING.ljust(16) + bytes(32)
    items = _item(0x10, APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user)
    return _pdu(1, pack(">Hxx", 1) + titles + items)


def _echo_rq() -> bytes:
    command = (
        _element(0x0002, VERIFICATION + b"\0")
        + _element(0x0100, pack("<H", 0x0030))  # C-ECHO-RQ
        + _element(0x0110, pack("<H", 1))  # message id
        + _element(0x0800, pack("<H", 0x0101))  # no data set
    )
    command = _element(0x0000, pack("<I", len(command))) + command
    return _pdu(4, pack(">IBB", len(command) + 2, 1, 3) + command)  # one PDV: context 1, the last of a command


ASSOCIATE_RQ = _associate_rq()
ECHO_RQ = _echo_rq()
RELEASE_RQ = _pdu(5, bytes(4))
ASSOCIATE_AC, P_DATA, RELEASE_RP = 2, 4, 6
