"""PDUs as bytes, written out: what a verification sends, what remotes answer, and the parts to build odd answers from."""

from struct import pack


def written(lines: str) -> bytes:
    """Bytes as hexadecimal digits, a comment after `#` on each line."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines.splitlines()))


# --- what a verification sends --------------------------------------------------------------------------------------

ASSOCIATE_RQ = written("""
    01 00 000000d4                                       # PS3.8 table 9-11: PDU type, length 212
    0001 0000                                            # protocol version, reserved
    4c422d534350 20202020202020202020                    # called AE title "LB-SCP"
    4c4f414442414c414e434552 20202020                    # calling AE title "LOADBALANCER"
    0000000000000000000000000000000000000000000000000000000000000000
    10 00 0015                                           # table 9-12: application context
       312e322e3834302e31303030382e332e312e312e31        #   1.2.840.10008.3.1.1.1
    20 00 002e 01 00 00 00                               # table 9-13: presentation context 1
       30 00 0011 312e322e3834302e31303030382e312e31     #   table 9-14: 1.2.840.10008.1.1
       40 00 0011 312e322e3834302e31303030382e312e32     #   table 9-15: 1.2.840.10008.1.2
    50 00 0041                                           # table 9-16: user information
       51 00 0004 00004000                               #   PS3.8 table D.1-1: maximum length 16384
       52 00 002c 322e32352e3132323039393738353330323633313936303335
                  37343936333330303834343331363033313134 #   PS3.7 table D.3-1: implementation class UID
       55 00 0005 4c424b4954                             #   PS3.7 table D.3-3: implementation version name "LBKIT"
""")

ECHO_RQ = written("""
    04 00 0000004a                                       # PS3.8 table 9-22: P-DATA-TF, length 74
    00000046 01 03                                       # table 9-23: PDV, context 1, last fragment of a command
    0000 0000 04000000 38000000                          # PS3.7 table 9.3-12: command group length 56
    0000 0200 12000000 312e322e3834302e31303030382e312e3100  # affected SOP class UID
    0000 0001 02000000 3000                              # command field 0030H
    0000 1001 02000000 0100                              # message ID 1
    0000 0008 02000000 0101                              # command data set type 0101H: none
""")

RELEASE_RQ = written("05 00 00000004 00000000  # PS3.8 table 9-24")
RELEASE_RP = written("06 00 00000004 00000000  # PS3.8 table 9-25")
ABORT = written("07 00 00000004 00 00 00 00  # PS3.8 table 9-26: source 0, the service-user")

# --- what a remote answers ------------------------------------------------------------------------------------------

ASSOCIATE_AC = written("""
    02 00 000000b8                                       # PS3.8 table 9-17: PDU type, length 184
    0001 0000                                            # protocol version, reserved
    4c422d534350 20202020202020202020                    # the called AE title again
    4c4f414442414c414e434552 20202020                    # the calling AE title again
    0000000000000000000000000000000000000000000000000000000000000000
    10 00 0015                                           # table 9-12: application context
       312e322e3834302e31303030382e332e312e312e31        #   1.2.840.10008.3.1.1.1
    21 00 0019 01 00 00 00                               # table 9-18: presentation context 1, result 0: acceptance
       40 00 0011 312e322e3834302e31303030382e312e32     #   table 9-19: 1.2.840.10008.1.2
    50 00 003a                                           # table 9-20: user information
       51 00 0004 00004000                               #   PS3.8 table D.1-2: maximum length 16384
       52 00 001b 312e322e3237362e302e373233303031302e332e302e332e362e37  # PS3.7 table D.3-2
       55 00 000f 4f464649535f44434d544b5f333637    #   PS3.7 table D.3-4: implementation version name
""")
CLASS_UID, VERSION = "1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367"

ECHO_RSP = written("""
    04 00 00000054                                       # PS3.8 table 9-22: P-DATA-TF, length 84
    00000050 01 03                                       # table 9-23: PDV, context 1, last fragment of a command
    0000 0000 04000000 42000000                          # PS3.7 table 9.3-13: command group length 66
    0000 0200 12000000 312e322e3834302e31303030382e312e3100  # affected SOP class UID
    0000 0001 02000000 3080                              # command field 8030H
    0000 2001 02000000 0100                              # message ID being responded to: 1
    0000 0008 02000000 0101                              # command data set type 0101H: none
    0000 0009 02000000 0000                              # status 0000H: Success
""")

REMOTE_ABORT = written("07 00 00000004 00 00 02 02  # PS3.8 table 9-26: source 2, the service-provider; unexpected-PDU")


def associate_rj(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return pdu(3, bytes((0, result, source, reason)))


# --- parts ----------------------------------------------------------------------------------------------------------


def pdu(kind: int, body: bytes) -> bytes:
    return pack(">BxI", kind, len(body)) + body


def item(kind: int, content: bytes) -> bytes:
    return pack(">BxH", kind, len(content)) + content


def pdv(content: bytes, control: int = 3, context: int = 1) -> bytes:
    """Control 0: a data set, 1: a command, 2 or 3: the last fragment of it."""
    return pack(">IBB", len(content) + 2, context, control) + content


def p_data(*pdvs: bytes) -> bytes:
    return pdu(4, b"".join(pdvs))


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return pack("<HHI", group, number, len(value)) + value


def short(number: int, value: int) -> bytes:
    return element(number, pack("<H", value))


def context(identifier: int = 1, result: int = 0, *syntaxes: bytes) -> bytes:
    syntaxes = syntaxes or (b"1.2.840.10008.1.2",)
    return item(0x21, bytes((identifier, 0, result, 0)) + b"".join(item(0x40, syntax) for syntax in syntaxes))


def associate_ac(*items: bytes) -> bytes:
    """An A-ASSOCIATE-AC of these items, by default one that accepts Verification."""
    return pdu(2, ASSOCIATE_AC[6:74] + b"".join(items or (context(),)))


def command(code: int = 0, **others: bytes | None) -> bytes:
    """A C-ECHO-RSP's command set; `others` replaces an element by name, or leaves it out (None)."""
    elements: dict[str, bytes | None] = {
        "sop_class": element(0x0002, b"1.2.840.10008.1.1\0"),
        "field": short(0x0100, 0x8030),
        "answered": short(0x0120, 1),
        "data_set": short(0x0800, 0x0101),
        "status": short(0x0900, code),
    } | others
    fields = b"".join(value for value in elements.values() if value is not None)
    return element(0, pack("<I", len(fields))) + fields


def echo_rsp(code: int = 0, **others: bytes | None) -> bytes:
    return p_data(pdv(command(code, **others)))
