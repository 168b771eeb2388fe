"""What goes into a command: names and keys that can't break out of it (management guide, 9.3)."""

from __future__ import annotations

import re

from lbkit.errors import Misuse

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")  # all that HAProxy itself allows (configuration manual, 2.2)
_FILE = re.compile(r"[^\s;\\<*#@-][^\s;\\<]*")  # one that begins with * or # or @ or - means something else there
_COMMAND = re.compile(r"(?:[^\\;\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+")
_SPECIAL = re.compile(r"([ ;\\<])")
_ESCAPED = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"e": b"\x1b"}


def name(text: str, of: str) -> str:
    """The name of a backend, server or table, as it is. Raises Misuse where it can't be one."""
    if not _NAME.fullmatch(text):
        raise Misuse(
            f"{text!r} can't be the name of a {of} in HAProxy: letters, digits and _ . : - alone are. Correct it."
        )
    return text


def file(text: str) -> str:
    """The name of a file that HAProxy has loaded. Raises Misuse where it would end or change the command."""
    if not _FILE.fullmatch(text) or not text.isprintable():
        raise Misuse(
            f"{text!r} can't be named in a command to HAProxy: it has spaces, or one of ; \\ <. Rename the file."
        )
    return text


def key(text: str) -> str:
    """The key of a table's entry, or an ACL's value, quoted. Raises Misuse where it has control characters."""
    if not text or not text.isprintable():
        raise Misuse(f"{text!r} can't be a key: it is empty, or has characters that don't print. Correct it.")
    return _SPECIAL.sub(r"\\\1", text)


def unquoted(text: str) -> str:
    """A key as HAProxy prints it, without the backslashes."""

    def plain(found: re.Match[bytes]) -> bytes:
        what = found[1]
        return bytes((int(what[1:], 16),)) if len(what) == 3 else _LETTERS.get(what, what)

    return _ESCAPED.sub(plain, text.encode("utf-8", "replace")).decode("utf-8", "replace")


def one_command(text: str) -> str:
    """Refuse what is more than one command, or opens a payload. Raises Misuse."""
    if not _COMMAND.fullmatch(text) or "<<" in text or not text.isprintable():
        raise Misuse(f"{text!r} is not one command: no `;`, no `<<`, no line breaks. Send them one by one.")
    return text
