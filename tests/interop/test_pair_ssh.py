"""A node asks the other one through a real sshd, as `lbkit pair setup` has let it in."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.operated import own_port
from interop.remotes import program
from unit.site_text import server, site, vip

import lbkit
from lbkit.errors import EngineError, NotAllowed, NotAnswering, NotRunning
from lbkit.pair.link import Link, ssh_command
from lbkit.pair.meeting import invitation, know, let_in, make_key
from lbkit.site.model import Node, Site

ADDRESS = "127.0.0.12"
# sshd as root wants that folder, and what this machine's root has in the other would start before each answer
_OWN_RUN = """
mount -t tmpfs tmpfs /run && mkdir -m 0755 /run/sshd
[ ! -e /root/.bashrc ] || mount --bind /dev/null /root/.bashrc
exec "$0" "$@"
"""


class Met:
    """Node a has been let in by node b, whose sshd runs. Both share a site file, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = own_port()
        self.home = folder / "home"
        self.host_keys = folder / "ssh"
        self.site_file = folder / "site.toml"
        for one in (self.home, self.host_keys):
            one.mkdir()
        ssh = {"user": getpass.getuser(), "port": self.port, "key_file": "pair/key", "known_hosts_file": "pair/known"}
        nodes = [{"name": "a", "address": "127.0.0.11"}, {"name": "b", "address": ADDRESS}]
        one = vip("V", "192.0.2.50:80", server("s", "192.0.2.60:80"))
        self.site_file.write_text(site(one, pair={"nodes": nodes, "ssh": ssh}))
        self.site: Site = lbkit.load_site(self.site_file)
        self.new_host_key()
        self.key = folder / "pair" / "key"
        make_key(self.key)
        know(invitation("b", self.key, self.host_keys), folder / "pair" / "known")
        let_in(invitation("a", self.key, self.host_keys), self.home, getpass.getuser(), self.site_file)
        self._sshd: subprocess.Popen[bytes] | None = None

    @property
    def b(self) -> Node:
        assert self.site.pair is not None
        return self.site.pair.nodes[1]

    def new_host_key(self) -> None:
        path = self.host_keys / "ssh_host_ed25519_key"
        path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, timeout=10)

    def start(self) -> None:
        self.stop()
        settings = {
            "ListenAddress": ADDRESS, "Port": self.port, "HostKey": self.host_keys / "ssh_host_ed25519_key",
            "AuthorizedKeysFile": self.home / ".ssh" / "authorized_keys", "PidFile": "none", "UsePAM": "no",
            "StrictModes": "no", "PasswordAuthentication": "no", "SetEnv": "LBKIT_NODE=b",
            "KexAlgorithms": "curve25519-sha256",
        }  # fmt: skip
        (self.folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = [program("sshd", "openssh-server"), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if os.geteuid() == 0:
            command = ["unshare", "--mount", "sh", "-c", _OWN_RUN, *command]
        with open(self.folder / "sshd.log", "wb") as log:
            self._sshd = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as asked:
                if asked.connect_ex((ADDRESS, self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._sshd is not None:
            self._sshd.terminate()
            self._sshd.wait(10)
        self._sshd = None

    def link(self, timeout: float = 20.0) -> Link:
        return Link(self.site, self.b, timeout)

    def authorized(self, command: str) -> None:
        """What the key of a runs there, instead."""
        file = self.home / ".ssh" / "authorized_keys"
        key = file.read_text().split(" ssh-ed25519 ")[1]
        file.write_text(f'restrict,command="{command}" ssh-ed25519 {key}')


@pytest.fixture
def met(tmp_path: Path) -> Iterator[Met]:
    made = Met(tmp_path)
    made.start()
    yield made
    made.stop()


def test_the_node_answers_and_one_connection_serves_all_questions(met: Met) -> None:
    with met.link() as link:
        first = link.ask("hello")
        assert first["node"] == "b"
        begun = time.monotonic()
        assert link.ask("intents", intents=[], now=[])["intents"] == []
        assert time.monotonic() - begun < 2


def test_the_key_runs_nothing_else(met: Met) -> None:
    command = ssh_command(met.site, met.b)[:-1]
    hello = b'{"version": 1, "ask": "hello"}\n'
    asked = subprocess.run([*command, f"touch {met.folder}/done"], input=hello, capture_output=True, timeout=20)
    assert b'"node": "b"' in asked.stdout  # whatever was asked for
    assert not (met.folder / "done").exists()
    through = subprocess.run([*command, "-W", f"{ADDRESS}:{met.port}"], input=b"", capture_output=True, timeout=20)
    assert through.returncode != 0
    assert b"SSH-" not in through.stdout


def test_another_host_key_is_not_talked_to(met: Met) -> None:
    met.new_host_key()
    met.start()
    with met.link() as link, pytest.raises(NotAllowed, match="another host key than when the nodes met"):
        link.ask("hello")


def test_a_host_key_that_is_not_known_is_not_talked_to(met: Met) -> None:
    (met.folder / "pair" / "known").write_text("")
    with met.link() as link, pytest.raises(NotAllowed, match="a host key that this node does not know"):
        link.ask("hello")


def test_another_key_is_not_let_in(met: Met) -> None:
    met.key.unlink()
    make_key(met.key)
    with met.link() as link, pytest.raises(NotAllowed, match=r"Permission denied .*lbkit pair setup"):
        link.ask("hello")


def test_where_no_sshd_listens_that_is_said(met: Met) -> None:
    met.stop()
    with met.link() as link, pytest.raises(NotRunning, match="Connection refused"):
        link.ask("hello")


def test_a_port_that_accepts_and_is_silent_costs_seconds_and_no_more(met: Met) -> None:
    met.stop()
    with socket.create_server((ADDRESS, met.port)), met.link() as link:
        begun = time.monotonic()
        with pytest.raises(EngineError, match="b"):
            link.ask("hello")
        assert time.monotonic() - begun < 8


def test_a_lbkit_that_hangs_there_is_named_in_time(met: Met) -> None:
    met.authorized("sleep 60")
    with met.link(2.0) as link, pytest.raises(NotAnswering, match="has not answered in 2 s"):
        link.ask("hello")


@pytest.mark.parametrize(
    ("command", "words"), [("echo Welcome", "'Welcome', and that is not lbkit"), ("true", "Is lbkit installed there")]
)
def test_what_answers_otherwise_is_named(met: Met, command: str, words: str) -> None:
    met.authorized(command)
    with met.link() as link, pytest.raises(EngineError, match=words):
        link.ask("hello")


def test_a_connection_that_was_cut_is_begun_anew(met: Met) -> None:
    with met.link() as link:
        link.ask("hello")
        assert link._process is not None
        os.kill(link._process.pid, signal.SIGKILL)
        link._process.wait(5)
        assert link.ask("hello")["node"] == "b"


def test_a_node_that_hangs_up_in_the_middle_is_named(met: Met) -> None:
    met.authorized("head -c 1")
    with met.link() as link, pytest.raises(EngineError, match="b"):
        link.ask("hello")
