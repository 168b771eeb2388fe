"""Text without the secrets in it: the values that are known, however they are written, and what looks like one.

It rather takes out too much: who reads it misses a word, who is read has lost a key.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

SHORTEST = 4  # characters; less is no secret, and stands everywhere
_BASE64_FROM = 6  # bytes; what is shorter has no four characters of Base64 of its own

_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----(?:(?!-----)[\w+/=\s\\:,.-])*(?:-----END [A-Z0-9 ]+-----)?"
)
_VALUE = r"""("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,;}\]\[{"'][^\s,;}\]]*)"""
_WORDS = (
    r"(?:pass|pwd|passwd|passcode|password|passphrase|secret|token|community|hmac|credential|bearer|authorization|cookie|"
    r"(?:[a-z]+[_-]|api|private)key)s?"
)
_KEYED = re.compile(rf"""(?i)((?<![^\W_]){_WORDS}["']?[ \t]*[=:](?!=)[ \t]*){_VALUE}""")
_IN_URL = re.compile(r"(://)[^/\s\"'<>]*@")
_URL_PATH = re.compile(r"""(?i)(\burl["']?[ \t]*[=:][ \t]*["']?\w+://[^/\s"'?#]*[/?#])[^\s"']+""")
_HEADER = re.compile(r"(?i)(\b(?:proxy-)?(?:authorization|(?:set-)?cookie)[\"']?[ \t]*[:=](?!=)[ \t]*)[^\r\n]+")
_HDR = re.compile(
    r"(?i)(\b(?:hdr|(?:set|add|replace)-header)[ \t]+[\"']?(?:proxy-)?(?:authorization|cookie)\b)[^\r\n]+"
)
_SNMPD = (
    "r[ow]community6? com2sec6? com2secunix createuser usmuser trapcommunity trap2?sink informsink trapsess authcommunity "
    "def(?:auth|priv)?passphrase defcommunity def(?:auth|priv)(?:master|localized)key"
).replace(" ", "|")
_DIRECTIVE = re.compile(
    rf"(?i)((?<![\w-])(?:stats[ \t]+auth|auth_pass|user[ \t]+\S+[ \t]+(?:insecure-)?password|{_SNMPD}|proxy(?=[ \t]+-))"
    r"[ \t]+)\S[^\r\n]*"
)
_IS_WORD = re.compile(rf"(?i)(?:.*[\W_])?{_WORDS}")
_OTHERWISE = {"'": (r"'\\{1,4}''", "'\"'\"'"), '"': ('""',), " ": (r"\+",), "\t": (r"\\{1,4}t",)}  # shells, CSV, forms
_NOTHING = ("true", "false", "null", '""', "''")


def removed(name: str) -> str:
    """What stands where a secret was."""
    return f"[REMOVED: {name}]"


class Redaction:
    """Takes secrets out. `known`: values by the name that stands in their place, looked for however they are written.

    `keys`: the lines of keys, by the same, looked for as they are: there are hundreds, and who would quote one?
    A value of fewer than four characters is not looked for: it stands everywhere.
    """

    def __init__(
        self, known: Mapping[str, Iterable[str]], keys: Mapping[str, Iterable[str]] = MappingProxyType({})
    ) -> None:
        names: dict[str, str] = {}
        for name, values in known.items():
            for value in values:
                if len(value) >= SHORTEST:
                    names.setdefault(value, name)
        longest_first = sorted(names, key=len, reverse=True)
        self._names = [names[value] for value in longest_first]
        self._known = re.compile("|".join(f"({_written(value)})" for value in longest_first)) if names else None
        self._keys = {line: name for name, lines in keys.items() for line in lines}

    def clean(self, text: str) -> str:
        """The text, without them."""
        text = _BLOCK.sub(removed("private key"), text)
        text = _URL_PATH.sub(rf"\1{removed('path')}", text)
        text = _IN_URL.sub(rf"\1{removed('user and password')}@", text)
        for line, name in self._keys.items():
            text = text.replace(line, removed(name))
        text = self._known.sub(self._name, text) if self._known else text
        text = _HEADER.sub(rf"\1{removed('header')}", text)
        text = _HDR.sub(rf"\1 {removed('header')}", text)
        text = _DIRECTIVE.sub(rf"\1{removed('secret')}", text)
        return _KEYED.sub(_keyed, text)

    def clean_document(self, value: Any) -> Any:
        """The same of what JSON can carry: of each text in it."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return {self.clean(str(key)): self._of_key(str(key), one) for key, one in value.items()}
        return [self.clean_document(one) for one in value] if isinstance(value, list | tuple) else value

    def _of_key(self, key: str, value: Any) -> Any:
        if is_secret_word(key) and isinstance(value, str) and value:
            return removed("secret")
        return self.clean_document(value)

    def _name(self, found: re.Match[str]) -> str:
        return removed(self._names[(found.lastindex or 1) - 1])


def is_secret_word(key: str) -> bool:
    """Whether what has this name is a secret itself: `password`, `hmac`, `api-key`; not `password_file`."""
    return _IS_WORD.fullmatch(key) is not None


def _keyed(found: re.Match[str]) -> str:
    value = found[2]
    if value in _NOTHING or "[REMOVED:" in value:
        return found[0]
    mark = value[0] if value[0] in "\"'" else ""
    return f"{found[1]}{mark}{removed('secret')}{mark}"


def _written(value: str) -> str:
    """A pattern of the value as it may be written: as it is, escaped or quoted in any way, as Base64, as hexadecimal.

    What none of them begins with is told first: that is twice as fast.
    """
    data = value.encode(errors="surrogateescape")
    ways = ["".join(map(_character, re.findall(r"\\+|.", value, re.DOTALL))), "".join(map(_digit, data.hex()))]
    begins = {value[0], *"\\%&+", *_digit(data.hex()[0])}
    if len(data) >= _BASE64_FROM:
        inside = _inside_base64(data)
        ways += [re.escape(one).replace(r"\+", "[+-]").replace("/", "[/_]") for one in inside]
        begins |= {*"-_", *(one[0] for one in inside)}
    return f"(?=[{''.join(map(re.escape, begins))}])(?:{'|'.join(ways)})"


def _character(one: str) -> str:
    """All ways to write a character; of backslashes, which double with each quoting, as many as follow one another."""
    if one[0] == "\\":
        return rf"(?:(?:\\|%(?:25)?5[Cc]){{{len(one)},{4 * len(one)}}})"
    data, units = one.encode(errors="surrogateescape"), one.encode("utf-16-be", errors="surrogatepass")
    ways = [
        re.escape(one),
        rf"\\{{1,4}}{re.escape(one)}",
        "".join(rf"%(?:25)?{_hexadecimal(byte)}" for byte in data),
        "".join(rf"\\{{1,4}}x{_hexadecimal(byte)}" for byte in data),
        "".join(rf"\\{{1,4}}u{_hexadecimal(units[at])}{_hexadecimal(units[at + 1])}" for at in range(0, len(units), 2)),
        f"&#(?:{ord(one)}|[xX]0*{''.join(map(_digit, f'{ord(one):x}'))});",
        re.escape(html.escape(one)),
        *_OTHERWISE.get(one, ()),
    ]
    return f"(?:{'|'.join(dict.fromkeys(ways))})"


def _hexadecimal(byte: int) -> str:
    return "".join(map(_digit, f"{byte:02x}"))


def _digit(one: str) -> str:
    return f"[{one}{one.upper()}]" if one.isalpha() else one


def _inside_base64(data: bytes) -> list[str]:
    """What of it stands in any Base64 that holds it, at each of three places; and as a whole, which is longer."""
    found = [base64.b64encode(data).decode().rstrip("=")]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        begin = (0, 2, 3)[before]
        end = len(encoded) - (1 if (before + len(data)) % 3 else 0)
        found.append(encoded[begin:end])
    return found
