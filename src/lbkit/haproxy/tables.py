"""Stick tables: what is in them, and how an entry comes in and goes out (management guide, 9.3)."""

from __future__ import annotations

from ipaddress import ip_address

from lbkit.errors import EngineError, Misuse, NotDone, NotThere
from lbkit.haproxy import entries
from lbkit.haproxy.entries import Entry, TableInfo
from lbkit.haproxy.requests import Requests
from lbkit.haproxy.wording import key as quoted
from lbkit.haproxy.wording import name as named

ATTEMPTS = 5  # connections may bring an entry in between one command and the next


class Tables(Requests):
    """Reading wants level operator, and so does writing. Tables are this node's alone: peers get entries, not clears."""

    def tables(self) -> list[TableInfo]:
        """Every table, and how full it is."""
        return entries.tables(self.ask("show table"))

    def table(self, name: str, *, key: str | None = None, server_id: int | None = None) -> list[Entry]:
        """The entries of a table: all, the one of a key, or those of a server; HAProxy itself looks for them."""
        chosen = _chosen(name, key, server_id)
        if key is not None:
            self._is_key(name, key)
        return entries.entries(self.stream(f"show table{chosen}"))

    def count_entries(self, name: str, *, server_id: int | None = None) -> int:
        """How many entries; all of them are counted by HAProxy, those of a server here."""
        if server_id is None:
            return self._info(name).used
        return entries.count(self.stream("show table" + _chosen(name, None, server_id)))

    def clear_table(self, name: str, *, key: str | None = None, server_id: int | None = None) -> None:
        """Take out all entries, the one of a key, or those of a server; raises NotDone where one is still there after it.

        HAProxy is asked to clear and to show in one line. What it shows then is either left over, or came anew with a
        connection in between: an entry that is there after each of five clears, and has not been given a new life by a
        connection (its expiry has not been put off), is left over.
        """
        chosen = _chosen(name, key, server_id)
        if key is not None:
            self._is_key(name, key)
        suspects: dict[str, Entry] | None = None
        for _ in range(ATTEMPTS):
            nothing, shown = self.ask_all([f"clear table{chosen}", f"show table{chosen}"])
            if nothing:
                raise EngineError(f"{self.where}: table {name} can't be cleared: {nothing}. Try again.")
            there = {one.key: one for one in entries.entries([f"{shown}\n\n".encode() if shown else b"\n"])}
            suspects = {
                left: one
                for left, one in there.items()
                if suspects is None or (left in suspects and not _renewed(suspects[left], one))
            }
            if not suspects:
                return
        raise NotDone(
            f"{self.where}: table {name} was cleared, and still has {len(suspects or ())} of the entries, such as "
            f"{next(iter(suspects or ()), '')!r}. Connections may hold them: end these sessions, and clear it again."
        )

    def set_entry(self, name: str, key: str, server_id: int) -> None:
        """Send a key to a server. An entry that is there is taken out first: HAProxy changes no server_id.

        Raises NotDone where the entry says otherwise afterwards.
        """
        self._is_key(name, key)
        chosen = _chosen(name, key, None)
        entry = f"set table{chosen} data.server_id {int(server_id)}"
        shown = ""
        for _ in range(ATTEMPTS):
            *nothing, shown = self.ask_all([f"clear table{chosen}", entry, f"show table{chosen}"])
            if any(nothing):
                raise EngineError(f"{self.where}: table {name} does not take {key!r}: {' '.join(nothing).strip()}")
            found = entries.entries([f"{shown}\n\n".encode() if shown else b"\n"])
            if [(one.key, one.server_id) for one in found] == [(_canonical(key), server_id)]:
                return
        raise NotDone(
            f"{self.where}: table {name} was told that {key!r} goes to server {server_id}, and has "
            f"{shown.partition(chr(10))[2] or 'no such entry'!r}. Connections bring the old one back, or the table is full, "
            "or its keys are shorter than this one: drain the other servers first."
        )

    def _info(self, name: str) -> TableInfo:
        named(name, "table")
        for one in self.tables():
            if one.name == name:
                return one
        raise NotThere(f"{self.where} has no table {name}. Check the name; VIPs without persistence have none.")

    def _is_key(self, name: str, key: str) -> None:
        """HAProxy 2.6 reads any text that is no address as 0.0.0.0, and says nothing."""
        kind = self._info(name).kind
        try:
            if kind == "ip" and ip_address(key).version != 4:
                raise ValueError
            if kind == "ipv6":
                ip_address(key)
            if kind == "integer":
                int(key)
        except ValueError:
            raise Misuse(f"{key!r} can't be a key of table {name}, which has type {kind}. Give one.") from None


def _chosen(name: str, key: str | None, server_id: int | None) -> str:
    """What is behind `show table`. HAProxy ignores a filter beside a key, so that both would clear too much."""
    if key is not None and server_id is not None:
        raise Misuse(f"table {name}: a key and a server can't be asked for at once. Give one of them.")
    chosen = f" {named(name, 'table')}"
    if key is not None:
        return f"{chosen} key {quoted(key)}"
    return chosen if server_id is None else f"{chosen} data.server_id eq {int(server_id)}"


def _renewed(before: Entry, now: Entry) -> bool:
    """Whether the entry of now is another one than that of before: its life began anew, or it is another server's."""
    if before.server_id != now.server_id:
        return True
    return None not in (before.expires_in, now.expires_in) and (now.expires_in or 0) >= (before.expires_in or 0)


def _canonical(key: str) -> str:
    try:
        return str(ip_address(key))
    except ValueError:
        return key
