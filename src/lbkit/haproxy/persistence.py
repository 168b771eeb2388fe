"""Which server a client is kept on: the tables of a site's VIPs, and the cookies that are moved away from a server.

Tables are named as their VIP. A Last Successful VIP has one entry, key 1.
"""

from __future__ import annotations

from time import monotonic, sleep

from lbkit.errors import NotDone
from lbkit.haproxy.engine import Haproxy
from lbkit.haproxy.entries import Entry
from lbkit.haproxy.sections import moved_file
from lbkit.site.services import Vip

KEY = "1"
_GIVES_UP = 5.0  # seconds; `timeout connect` is shorter
_POLL = 0.02
_QUIET = 2  # looks one after the other


def has_table(vip: Vip) -> bool:
    """Whether HAProxy keeps a table for it."""
    return vip.persistence.mode in ("source-ip", "last-successful")


def stuck_to(haproxy: Haproxy, vip: Vip) -> str | None:
    """The label of the server that a Last Successful VIP is stuck to; None before its first client, or after a clear."""
    if vip.persistence.mode != "last-successful":
        return None
    entries = haproxy.runtime.table(vip.label, key=KEY)
    return server_of(haproxy, vip, entries[0]) if entries else None


def server_of(haproxy: Haproxy, vip: Vip, entry: Entry) -> str | None:
    """The label of an entry's server. None: it names none."""
    return entry.server_key or haproxy.label_of(vip.label, entry.server_id)


def entries_of(haproxy: Haproxy, vip: Vip, server: str) -> int:
    """How many entries name this server."""
    if not has_table(vip):
        return 0
    return haproxy.runtime.count_entries(vip.label, server_id=haproxy.id_of(vip.label, server))


def move_away(haproxy: Haproxy, vip: Vip, server: str) -> int:
    """Take a server out of the VIP's persistence: new connections of those it kept go elsewhere. How many entries named it.

    The server has to be out already, else they come back to it. HAProxy writes an entry once it is connected to the server,
    TLS and all: a client who is on the way there writes his behind it, and would stick to a server that is out. So it goes
    on until nobody is on the way. Raises NotDone where entries keep coming.
    """
    if vip.persistence.mode == "http-cookie":
        keep_cookies_off(haproxy, vip, server, off=True)
    if not has_table(vip):
        return 0
    ident = haproxy.id_of(vip.label, server)
    named = haproxy.runtime.count_entries(vip.label, server_id=ident)
    deadline, quiet = monotonic() + _GIVES_UP, 0
    while True:
        coming = _on_the_way(haproxy, vip, server)
        left = haproxy.runtime.count_entries(vip.label, server_id=ident)  # after it: who has arrived has written
        quiet = 0 if left or coming else quiet + 1
        if quiet == _QUIET or (not left and monotonic() > deadline):
            return named
        if monotonic() > deadline:
            raise NotDone(
                f"{left} entries of table {vip.label} name {server} again and again. Who connects there? "
                f"lbkit why {vip.label}"
            )
        if left:
            haproxy.runtime.clear_table(vip.label, server_id=ident)
        else:
            sleep(_POLL)


def wait_for_those_on_the_way(haproxy: Haproxy, vip: Vip) -> bool:
    """Until whoever is just being connected to a real server of the VIP has written his entry; whether there is anybody."""
    deadline = monotonic() + _GIVES_UP
    coming = those = _on_the_way(haproxy, vip)
    while coming and monotonic() < deadline:
        sleep(_POLL)
        coming = those & _on_the_way(haproxy, vip)
    return bool(those)


def _on_the_way(haproxy: Haproxy, vip: Vip, server: str | None = None) -> set[tuple[str, str]]:
    found = haproxy.runtime.sessions(backend=vip.label, server=server)
    return {(one.ident, one.source) for one in found if one.server and not one.connected}


def keep_cookies_off(haproxy: Haproxy, vip: Vip, server: str, *, off: bool) -> bool:
    """Whether cookies that name this server count no more (`off`), or count again; whether that was to be changed."""
    if vip.persistence.mode != "http-cookie":
        return False
    moved = moved_file(vip.label)
    is_off = server in haproxy.runtime.acl_entries(moved)
    if off and not is_off:
        haproxy.runtime.acl_add(moved, server)
    elif is_off and not off:
        haproxy.runtime.acl_delete(moved, server)
    return is_off != off
