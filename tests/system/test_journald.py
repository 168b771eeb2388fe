"""What lbkit tells the journal, as systemd's own takes it and reads it back: systemd-journald in a /run of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from interop.remotes import REQUIRE, program

_JOURNALD = Path("/lib/systemd/systemd-journald")
_OWN_RUN = """\
mount -t tmpfs none /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\n' >/run/systemd/journald.conf.d/ours.conf
exec "$@"
"""
_TELLS = """\
import json, logging, shutil, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path
from lbkit.state.events import Event
from lbkit.state.journal import EVENT, Journal, is_there

def kept(*how):
    return subprocess.run(["journalctl", "-t", "lbkit", "--all", *how], capture_output=True, text=True, check=False).stdout

@contextmanager
def journald(last):
    ran = subprocess.Popen([sys.argv[1]])
    while not Path("/run/systemd/journal/stdout").exists():
        time.sleep(0.01)
    try:
        yield
        deadline = time.monotonic() + 40
        while last not in kept("-n", "1"):
            assert time.monotonic() < deadline, kept("-n", "3")
            time.sleep(0.05)
    finally:
        ran.kill()  # as a crash; what it has written lies in /run
        ran.wait()
        shutil.rmtree("/run/systemd/journal")

assert not is_there()
handler, log = Journal(waits=20.0), logging.Logger("lbkit")
log.addHandler(handler)
with journald("999 of many"):
    assert is_there()
    event = Event("vip-down", "WEB is down", vip="WEB", step="connect", reason="refused",
                  why="one\\ntwo\\nLBKIT_VIP=forged")
    log.info("%s", event.text, extra={EVENT: event})
    log.error("two\\nlines of caf\\u00e9")
    names = "vip", "server", "address", "step", "reason", "who", "why", "origin", "node"
    texts = dict.fromkeys(names, "\\U0001f600" * 2000)
    log.info("\\U0001f600" * (1 << 20), extra={EVENT: Event("test", "x", **texts)})
    for number in range(1000):
        log.info("%d of many", number)
log.info("while it is away")
with journald("when it is back"):
    log.info("when it is back")
print(kept("-o", "json"))
"""


def test_the_journal_has_every_record_with_its_fields_as_they_were_given() -> None:
    program("journalctl", "systemd")
    unshare = [shutil.which("unshare") or "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() or not _JOURNALD.exists() or subprocess.run([*unshare, "true"], check=False).returncode:
        missing = f"{_JOURNALD} in namespaces of its own wants root, and the Debian package systemd"
        pytest.fail(missing) if os.environ.get(REQUIRE) == "1" else pytest.skip(reason=missing)
    command = [*unshare, "sh", "-ec", _OWN_RUN, "sh", sys.executable, "-c", _TELLS, str(_JOURNALD)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    down, lines, huge, *many, away, back = map(json.loads, ran.stdout.strip().splitlines())
    assert [down[name] for name in ("MESSAGE", "PRIORITY", "LBKIT_KIND")] == ["WEB is down", "2", "vip-down"]
    assert (down["LBKIT_VIP"], down["LBKIT_WHY"]) == ("WEB", "one\ntwo\nLBKIT_VIP=forged")
    assert (lines["MESSAGE"], lines["PRIORITY"]) == ("two\nlines of café", "3")
    assert huge["MESSAGE"].startswith("😀" * 10_000)
    assert huge["LBKIT_ORIGIN"] == "😀" * 2000
    assert [one["MESSAGE"] for one in many] == [f"{number} of many" for number in range(1000)]
    assert (away["MESSAGE"], back["MESSAGE"]) == ("the journal has not taken 1 messages", "when it is back")
