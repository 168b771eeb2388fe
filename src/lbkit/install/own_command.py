"""Where the command `lbkit` is, for what other programs are to start: sshd, snmpd."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lbkit.errors import CannotRun


def own_command() -> Path:
    """Its absolute path: that of this installation, else the one in PATH. Raises CannotRun where there is none."""
    beside = Path(sys.executable).with_name("lbkit")
    found = beside if beside.exists() else shutil.which("lbkit")
    if found is None:
        raise CannotRun("the command lbkit is not installed beside this Python, nor in PATH. Install lbkit-cli.")
    return Path(found).absolute()
