"""Times as people say them."""

from __future__ import annotations

from datetime import datetime


def moment(when: float) -> str:
    """Local time, with its zone."""
    return f"{local(when):%a %Y-%m-%d %H:%M:%S %Z}"


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


def local(when: float) -> datetime:
    """Of this machine's zone."""
    return datetime.fromtimestamp(when).astimezone()
