"""From a host name to addresses, with a way out of resolvers that hang. Loaded by `lbkit-probe`: C modules only."""

import _socket
from _thread import start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Address: TypeAlias = tuple[int, tuple[Any, ...]]  # family, socket address

_NOT_FOUND = {_socket.EAI_NONAME, getattr(_socket, "EAI_NODATA", _socket.EAI_NONAME)}


class NameFailed(Exception):
    """No address for a name; `known_absent`: the name service said so, rather than failing itself."""

    def __init__(self, known_absent: bool) -> None:
        self.known_absent = known_absent


def literal(host: str, port: int) -> "Address | None":
    """The address that `host` spells out (IPv4, or IPv6 with or without scope), or None: it is a name."""
    try:
        _socket.inet_pton(_socket.AF_INET, host)
        return _socket.AF_INET, (host, port)
    except (OSError, ValueError):
        pass
    try:
        found = _socket.getaddrinfo(
            _encoded(host), port, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError):
        return None
    return found[0][0], found[0][4]


def look_up(host: str, port: int) -> "list[Address]":
    """Ask the system's resolver, however long that takes; at least one address, or NameFailed."""
    try:
        found = _socket.getaddrinfo(_encoded(host), port, 0, _socket.SOCK_STREAM)
    except _socket.gaierror as e:
        raise NameFailed(e.errno in _NOT_FOUND) from None
    except OSError:  # EAI_SYSTEM: this machine was in the way
        raise NameFailed(False) from None
    except UnicodeError:
        raise NameFailed(True) from None
    return [(family, address) for family, _type, _proto, _name, address in found]


def look_up_aside(host: str, port: int, done: "Callable[[list[Address] | NameFailed], object]") -> None:
    """Look up in a thread of its own, which calls `done`. Nobody joins it: a resolver can hang for a minute."""

    def work() -> None:
        found: list[Address] | NameFailed
        try:
            found = look_up(host, port)
        except NameFailed as e:
            found = e
        done(found)

    start_new_thread(work, ())


def _encoded(host: str) -> bytes:
    # bytes spare _socket the idna codec, whose import costs more than a whole check
    return host.encode("ascii" if host.isascii() else "idna")
