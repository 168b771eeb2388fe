"""A node that is made anew from a backup: the command line, and a real HAProxy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.applied import plain
from interop.applied import servers as servers
from interop.engines import haproxy_of
from interop.engines import short as short
from interop.operated import Named, Operated
from interop.secured import Authority

from lbkit.haproxy import process
from lbkit.haproxy.program import Program
from lbkit.state.applied import Applied
from lbkit.state.intents import Intents
from lbkit.state.log import EventLog
from lbkit.state.who import who_asks

LBKIT = str(Path(sys.executable).with_name("lbkit"))


@pytest.fixture
def haproxy() -> Program:
    """Either does: how it is started and reloaded is tried with both elsewhere."""
    return haproxy_of("2.6")


@pytest.fixture
def node(short: Path, servers: dict[str, Named]) -> Iterator[Operated]:
    (short / "node/tls").mkdir(parents=True)
    Authority(short / "node/tls").issue("web.test")
    vips = [plain("PLAIN", *servers.values()), plain("WEB", *servers.values())]
    vips[1]["termination"] = {"certificate": "web"}
    certificates = {"web": {"file": "tls/web.test.pem", "key_file": "tls/web.test.key"}}
    made = Operated(short / "node", *vips, servers=servers, certificates=certificates)
    try:
        yield made
    finally:
        process.stop(made.haproxy)


def lbkit(node: Operated, *words: str, code: int = 0) -> str:
    environment = os.environ | {"LBKIT_STATE": str(node.state), "PYTHONWARNINGS": "error"}
    command = [LBKIT, *words, "--site", str(node.file)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_a_machine_that_lost_everything_is_what_it_was(node: Operated, short: Path) -> None:
    lbkit(node, "apply")
    lbkit(node, "drain", "PLAIN", "one")
    key = (node.folder / "tls/web.test.key").read_bytes()
    applied, backup, password = Applied.read(node.state), str(short / "backup.json"), short / "password"
    password.write_text("correct horse\n")
    with_password = ("--password-file", str(password))
    assert "--password-file" in lbkit(node, "backup", "-o", backup, "--secrets", "encrypt", code=3)
    assert "2 files that it names, 1 intent" in lbkit(
        node, "backup", "-o", backup, "--secrets", "encrypt", *with_password
    )
    process.stop(node.haproxy)
    shutil.rmtree(node.folder)
    node.folder.mkdir()

    assert "--password-file" in lbkit(node, "restore", backup, code=3)
    assert "its content is secret" in lbkit(node, "restore", backup, *with_password, "--dry-run")
    assert not node.file.exists()
    lbkit(node, "restore", backup, *with_password)
    assert (node.folder / "tls/web.test.key").read_bytes() == key
    assert node.tally("PLAIN", 10).keys() == {"two"}
    assert [one.server for one in Intents(node.state).all() if one.wanted == "drain"] == ["one"]
    assert Applied.read(node.state) == applied
    (event,) = EventLog(node.state).all()
    assert (event.kind, event.who) == ("configuration-applied", who_asks())
    assert event.text == f"generation 1 of the site is restored, from a backup of {socket.gethostname()}"


def test_an_older_site_comes_back_as_a_new_generation(node: Operated, short: Path) -> None:
    lbkit(node, "apply")
    backup, before = str(short / "backup.json"), node.file.read_text()
    assert "left out, for it is secret: tls/web.test.key" in lbkit(node, "backup", "-o", backup)
    node.file.write_text(before.replace('interval = "100ms"', 'interval = "200ms"'))
    lbkit(node, "apply")
    said = lbkit(node, "restore", backup)
    assert "left as they are here: tls/web.test.key" in said
    assert "generation 3 of the site is in force" in said
    assert node.file.read_text() == before
    assert "inter 100ms" in (node.folder / "etc/haproxy.cfg").read_text()

    (node.folder / "tls/web.test.key").unlink()
    assert "tls/web.test.key" in lbkit(node, "restore", backup, code=3)
