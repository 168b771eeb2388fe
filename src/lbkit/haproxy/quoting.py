"""Words of HAProxy's configuration (manual 2.2), and texts inside its regular expressions and log formats."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9_.,:;/@%=+*?!&|^~<>(){}\[\]-]+")
_UNCHANGED = re.compile(rb"[A-Za-z0-9 _-]")

LONGEST_LINE = 2047  # bytes (LINESIZE)
MOST_WORDS = 60  # MAX_LINE_ARGS is 64


def quoted(text: str) -> str:
    """`text` as one word. In single quotes all stands for itself; in double quotes $ would expand.

    Raises ValueError for a control character: a line can't hold all of them.
    """
    if _PLAIN.fullmatch(text):
        return text
    if any(ord(one) < 32 or ord(one) == 127 for one in text):
        raise ValueError(f"{text!r} has a control character")
    return "'" + text.replace("'", r"'\''") + "'"


def line(*words: str) -> str:
    """A line of these words, each quoted where it has to be."""
    return " ".join(map(quoted, words))


def literal(text: str) -> str:
    """What a log format (manual 8.2.4) turns into `text`."""
    return text.replace("%", "%%")


def pattern(text: str) -> str:
    r"""A regular expression that `text` alone matches, in UTF-8: all but letters, digits, space, _ and - is \xHH."""
    return "".join(chr(byte) if _UNCHANGED.match(bytes((byte,))) else f"\\x{byte:02X}" for byte in text.encode("utf-8"))


def too_long(text: str) -> str:
    """Why HAProxy could not read this line, or ""."""
    if len(text.encode()) > LONGEST_LINE:
        return f"a line of its check has {len(text.encode())} bytes, and HAProxy reads {LONGEST_LINE}"
    if len(text.split()) > MOST_WORDS:
        return f"a line of its check has {len(text.split())} words, and HAProxy reads {MOST_WORDS}"
    return ""


def address(host: str, port: int | None = None) -> str:
    """An IP address, with its port if it has one, as HAProxy tells them apart."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"
