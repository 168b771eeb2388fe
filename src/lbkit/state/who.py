"""Who asks: the name that goes beside an intent. It says whom to call, and proves nothing."""

from __future__ import annotations

import os
import pwd


def who_asks() -> str:
    """`anna@lb1`: the user who called sudo, else the user of this process (its number where it has no name)."""
    return f"{os.environ.get('SUDO_USER') or _own_name()}@{os.uname().nodename}"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
