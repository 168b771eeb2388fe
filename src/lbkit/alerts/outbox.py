"""Mails that are not away yet: kept in order, tried later and later, joined where they are too many."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any, NamedTuple

from lbkit.alerts.smtp import Carrier, Outcome

MOST = 500  # mails
GIVEN_UP = 3 * 86_400.0  # seconds after which a mail is
_FIRST, _LONGEST = 10.0, 1800.0  # seconds until it is tried again
_ROUND = 30.0  # seconds after which no other mail is begun


@dataclass(slots=True)
class Waiting:
    """A mail. `to`: those who do not have it yet. `content`: all of it, as it is sent. `why`: what kept it the last time.

    `made`, `due`: seconds since the epoch. `alone`: a server may have it, so that it is tried in its own time.
    """

    ident: str
    subject: str
    sender: str
    to: tuple[str, ...]
    content: str
    made: float
    due: float
    tries: int = 0
    why: str = ""
    alone: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Waiting:
        """What `as_dict` gave. Raises TypeError, KeyError for anything else."""
        return cls(**{**values, "to": tuple(values["to"])})


class Lost(NamedTuple):
    """A mail that some never get, and why."""

    mail: Waiting
    why: str


class Outbox:
    """`join`: makes one mail of many. `clock`: seconds since the epoch."""

    def __init__(self, join: Callable[[Sequence[Waiting]], Waiting], clock: Callable[[], float] = time.time) -> None:
        self._join = join
        self._clock = clock
        self._waiting: list[Waiting] = []  # the oldest first
        self._refused: dict[str, str] = {}  # by recipient, until one goes there
        self.revision = 0  # counts up with every change

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting)

    def add(self, mail: Waiting) -> None:
        """Behind all others. Where they are too many, the oldest to the same recipients become one."""
        self.revision += 1
        self._waiting.append(mail)
        while len(self._waiting) > MOST:
            (whose, number), *_ = Counter(one.to for one in self._waiting).most_common(1)
            oldest = [one for one in self._waiting if one.to == whose][: max(1, number // 2)]
            gone = {id(one) for one in oldest}
            rest = [one for one in self._waiting if id(one) not in gone]
            self._waiting = [self._join(oldest), *rest] if number > 1 else rest

    @property
    def next(self) -> float:
        """When one is to be tried; infinite: there is none."""
        return min((one.due for one in self._waiting), default=inf)

    @property
    def trouble(self) -> str:
        """What keeps mail from going out, in words; "": nothing."""
        late = [one for one in self._waiting if one.why]
        if late:
            return f"{len(late)} mail{'s' * (len(late) > 1)} can't be sent yet: {late[0].why}"
        return next((f"mail to {who} is refused: {why}" for who, why in self._refused.items()), "")

    def send(self, carrier: Carrier, keep: Callable[[], None]) -> list[Lost]:
        """Try those that are due, and all that hang on the same server, in order. `keep`: called when one is away.

        Returns those that are given up. Blocks while mail servers are waited for.
        """
        ways = set[str]().union(*(carrier.ways(one.to) for one in self._waiting if self._is_due(one)))
        lost: list[Lost] = []
        until = time.monotonic() + _ROUND
        for mail in [
            one for one in self._waiting if self._is_due(one) or (carrier.ways(one.to) & ways and not one.alone)
        ]:
            if time.monotonic() >= until:
                break
            outcome = carrier.send(mail.sender, mail.to, mail.content)
            lost += self._settle(mail, outcome)
            if outcome.taken:
                keep()
        return lost

    def _is_due(self, mail: Waiting) -> bool:
        """Or the clock was set back."""
        now = self._clock()
        return mail.due <= now or mail.due > now + 2 * _LONGEST

    def _settle(self, mail: Waiting, outcome: Outcome) -> Iterator[Lost]:
        self.revision += 1
        for who in outcome.taken:
            self._refused.pop(who, None)
        self._refused |= outcome.refused
        if outcome.refused:
            yield Lost(mail, "; ".join(f"{who}: {why}" for who, why in outcome.refused.items()))
        mail.to = tuple(who for who in mail.to if who in outcome.later)
        mail.why = next(iter(outcome.later.values()), "")
        mail.alone = outcome.unanswered
        if mail.to and self._clock() - mail.made > GIVEN_UP:
            yield Lost(mail, mail.why)
            mail.to = ()
        if not mail.to:
            self._waiting.remove(mail)
            return
        pause = min(_LONGEST, _FIRST * 2.0 ** min(mail.tries, 30))
        mail.tries += 1
        mail.due = self._clock() + pause * random.uniform(0.75, 1.25)  # noqa: S311  so that not all come at once
