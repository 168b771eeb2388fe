r"""Regular expressions that Python, PCRE and PCRE2 read alike: what a site may have HAProxy match.

Python has taken them by then. One difference is left: Python counts characters and HAProxy bytes, so that `.` matches a
part of a letter beyond ASCII.
"""

from __future__ import annotations

import re

_ESCAPES = "dDwWsSbBnrt"
_MOST_GROUPS = 200  # PCRE2 nests 250
_MOST_REPEATS = 65535
_LARGEST = 5000  # length times repeats: compiled, at most 12 times as many bytes, of the 64 KiB that PCRE has

_REPEAT = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")


def not_portable(text: str) -> str:
    """What of a pattern, which Python takes, PCRE may take otherwise; "" where both take it alike."""
    text = text.removeprefix("(?i)")
    if not text.isascii():
        return "it has a character beyond ASCII, which is several bytes to HAProxy"
    if text.count("(") > _MOST_GROUPS:
        return f"it has more than {_MOST_GROUPS} groups"
    repeats = 1
    at, class_from = 0, -1  # class_from: where a ] would end the class; -1 outside of one
    while at < len(text):
        here, after = text[at], text[at + 1 : at + 2]
        if here == "\\":
            if after.isalnum() and after not in _ESCAPES:
                return rf"\{after} is none of \d \w \s \b (and their capitals) and \n \r \t"
            at += 2
            continue
        if class_from >= 0:
            if here == "[":
                return r"[ within [ ] may begin a named class: write \["
            if here == "]" and at > class_from:
                class_from = -1
        elif here == "[":
            class_from = at + (2 if after == "^" else 1)
        elif here == "(" and after == "?" and text[at + 2 : at + 3] != ":":
            return f"{text[at : at + 4]} begins a group that the two may know differently; they share (?: and a leading (?i)"
        elif here == "{" and after == ",":
            return "{, is text to HAProxy: write {0,"
        elif found := _REPEAT.match(text, at):
            most = max(int(found[1]), int(found[2] or 0))
            repeats *= max(most, 1)
            if most > _MOST_REPEATS or repeats * len(text) > _LARGEST:
                return f"{found[0]} repeats too much for HAProxy"
        at += 1
    return ""


def escaped(text: str) -> str:
    r"""The same pattern on one line: control characters as \xHH, which all three read alike."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02X}" for one in text)
