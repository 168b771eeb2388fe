"""What has changed of the pair since it was told last, as events. No clock and no I/O: all there is are ages."""

from __future__ import annotations

from collections.abc import Iterator

from lbkit.agent.lately import is_fit
from lbkit.agent.picture import Picture
from lbkit.agent.seen import Seen
from lbkit.agent.worded import event
from lbkit.site.model import Site
from lbkit.state.events import Event
from lbkit.state.pair import IN_MAINTENANCE, PairSeen, PeerSeen, Role

LOST = 5.0  # seconds without a sign of life
_TABLES = 8.0  # seconds of the same that HAProxy needs to see that the other one is gone
_ADVERTS = 3  # adverts that a backup waits for
_SETTLES = 1.0  # seconds that a role must last
_WORD_WITHIN = 3.0  # seconds that the other node's word on a change is waited for
_WITHOUT = 5.0  # seconds without keepalived that are more than its restart
_ALONE = ": it has the VIPs, and nobody could take them over"


def changes_of_pair(site: Site, before: Picture, seen: Seen) -> tuple[list[Event], Role | None, bool, bool]:
    """The events, then role, peer_lost and split_brain as a picture has them."""
    if site.pair is None:
        return [*_over(before)], None, False, False
    pair = seen.pair
    if pair is None:
        return [], before.role, before.peer_lost, before.split_brain
    other = next((node.name for node in site.pair.nodes if node.name != pair.node), "the other node")
    events: list[Event] = []
    role = _role(pair, before.role)
    if role != before.role and before.role is not None and "master" in (role, before.role):
        if _waits(pair, role, seen.settled):
            role = before.role
        else:
            events.append(_failover(seen, pair, before.role, role, other))
    limit = max(LOST, _ADVERTS * site.pair.advert_interval + 1)
    lost = seen.peer_unfit or _is_lost(pair, limit, before.peer_lost, seen.settled)
    if lost != before.peer_lost:
        how = _unfit if seen.peer_unfit else _lost if lost else _found
        events.append(how(pair, other))
    split = bool(pair.split_brain)
    if split and not before.split_brain:
        text = f"Split brain: both nodes hold themselves to be master, for {pair.split_brain}. lbkit pair status"
        events.append(event("split-brain", text, details={"role": pair.role}))
    elif before.split_brain and not split:
        text = f"The split brain is over: {pair.node} is {pair.role}, {other} is {pair.peer.role}."
        events.append(event("split-brain-ended", text, details={"role": pair.role}))
    return events, role, lost, split


def _over(before: Picture) -> Iterator[Event]:
    if before.peer_lost:
        yield event("peer-found", "The other node was lost, and the site has no pair any more.")
    if before.split_brain:
        yield event("split-brain-ended", "There was a split brain, and the site has no pair any more.")


# --- the role ---


def _role(pair: PairSeen, before: Role | None) -> Role | None:
    """Who has no keepalived has no role, once that is more than its restart."""
    if pair.role != "unknown":
        return pair.role
    return "unknown" if pair.keepalived != "running" and pair.since >= _WITHOUT and before is not None else before


def _waits(pair: PairSeen, role: Role | None, settled: bool) -> bool:
    """Whether more is known in a moment: what the other node says of it, or that it was a flicker."""
    age = pair.peer.answer_age
    if role == "unknown":
        return False
    if age is not None and age < pair.since:
        return pair.since < _SETTLES
    return pair.since < _WORD_WITHIN or (age is None and not settled)


def _failover(seen: Seen, pair: PairSeen, was: Role, role: Role | None, other: str) -> Event:
    reason, why = _why_here(pair, seen.preferred, other) if role == "master" else _why_away(pair, other)
    what = f"{pair.node} is master now, and has the VIPs" if role == "master" else f"{pair.node} is master no more"
    details = {"from": was, "to": role or "unknown"}
    return event("failover", f"{what}: {why}.", reason=reason, details=details)


def _why_here(pair: PairSeen, preferred: bool, other: str) -> tuple[str, str]:
    """The reason code, and the same in words."""
    peer = pair.peer
    if peer.answer_age is None or peer.answer_age >= pair.since:
        return "peer-silent", f"{other} has not answered since"
    if not peer.can_serve:
        return "peer-cannot-serve", f"{other} can't serve ({_why_not(peer)})"
    if preferred:
        return "preferred", "an operator prefers it"
    return "vrrp", f"keepalived has chosen it before {other}"


def _why_away(pair: PairSeen, other: str) -> tuple[str, str]:
    if pair.why_not:
        return "cannot-serve", f"it can't serve ({pair.why_not})"
    if pair.peer.role == "master":
        return "peer-has-taken-over", f"{other} is"
    return "vrrp", f"keepalived has made it {pair.role}"


# --- the other node ---


def _is_lost(pair: PairSeen, limit: float, before: bool, settled: bool) -> bool:
    """Whether it is silent on every way that is known; once lost it is that until it could take over, or has."""
    peer = pair.peer
    ages = ((peer.answer_age, limit), (peer.advert_age, limit), (peer.tables_age, max(limit, _TABLES)))
    if any(age is not None and age < most for age, most in ages):
        return before and pair.role != "backup" and not is_fit(peer)
    return before or (settled and peer.why_not != IN_MAINTENANCE)


def _lost(pair: PairSeen, other: str) -> Event:
    said = ", ".join(
        never if age is None else f"{last} {age:.0f} s ago"
        for last, never, age in (
            ("its agent answered", "its agent has never answered", pair.peer.answer_age),
            ("HAProxy heard it", "HAProxy has never heard it", pair.peer.tables_age),
            ("its last advert came", "no advert of it has come", pair.peer.advert_age),
        )
    )
    role = "" if pair.role == "unknown" else _ALONE if pair.role == "master" else f": it is {pair.role}"
    why = f" {pair.peer.trouble}" if pair.peer.trouble else ""
    return event("peer-lost", f"{other} is lost ({said}). {pair.node} is alone{role}.{why}")


def _unfit(pair: PairSeen, other: str) -> Event:
    peer = pair.peer
    if _is_heard(peer):
        text = f"{other} can't serve ({_why_not(peer)}). {pair.node} is alone{_ALONE}."
        return event("peer-lost", text, reason="cannot-serve")
    last = "has never answered" if peer.answer_age is None else f"answered {peer.answer_age:.0f} s ago"
    what = "whether it could take the VIPs over is not known, and what is asked here does not get there"
    text = f"{other} lives, but its agent {last}: {what}. {peer.trouble}".rstrip()
    return event("peer-lost", text, reason="agent-silent")


def _found(pair: PairSeen, other: str) -> Event:
    can = _is_heard(pair.peer) and pair.peer.can_serve
    return event("peer-found", f"{other} {'could take the VIPs over' if can else 'gives signs of life'} again.")


def _is_heard(peer: PeerSeen) -> bool:
    return peer.answer_age is not None and peer.answer_age < LOST


def _why_not(peer: PeerSeen) -> str:
    return peer.why_not or "it does not say why"
