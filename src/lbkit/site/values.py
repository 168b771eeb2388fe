"""The kinds of value that a site file holds. TOML has types of its own, so nothing is converted but durations."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from lbkit.durations import PATTERN, seconds


class Table(BaseModel):
    """A table of the site file: keys that it does not know are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def beside(folder: Any, path: str) -> str:
    """A path as it is seen from the site file's folder."""
    return str(Path(folder or "", path))


def files_beside(given: Any, info: ValidationInfo) -> Any:
    """A plugin's table, its paths (`*_file`) as they are seen from the site file's folder."""
    if not isinstance(given, dict):
        return given
    folder = (info.context or {}).get("folder")
    return {
        name: beside(folder, value) if name.endswith("_file") and isinstance(value, str) else value
        for name, value in given.items()
    }


class _Like:
    """Text of a pattern; a finding says in words what is wanted, and the JSON Schema has the pattern."""

    def __init__(self, pattern: str, wanted: str) -> None:
        self.pattern = pattern
        self._matches = re.compile(pattern).fullmatch
        self._wanted = wanted

    def __call__(self, text: str) -> str:
        if not self._matches(text):
            raise ValueError(f"{text[:60]!r} is not {self._wanted}")
        return text

    @property
    def schema(self) -> WithJsonSchema:
        return WithJsonSchema({"type": "string", "pattern": f"^{self.pattern}$"})


def _address(text: str) -> str:
    try:
        if "%" not in text:  # what stands behind it names an interface of one machine, and could be any text
            return str(ip_address(text))
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is not an IP address, such as 192.32.40.219")


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a network, such as 198.51.100.0/24") from None


def duration(given: Any) -> float:
    """A duration as a site file has it, in seconds. Raises ValueError."""
    if not isinstance(given, str):
        raise ValueError('a duration carries its unit and stands in quotes, such as "12h" or "5s"')
    found = seconds(given)
    if not found:
        raise ValueError(f"{given!r} is no time at all; leave the key out, or give a longer one")
    return found


def _file(given: str, info: ValidationInfo) -> str:
    if not given or "\0" in given:
        raise ValueError("this is not the path of a file")
    return beside((info.context or {}).get("folder"), given)


_LABEL = _Like(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "a label: up to 63 letters, digits, _ . and -, the first a letter or digit"
)
_HOST = _Like(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}", "a host name or address")
_MAIL = _Like(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9][A-Za-z0-9._-]{0,252}",
    "a mail address, such as alerts@hospital.example",
)
_INTERFACE = _Like(r"[A-Za-z0-9_.@-]{1,15}", "the name of a network interface, such as eth0")
_ACCOUNT = _Like(r"[a-z_][a-z0-9_-]{0,31}", "the name of a user or group, such as haproxy")
_ADDRESS = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_DURATION = {"type": "string", "pattern": PATTERN, "examples": ["12h", "5s"]}

Label = Annotated[str, AfterValidator(_LABEL), _LABEL.schema]
Host = Annotated[str, AfterValidator(_HOST), _HOST.schema]
Mail = Annotated[str, AfterValidator(_MAIL), _MAIL.schema]
Interface = Annotated[str, AfterValidator(_INTERFACE), _INTERFACE.schema]
Account = Annotated[str, AfterValidator(_ACCOUNT), _ACCOUNT.schema]
Address = Annotated[str, AfterValidator(_address), WithJsonSchema(_ADDRESS)]
Network = Annotated[str, AfterValidator(_network), WithJsonSchema({"type": "string", "examples": ["198.51.100.0/24"]})]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Flag = Annotated[bool, Field(strict=True)]
Duration = Annotated[float, BeforeValidator(duration), WithJsonSchema(_DURATION)]
File = Annotated[str, AfterValidator(_file), WithJsonSchema({"type": "string", "pattern": r"^[^\x00]+$"})]
