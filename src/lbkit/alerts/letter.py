"""What a mail says: to somebody who was asleep, so what it is first, then since when and why, then what to type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from textwrap import fill
from typing import NamedTuple

from lbkit.alerts.headline import counted, headline, listed, name, worst_first
from lbkit.alerts.incident import Due, Incident
from lbkit.alerts.moments import lasted, local, moment
from lbkit.checks.conversation import printable
from lbkit.state.events import Event

_WIDTH = 72  # columns
_LISTED = 20  # incidents and places of a mail that are told in full
_COMMANDS = 6
_BEFORE = 300.0  # seconds before the first event in which its cause may lie
_SUBJECT = 180  # characters
_ONE_LINE = SMTP.clone(max_line_length=998)  # a header that begins with a fold has no subject for some
_LOOK: Mapping[str, str] = {
    "split-brain": "lbkit pair status",
    "failover": "lbkit pair status",
    "peer-lost": "lbkit pair status",
    "vip-down": "lbkit overview",
    "server-down": "lbkit overview",
    "configuration-rolled-back": "lbkit diff",
    "drift-found": "lbkit overview",
    "certificate-expiring": "lbkit certs",
}


class Letter(NamedTuple):
    """A mail. `ident`: what its Message-ID is made of. `references`: idents of the mails it belongs to."""

    subject: str
    body: str
    ident: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a letter says besides its incidents. `left`: of each VIP the real servers that serve, as far as is known.

    `peer`: the other node, "": there is none. `besides`: what else is not well.
    """

    site: str
    node: str
    version: str
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)
    peer: str = ""
    besides: Sequence[Incident] = ()


def letter_of(due: Due, scene: Scene) -> Letter:
    """What is said of these incidents."""
    is_end = due.what == "end"
    incidents = worst_first(due.incidents)
    shown = incidents[:_LISTED]
    said = [_ended(one) if is_end else "\n".join(_begun(one, scene, _LISTED // len(shown) + 1)) for one in shown]
    if more := [name(one, scene.peer) for one in incidents[_LISTED:]]:
        said.append(_paragraph(f"And {len(more)} more: {listed(counted(more))}."))
    if scene.besides and (is_end or any(one.kind == "failover" for one in incidents)):
        said.append(_paragraph(f"Also not well: {headline(scene.besides, False, scene.peer)}."))
    look = "\n".join(f"    {_one_line(one)}" for one in _commands(incidents, is_end))
    body = "\n\n".join([*said, f"To look further, on {scene.node}:\n{look}", signature(scene)])
    threads = tuple(one for one in _threads(incidents) if one != due.ident)
    return Letter(subject(scene.site, headline(incidents, is_end, scene.peer)), body + "\n", due.ident, threads)


def joined(mails: Sequence[tuple[float, str, str]], scene: Scene) -> Letter:
    """One for many that could not be sent: of each the moment, the subject and the ident."""
    lines = [_paragraph(f"{moment(when)}: {said}", "    ") for when, said, _ in mails]
    head = _paragraph(f"{len(mails)} mails could not be sent, and were too many to be kept. They were about:")
    look = f"To see all of it, on {scene.node}:\n    {_log_since(mails[0][0])}"
    body = "\n\n".join([head, "\n".join(lines), look, signature(scene)])
    return Letter(subject(scene.site, f"{len(mails)} mails in one"), body + "\n", f"{mails[0][2]}.joined")


def subject(site: str, headline: str) -> str:
    """One line, ASCII."""
    line = f"[lbkit {site}] {_one_line(headline)}".encode("ascii", "replace").decode()
    return line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 3]}..."


def signature(scene: Scene) -> str:
    """Who sends it."""
    return f"-- \nlbkit {scene.version} on {scene.node}, site {scene.site}"


def content(letter: Letter, sender: str, to: Iterable[str], when: float) -> str:
    """The mail as it goes over the wire (RFC 5322), in ASCII. `when`: seconds since the epoch."""
    message = EmailMessage(SMTP)
    domain = sender.rpartition("@")[2]
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(local(when))
    message["Message-ID"] = f"<{letter.ident}@{domain}>"
    if letter.references:
        message["References"] = " ".join(f"<{one}@{domain}>" for one in letter.references)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    message.set_content(letter.body, cte="7bit" if letter.body.isascii() else "quoted-printable")
    return message.as_bytes(policy=_ONE_LINE).decode("ascii")


def _threads(incidents: Iterable[Incident]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.thread for one in incidents if one.thread))[:_LISTED]


def _begun(incident: Incident, scene: Scene, most: int) -> Iterator[str]:
    """`most`: places that are told in full."""
    events = list(incident.first.values())
    if incident.kind != "server-down":
        yield _paragraph(_sentence(events[0]))
        yield f"    {moment(events[0].when)}"
        if events[0].who:
            yield _paragraph(f"By {events[0].who}{f': {events[0].why}' if events[0].why else ''}", "    ")
        yield from _comes_and_goes(incident)
        return
    since = min(one.when for one in events)
    where = events[0].vip if len(events) == 1 else f"{len(events)} VIPs"
    yield _paragraph(f"{events[0].server} ({events[0].address}) is down in {where}.")
    yield f"    since {moment(since)}"
    yield from _comes_and_goes(incident)
    for alike in _alike(events[:most]):
        yield ""
        yield _paragraph(_sentence(alike[0]), "  ")
        if alike[0].step:
            yield _paragraph(f"step {alike[0].step}, reason {alike[0].reason or 'unknown'}", "    ")
        for event in alike:
            yield _paragraph(f"left in {event.vip}: {', '.join(scene.left.get(event.vip, ())) or 'nobody'}", "    ")
    if more := [event.vip for event in events[most:]]:
        yield ""
        yield _paragraph(f"And in {listed(more)}.", "  ")


def _alike(events: Iterable[Event]) -> Iterable[list[Event]]:
    """Those that went for the same reason are told together."""
    found: dict[tuple[str, ...], list[Event]] = {}
    for event in events:
        how = (event.server, event.step, event.reason)
        found.setdefault(how if event.step else (*how, event.vip), []).append(event)
    return found.values()


def _comes_and_goes(incident: Incident) -> Iterator[str]:
    if incident.again:
        text = f"It comes and goes, {incident.again + 1} times by now: its end is told once it has been well for"
        yield _paragraph(f"{text} {lasted(incident.calm)}.", "    ")


def _ended(incident: Incident) -> str:
    events = list(incident.first.values())
    since = min(one.when for one in events)
    well = incident.back or since
    head = {
        "server-down": f"{events[0].server} ({events[0].address}) is up again",
        "vip-down": f"{events[0].vip} is served again",
        "peer-lost": "The other node could take the VIPs over again",
        "split-brain": "The split brain is over",
        "drift-found": f"{incident.subject.partition(' ')[2]} is as it should be again",
    }[incident.kind]
    vips = [event.vip for event in events if event.server]
    where = f" in {listed(vips)}" if vips else ""
    lines = [f"    from  {moment(since)}", f"    to    {moment(well)}, {lasted(well - since)}"]
    if incident.times > 1:
        lines.append(f"    It came and went {incident.times} times.")
    return "\n".join([_paragraph(f"{head}{where}."), *lines])


def _commands(incidents: Sequence[Incident], is_end: bool) -> list[str]:
    found = dict.fromkeys(_LOOK[one.kind] for one in incidents if one.kind in _LOOK)
    if not is_end:
        events = [event for one in incidents if one.kind in _DOWN_KINDS for event in one.first.values()]
        found |= dict.fromkeys(" ".join(filter(None, ("lbkit why", one.vip, one.server))) for one in events)
    begun = min(event.when for one in incidents for event in one.first.values())
    return [*list(found)[: _COMMANDS - 1], _log_since(begun)]


def _log_since(when: float) -> str:
    """Whenever it is typed."""
    return f"lbkit log --since {local(max(0.0, when - _BEFORE)):%Y-%m-%dT%H:%M}"


_DOWN_KINDS = frozenset({"vip-down", "server-down"})


def _sentence(event: Event) -> str:
    return event.text or f"{event.about}: {event.kind}"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _paragraph(text: str, indent: str = "") -> str:
    line = _one_line(text)
    return fill(
        line,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
