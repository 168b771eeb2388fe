"""Communities, user names and passphrases: what may be in them (guide 12.1), and the files that hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from lbkit.errors import CannotRun, Misuse
from lbkit.site.reporting import Snmp

PASSPHRASE = 8  # characters at least (RFC 3414, 11.2)
_LONGEST = 255
_NAME = 32  # characters (RFC 3414: usmUserName)
_LEGAL = re.compile(r"[a-zA-Z0-9\[\]#~_*!=\-$%?{}@:;^]*")
_ALLOWED = "a-z A-Z 0-9 and [ ] # ~ _ * ! = - $ % ? { } @ : ; ^"


@dataclass(frozen=True, slots=True)
class Keys:
    """Those of a site, "" for what it does not have."""

    community: str = field(default="", repr=False)
    authentication: str = field(default="", repr=False)
    privacy: str = field(default="", repr=False)

    @classmethod
    def read(cls, snmp: Snmp) -> Keys:
        """From the files that the site names. Raises Misuse for what snmpd can't be told, CannotRun as `content`."""
        community = content(snmp.community_file) if snmp.community_file else ""
        if snmp.user is None:
            return cls(community)
        check_name(snmp.user.name)
        least = PASSPHRASE
        return cls(community, content(snmp.user.authentication_file, least), content(snmp.user.privacy_file, least))


def content(file: str, least: int = 1) -> str:
    """What a file holds: one line of at least so many characters. Raises Misuse, which does not quote it; CannotRun."""
    try:
        with Path(file).open("rb") as opened:
            found = opened.read(2 * _LONGEST).removesuffix(b"\n").removesuffix(b"\r").decode("latin-1")
    except OSError as e:
        raise CannotRun(f"{file} can't be read: {e.strerror}. Check the path and who may read it.") from None
    if not _LEGAL.fullmatch(found):
        raise Misuse(f"{file} holds characters that SNMP is not given here, or more than one line. Use {_ALLOWED}.")
    if not least <= len(found) <= _LONGEST:
        raise Misuse(f"{file} holds {len(found)} characters. Give from {least} to {_LONGEST}.")
    return found


def check_name(name: str) -> None:
    """Raises Misuse for what can't be a USM user's name. `-e` and such are options to snmpd."""
    if not _LEGAL.fullmatch(name) or not 1 <= len(name) <= _NAME or name.startswith("-"):
        raise Misuse(f"{name[:60]!r} is no USM user name. Use 1 to {_NAME} of {_ALLOWED}, and no - as the first.")
