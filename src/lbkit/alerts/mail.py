"""The receiver of events that sends mail. What it knows and what it still has to send is one file, written in one step."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from math import inf
from pathlib import Path

from lbkit import disk
from lbkit.alerts.incident import Due
from lbkit.alerts.incidents import Incidents
from lbkit.alerts.letter import Letter, Scene, content, joined, letter_of
from lbkit.alerts.outbox import Outbox, Waiting
from lbkit.alerts.recipients import Routes
from lbkit.alerts.smtp import Carrier
from lbkit.errors import CannotRun, LbkitError, Misuse
from lbkit.site.model import Site
from lbkit.state.events import Event
from lbkit.state.folder import state_folder
from lbkit.state.intents import Intents
from lbkit.state.log import record
from lbkit.state.node import node_of, peer_of

VERSION = 1
_UNDELIVERED = "undelivered"  # a detail of the events about mail itself: a mail about those would go the same way

log = logging.getLogger("lbkit.alerts")


class Mail:
    """As `lbkit.state.receiver` has it. `state`: the state folder. `clock`: seconds since the epoch.

    Raises Misuse where the site has no [alerts]; CannotRun, Misuse where its file is out of reach.
    """

    name = "mail"
    at_once = 500

    def __init__(self, site: Site, state: Path | None, clock: Callable[[], float] = time.time) -> None:
        if site.alerts is None:
            raise Misuse(f"site {site.name} has no [alerts]. Add it.")
        self._site = site
        self._alerts = site.alerts
        self._state = state
        self._clock = clock
        self._path = state_folder(state) / "alerts.json"
        self._routes = Routes(site, site.alerts)
        self._incidents = Incidents(site.alerts.gather, self._routes)
        self._outbox = Outbox(self._join, clock)
        self._kept = (0, 0)
        self.trouble = ""
        self._read()

    def take(self, events: Sequence[Event], active: bool) -> float | None:
        """Take these, write down what is to be sent, then try to send it. Blocks while mail servers are waited for."""
        more = len(events) >= self.at_once
        worth = [one for one in events if _UNDELIVERED not in one.details]
        for due in self._incidents.take(worth, self._clock(), active, more):
            self._outbox.add(self._waiting(letter_of(due, self._scene(due)), *due.route))
        self._keep()
        lost = self._outbox.send(Carrier(self._alerts), self._keep)
        self.trouble = self._outbox.trouble
        self._keep()
        if lost:
            self._tell([(one.mail.subject, one.why) for one in lost])
        due_at = 0.0 if more else min(self._incidents.next, self._outbox.next)
        return None if due_at == inf else max(0.0, due_at - self._clock())

    def _tell(self, lost: Sequence[tuple[str, str]]) -> None:
        """Of mails that are given up; other receivers tell it on."""
        subject, why = lost[0]
        number = f"{len(lost)} mails are" if len(lost) > 1 else "A mail is"
        text = f"{number} given up: {subject[:200]} ({why[:500]})"
        log.warning("%s", text)
        record(Event("events-lost", text, details={_UNDELIVERED: len(lost)}), state=self._state)

    # --- letters ---

    def _scene(self, due: Due) -> Scene:
        vips = {event.vip for one in due.incidents for event in one.first.values()}
        out = self._incidents.down() | self._taken_out()
        left = {
            vip.label: [one.label for one in vip.servers if one.weight and (vip.label, one.label) not in out]
            for vip in self._site.vips
            if vip.label in vips
        }
        besides = self._incidents.besides(due)
        node, peer = self._nodes()
        return Scene(self._site.name, node, version("lbkit-core"), left, peer, besides)

    def _nodes(self) -> tuple[str, str]:
        """This one and the other one, "": there is none."""
        try:
            node, peer = node_of(self._site), peer_of(self._site)
        except Misuse:  # the letter goes out without that
            node = peer = None
        return node.name if node else socket.gethostname(), peer.name if peer else ""

    def _taken_out(self) -> set[tuple[str, str]]:
        """By operators."""
        try:
            return {(one.vip, one.server) for one in Intents(self._state).all() if one.wanted != "online"}
        except LbkitError:  # the letter goes out without that
            return set()

    def _waiting(self, letter: Letter, sender: str, to: tuple[str, ...]) -> Waiting:
        now = self._clock()
        return Waiting(letter.ident, letter.subject, sender, to, content(letter, sender, to, now), now, now)

    def _join(self, mails: Sequence[Waiting]) -> Waiting:
        scene = Scene(self._site.name, self._nodes()[0], version("lbkit-core"))
        letter = joined([(mail.made, mail.subject, mail.ident) for mail in mails], scene)
        one = self._waiting(letter, mails[0].sender, mails[0].to)
        one.made = mails[-1].made
        return one

    # --- its file ---

    def _read(self) -> None:
        raw = disk.read(self._path)
        if raw is None:
            return
        try:
            head, *rest = json.loads(raw)
            if head["version"] != VERSION:
                raise ValueError(head["version"])
            number = head["incidents"]
            values = {**head, "incidents": rest[:number]}
            self._incidents = Incidents.of(values, self._alerts.gather, self._routes)
            for mail in map(Waiting.of, rest[number:]):
                self._readdress(mail)
                self._outbox.add(mail)
        except (LbkitError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            aside = self._path.with_name("alerts.json.broken")
            os.replace(self._path, aside)
            self._incidents = Incidents(self._alerts.gather, self._routes)
            self._outbox = Outbox(self._join, self._clock)
            text = (
                f"{self._path} is not what this lbkit writes. It is put aside as {aside}: the mails in it are not sent."
            )
            record(Event("events-lost", text), state=self._state)

    def _readdress(self, mail: Waiting) -> None:
        """An address that the site does not have any more was corrected, since the mail could not go there."""
        routes = self._routes.all
        known = {who for route in routes for who in route.to}
        mail.to = tuple(who for who in mail.to if who in known) or self._alerts.to
        if mail.sender not in {route.sender for route in routes}:
            sender = self._alerts.sender
            mail.content = mail.content.replace(f"From: {mail.sender}", f"From: {sender}", 1)
            mail.sender = sender

    def _keep(self) -> None:
        """Write it where anything but the time has changed."""
        revision = self._incidents.revision, self._outbox.revision
        if revision == self._kept:
            return
        head = self._incidents.as_dict()
        incidents = head.pop("incidents")
        rows = [{"version": VERSION, "incidents": len(incidents), **head}, *incidents]
        # each by itself: no other thread runs meanwhile
        whole = ",\n".join([json.dumps(one) for one in (*rows, *(mail.as_dict() for mail in self._outbox))])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            disk.write(self._path, f"[\n{whole}\n]\n".encode(), 0o600)
        except OSError as e:
            advice = disk.way_out(e, "Run this as root.")
            raise CannotRun(f"{self._path} can't be written: {e.strerror}. {advice}") from None
        self._kept = revision
