"""What a mail says: to somebody who was asleep, so what it is first, then since when and why, then what to type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from textwrap import fill
from typing import NamedTuple

from lbkit.alerts.incident import Due, Incident
from lbkit.checks.conversation import printable
from lbkit.state.events import Event

_WIDTH = 72  # columns
_NAMED = 3  # names of a subject
_LISTED = 20  # incidents of a mail, and places of an incident
_COMMANDS = 6
_JOINED = 100  # mails in one
_SUBJECT = 180  # characters
_SPLIT = ("SPLIT BRAIN", "SPLIT BRAIN over")
_DOWN = ("DOWN", "UP again")
_HEADLINES: Mapping[str, tuple[str, str]] = {  # of a beginning and of an end, the worst first
    "split-brain": _SPLIT,
    "failover": ("FAILOVER", ""),
    "peer-lost": ("PEER LOST", "PEER FOUND"),
    "vip-down": _DOWN,
    "server-down": _DOWN,
    "configuration-rolled-back": ("ROLLED BACK", ""),
    "drift-found": ("DRIFT", "DRIFT repaired"),
    "certificate-expiring": ("CERTIFICATE", ""),
    "events-lost": ("EVENTS LOST", ""),
    "test": ("TEST", ""),
}
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

    `peer`: the other node, "": there is none.
    """

    site: str
    node: str
    version: str
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)
    peer: str = ""


def letter_of(due: Due, scene: Scene) -> Letter:
    """What is said of these incidents."""
    is_end = due.what == "end"
    incidents = sorted(due.incidents, key=lambda one: list(_HEADLINES).index(one.kind))
    said = [_ended(one) if is_end else "\n".join(_begun(one, scene)) for one in incidents[:_LISTED]]
    if len(incidents) > _LISTED:
        said.append(f"And {len(incidents) - _LISTED} more of the kind.")
    look = "\n".join(f"    {_one_line(one)}" for one in _commands(incidents, is_end))
    body = "\n\n".join([*said, f"To look further, on {scene.node}:\n{look}", signature(scene)])
    return Letter(subject(scene.site, _headline(incidents, is_end, scene)), body + "\n", due.ident, _threads(incidents))


def joined(mails: Sequence[tuple[float, str, str]], scene: Scene) -> Letter:
    """One for many that could not be sent: of each the moment, the subject and the ident."""
    lines = [_paragraph(f"{moment(when)}: {said}", "    ") for when, said, _ in mails[:_JOINED]]
    if len(mails) > _JOINED:
        lines.append(f"    and {len(mails) - _JOINED} more")
    head = _paragraph(f"{len(mails)} mails could not be sent, and were too many to be kept. They were about:")
    look = f"To see all of it, on {scene.node}:\n    lbkit log"
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
    message["Date"] = format_datetime(_local(when))
    message["Message-ID"] = f"<{letter.ident}@{domain}>"
    if letter.references:
        message["References"] = " ".join(f"<{one}@{domain}>" for one in letter.references)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    message.set_content(letter.body, cte="7bit" if letter.body.isascii() else "quoted-printable")
    return message.as_bytes().decode("ascii")


def _threads(incidents: Iterable[Incident]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.thread for one in incidents if one.thread))[:_LISTED]


# --- the subject ---


def _headline(incidents: Sequence[Incident], is_end: bool, scene: Scene) -> str:
    names: dict[str, list[str]] = {}
    for one in incidents:
        names.setdefault(_HEADLINES[one.kind][is_end], []).append(_name(one, scene))
    parts = [f"{word}: {_some(of_word)}" for word, of_word in names.items()]
    if is_end:
        begun = min(event.when for one in incidents for event in one.first.values())
        well = max(one.back or begun for one in incidents)
        word, colon, rest = parts[0].partition(":")
        parts[0] = f"{word} after {lasted(well - begun)}{colon}{rest}"
    return "; ".join(parts)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _name(incident: Incident, scene: Scene) -> str:
    event = next(iter(incident.first.values()))
    match incident.kind:
        case "server-down":
            where = event.vip if len(incident.first) == 1 else f"{len(incident.first)} VIPs"
            return f"{event.server} ({where})"
        case "vip-down":
            return f"VIP {event.vip}"
        case "failover":
            return f"{event.node} {'has' if event.details.get('to') == 'master' else 'no longer has'} the VIPs"
        case "peer-lost":
            return scene.peer or f"seen by {event.node}"
        case "split-brain" | "events-lost":
            return f"seen by {event.node}"
        case "drift-found":
            return str(event.details.get("engine", event.node))
        case "certificate-expiring":
            return f"{event.details.get('name', event.node)}, {event.details.get('days', '?')} days left"
        case "configuration-rolled-back":
            return f"configuration of {event.node}"
    return f"mail of {event.node} arrives"


# --- the body ---


def _begun(incident: Incident, scene: Scene) -> Iterator[str]:
    events = list(incident.first.values())
    if incident.kind != "server-down":
        yield _paragraph(_sentence(events[0]))
        yield f"    {moment(events[0].when)}"
        if events[0].who:
            yield _paragraph(f"By {events[0].who}{f': {events[0].why}' if events[0].why else ''}", "    ")
        return
    since = min(one.when for one in events)
    where = events[0].vip if len(events) == 1 else f"{len(events)} VIPs"
    yield _paragraph(f"{events[0].server} ({events[0].address}) is down in {where}.")
    yield f"    since {moment(since)}"
    for event in events[:_LISTED]:
        yield ""
        yield _paragraph(_sentence(event), "  ")
        if event.step:
            yield _paragraph(f"step {event.step}, reason {event.reason or 'unknown'}", "    ")
        yield _paragraph(f"left in {event.vip}: {', '.join(scene.left.get(event.vip, ())) or 'nobody'}", "    ")
    if len(events) > _LISTED:
        yield f"\n  And in {len(events) - _LISTED} more VIPs."


def _ended(incident: Incident) -> str:
    events = list(incident.first.values())
    since = min(one.when for one in events)
    well = incident.back or since
    head = {
        "server-down": f"{events[0].server} ({events[0].address}) is up again",
        "vip-down": f"{events[0].vip} is served again",
        "peer-lost": "The nodes of the pair see each other again",
        "split-brain": "The split brain is over",
        "drift-found": f"{incident.subject.partition(' ')[2]} is as it should be again",
    }[incident.kind]
    vips = [event.vip for event in events if event.server]
    where = f" in {', '.join(vips[:_LISTED])}{' and others' if len(vips) > _LISTED else ''}" if vips else ""
    lines = [f"    from  {moment(since)}", f"    to    {moment(well)}, {lasted(well - since)}"]
    return "\n".join([_paragraph(f"{head}{where}."), *lines])


def _commands(incidents: Sequence[Incident], is_end: bool) -> list[str]:
    found = dict.fromkeys(_LOOK[one.kind] for one in incidents if one.kind in _LOOK)
    if not is_end:
        events = [event for one in incidents if one.kind in _DOWN_KINDS for event in one.first.values()]
        found |= dict.fromkeys(" ".join(filter(None, ("lbkit why", one.vip, one.server))) for one in events)
    return [*list(found)[: _COMMANDS - 1], "lbkit log --since 1h"]


_DOWN_KINDS = frozenset({"vip-down", "server-down"})


def moment(when: float) -> str:
    """Local time, with its zone."""
    return f"{_local(when):%a %Y-%m-%d %H:%M:%S %Z}"


def lasted(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _local(when: float) -> datetime:
    return datetime.fromtimestamp(when).astimezone()


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
