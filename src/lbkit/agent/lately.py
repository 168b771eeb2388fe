"""What one look at the pair does not show: what an operator wished a moment ago, and since when the other node is unfit.

No clock: times are passed in.
"""

from __future__ import annotations

from lbkit.state.pair import IN_MAINTENANCE, PairSeen, PeerSeen

UNFIT = 30.0  # seconds that are more than a restart, and than a start
_FRESH = 5.0  # seconds that its last word counts
_BEFORE = 5.0  # seconds that the wish for a failover is older than the failover, at most


class Lately:
    """Of the pair, look by look."""

    def __init__(self) -> None:
        self._preferred: float | None = None
        self._unfit_since: float | None = None

    def look(self, pair: PairSeen | None, now: float) -> tuple[bool, bool]:
        """`preferred` and `peer_unfit` of `Seen`."""
        if pair is None:
            self._preferred = self._unfit_since = None
            return False, False
        if pair.tracked.get("prefer"):
            self._preferred = now
        if pair.role == "backup" or is_fit(pair.peer):
            self._unfit_since = None
        elif self._unfit_since is None and pair.role == "master" and pair.can_serve:
            self._unfit_since = now
        preferred = self._preferred is not None and now - self._preferred <= pair.since + _BEFORE
        return preferred, self._unfit_since is not None and now - self._unfit_since >= UNFIT


def is_fit(peer: PeerSeen) -> bool:
    """Whether its agent says that it could take the VIPs over; or said that an operator has taken it out."""
    heard = peer.answer_age is not None and peer.answer_age < _FRESH
    return (heard and peer.can_serve) or peer.why_not == IN_MAINTENANCE
