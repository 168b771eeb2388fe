"""What lbkit tells systemd's journal: commands of their own, and a socket of the journal's protocol where it has its own.

systemd itself is not here: the socket lies in a /run of these processes alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.operated import Named, Operated, operated, three_vips
from interop.remotes import REQUIRE

LBKIT = Path(sys.executable).parent / "lbkit"
_OWN_RUN = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec "
_JOURNALD = """\
import json, os, socket, subprocess, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
with open(sys.argv[1], "w") as stderr:
    found = os.fstat(stderr.fileno())
    stream = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"} if sys.argv[2] == "service" else {}
    ran = subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **stream})
    journal.settimeout(20)
    first = journal.recv(1 << 20).decode() if sys.argv[2] == "service" else ""
    if first:
        ran.terminate()
    stdout, _ = ran.communicate(timeout=30)
journal.setblocking(False)
said = [first] if first else []
try:
    while True:
        said.append(journal.recv(1 << 20).decode())
except BlockingIOError:
    print(json.dumps({"code": ran.returncode, "stdout": stdout, "journal": said}))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    one, two = Named("one"), Named("two")
    with operated(tmp_path_factory.mktemp("site"), *three_vips(one, two), servers={"one": one, "two": two}) as made:
        yield made


def beside_a_journal(folder: Path, kind: str, running: Operated, *arguments: str) -> tuple[dict[str, object], str]:
    """What became of the command, what the journal was told, and what the command said on stderr."""
    unshare = [shutil.which("unshare") or "unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*unshare, "sh", "-c", _OWN_RUN + "true"], capture_output=True, check=False).returncode:
        missing = "this machine lets nobody have a /run of his own (unshare --mount)"
        pytest.fail(missing) if os.environ.get(REQUIRE) == "1" else pytest.skip(reason=missing)
    stderr = folder / "stderr"
    ran = subprocess.run(
        [*unshare, "sh", "-c", f'{_OWN_RUN}"$@"', "sh", sys.executable, "-c", _JOURNALD, stderr, kind, LBKIT, *arguments],
        capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "LBKIT_SITE": str(running.file), "LBKIT_STATE": str(running.state)},
    )  # fmt: skip
    return json.loads(ran.stdout), stderr.read_text()


def fields(datagram: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in datagram.splitlines())


def test_a_verb_is_in_the_journal_with_the_fields_of_its_event(running: Operated, tmp_path: Path) -> None:
    found, stderr = beside_a_journal(tmp_path, "verb", running, "drain", "NONE", "one", "--reason", "Windows updates")
    assert (found["code"], stderr) == (0, "")
    [said] = map(fields, found["journal"])  # type: ignore[arg-type]
    assert said["LBKIT_KIND"] == "intent-set"
    assert (said["LBKIT_VIP"], said["LBKIT_SERVER"], said["LBKIT_WHY"]) == ("NONE", "one", "Windows updates")
    assert (said["PRIORITY"], said["SYSLOG_IDENTIFIER"]) == ("6", "lbkit")
    assert said["LBKIT_WHO"].endswith(f"@{os.uname().nodename}")
    written = (running.state / "events" / "00000001.jsonl").read_text().splitlines()[-1]
    assert said["LBKIT_EVENT"] == json.loads(written)["ident"]
    assert said["MESSAGE"] == json.loads(written)["text"]


def test_an_event_that_can_t_be_written_down_is_told_the_operator_and_the_journal(
    running: Operated, tmp_path: Path
) -> None:
    kept = running.state / "events"
    kept.rename(running.state / "aside")
    kept.write_text("no folder")
    try:
        found, stderr = beside_a_journal(tmp_path, "verb", running, "online", "NONE", "one")
    finally:
        kept.unlink()
        (running.state / "aside").rename(kept)
    assert stderr.startswith("not in the log of events: ")
    [said] = map(fields, found["journal"])  # type: ignore[arg-type]
    assert said["MESSAGE"].startswith("not in the log of events: ")


def test_the_agent_writes_to_the_journal_what_it_would_write_on_stderr(running: Operated, tmp_path: Path) -> None:
    site = running.file.with_name("with-agent.toml")
    site.write_text(f'{running.file.read_text()}\n[agent]\nsocket = "{tmp_path}/agent.sock"\n')
    found, stderr = beside_a_journal(tmp_path, "service", running, "agent", "--observe", "--site", str(site))
    assert stderr == ""
    said = [fields(one) for one in found["journal"]]  # type: ignore[attr-defined]
    assert {"MESSAGE": "test: 0 checks; the agent observes", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "lbkit"} in said
