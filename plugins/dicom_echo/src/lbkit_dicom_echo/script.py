"""The verification as an engine can run it by itself: what it sends, and what the answers have to look like in hexadecimal.

A straight line of bytes can't read what it is answered as `echo` does: it looks for the accepted context and for the status,
wherever they stand. The verdict is fixed there: the release is sent, and its answer not waited for, since nothing that it
brings changes the verdict. A busy server that counts as up would need a branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lbkit.checks.script import Exchange, Expect, Send
from lbkit_dicom_echo import pdu
from lbkit_dicom_echo.echo import SUCCESS, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPE = 6  # bytes of a PDU's type and length: a rejection is told from them at once
# A-ASSOCIATE-AC (PS3.8 table 9-17): its fields, the application context, one presentation context without transfer syntax
_SHORTEST_AC = 74 + 25 + 8
# of a C-ECHO-RSP (PS3.7 table 9.3-13), the elements before its status: Command Field, Message ID Being Responded To,
# Command Data Set Type (none follows)
_RSP = f"00000001020000003080.*0000200102000000{pdu.MESSAGE_ID:02X}00.*00000008020000000101.*"
_SHORTEST_RSP = 12 + 52  # a C-ECHO-RSP (PS3.7 table 9.3-13) without its optional UID


def script(terms: Terms) -> Exchange | str:
    """Associate, echo, release; or which of the terms can't be said so."""
    if terms.busy_is_up:
        return "it can't tell a busy server from one that refuses for good: take busy out"
    return Exchange(
        (
            Send(terms.associate_rq),
            Expect("^0200", _TYPE),
            # the presentation context item of our one context, with result 0 (PS3.8 table 9-18)
            Expect(f"2100....{pdu.CONTEXT_ID:02X}..00", _SHORTEST_AC),
            Send(pdu.ECHO_RQ_PDU),
            # not at the beginning: the end of an A-ASSOCIATE-AC that came in pieces may stand before it
            Expect(_RSP + f"0000000902000000({_statuses(terms.accepted)})", _SHORTEST_RSP),
            Send(pdu.RELEASE_RQ_PDU),
        )
    )


def _statuses(accepted: Iterable[int]) -> str:
    """Each as the two bytes of its element, the low one first."""
    return "|".join(
        f"{status & 0xFF:02X}{status >> 8:02X}" for status in sorted(accepted, key=lambda s: (s != SUCCESS, s))
    )
