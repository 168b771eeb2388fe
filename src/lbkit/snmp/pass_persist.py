"""snmpd's conversation with the program that answers for a part of its tree (snmpd.conf(5): pass_persist).

snmpd waits for each answer and does nothing else meanwhile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeAlias

from lbkit.snmp.oids import Oid, dotted
from lbkit.snmp.tree import Object

Look: TypeAlias = Callable[[], Sequence[Object]]

_LINE = 4096  # bytes
_MOST = 128  # parts of an object's name (RFC 2578, 3.5)
_PART = 1 << 32


def serve(source: BinaryIO, sink: BinaryIO, look: Look, over: Callable[[], bool] = lambda: False) -> None:
    """Answer until snmpd hangs up, or sends a line that it never would. `look`: the objects in order, as they are now.

    `over`: asked behind each answer whether that is to be the last.
    """
    while asked := _line(source):
        match asked:
            case b"PING":
                answer = b"PONG\n"
            case b"get" | b"getnext":
                answer = _answer(_found(look(), _oid(_line(source)), is_next=asked == b"getnext"))
            case b"set":
                _line(source)
                _line(source)
                answer = b"not-writable\n"
            case _:
                answer = _answer(None)
        sink.write(answer)
        sink.flush()
        if over():
            return


def _line(source: BinaryIO) -> bytes:
    """Without its end; nothing where there is none any more, or no end to it."""
    line = source.readline(_LINE)
    return line.rstrip(b"\r\n") if line.endswith(b"\n") else b""


def _oid(written: bytes) -> Oid | None:
    parts = written.removeprefix(b".").split(b".")
    if len(parts) > _MOST or not all(one.isdigit() and len(one) <= 10 and int(one) < _PART for one in parts):
        return None
    return tuple(map(int, parts))


def _found(objects: Sequence[Object], oid: Oid | None, *, is_next: bool) -> Object | None:
    if oid is None:
        return None
    place = (bisect_right if is_next else bisect_left)(objects, oid, key=lambda one: one.oid)
    if place == len(objects) or (not is_next and objects[place].oid != oid):
        return None
    return objects[place]


def _answer(found: Object | None) -> bytes:
    return f"{dotted(found.oid)}\n{found.type}\n{found.value}\n".encode() if found else b"NONE\n"
