"""The ways in which programs write a text down."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Callable


def _percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "a URL": lambda text: urllib.parse.quote(text, safe=""),
    "a URL, slashes kept": urllib.parse.quote,
    "a URL in a URL": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "each byte of a URL": _percent,
    "a form": urllib.parse.quote_plus,
    "a shell": lambda text: text.replace("'", "'\"'\"'"),
    "another shell": lambda text: text.replace("'", r"'\''"),
    "backslashes": lambda text: "".join(one if one.isalnum() else f"\\{one}" for one in text),
    "bytes of Python": lambda text: repr(text.encode())[2:-1],
    "HTML": html.escape,
    "CSV": lambda text: text.replace('"', '""'),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "Basic": lambda text: base64.b64encode(f"lbkit:{text}".encode()).decode(),
    "Base64, one before": lambda text: base64.b64encode(f"a{text}b".encode()).decode(),
    "Base64, two before": lambda text: base64.b64encode(f"ab{text}ab".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
}
