"""Two nodes that meet: what is carried over, and what becomes of it on the other node."""

from __future__ import annotations

import getpass
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import CannotRun, Misuse
from lbkit.pair import meeting
from lbkit.pair.meeting import Invitation, invitation, know, let_in, make_key, public_key

ED25519 = "ssh-ed25519 " + "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
OTHER = "ssh-ed25519 " + "AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43
LINE = Invitation("lb2", ED25519, (OTHER,)).line()
SITE = Path("/etc/lbkit/site.toml")
USER = getpass.getuser()


@pytest.fixture
def lbkit_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "own_command", lambda: Path("/usr/bin/lbkit"))


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = tmp_path / "pair" / "key"
    assert make_key(key)
    made = key.read_bytes()
    assert not make_key(key)
    assert key.read_bytes() == made
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_ssh_reads_the_key_as_we_do(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make_key(key)
    said = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True, timeout=10)
    assert said.stdout.split()[:2] == public_key(key).split()


def test_an_invitation_is_one_line_without_secrets(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make_key(key)
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{OTHER} root@lb1\n")
    (tmp_path / "ssh_host_dsa_key.pub").write_text("ssh-dss AAAA root@lb1\n")
    made = invitation("lb1", key, tmp_path)
    line = made.line()
    assert "\n" not in line
    assert not set(line) & set("'\"$`\\")
    assert made.host_keys == (OTHER,)
    assert Invitation.of(f"  {line}\n") == made
    secret = key.read_text().split("-----")[2].split()
    assert not any(part in line for part in secret)


def test_a_node_without_sshd_is_told_so(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    with pytest.raises(CannotRun, match="no host keys of sshd"):
        invitation("lb1", tmp_path / "key", tmp_path / "ssh")


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(CannotRun, match="is no private key of OpenSSH"):
        public_key(tmp_path / "key")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "is no invitation"),
        ("ssh-ed25519 AAAA lb2", "is no invitation"),
        (LINE[:-20], "no whole one|changed on its way"),
        (LINE.replace("lb2", "lb3"), "changed on its way"),
        (LINE.replace("invitation-1", "invitation-2"), "another version of lbkit"),
        (Invitation("l'b2", ED25519, (OTHER,)).line(), "can't be a node's name"),
        (Invitation("lb2", "ssh-ed25519 AAAA", (OTHER,)).line(), "a key that is none"),
        (Invitation("lb2", ED25519.replace("ed25519", "rsa", 1), (OTHER,)).line(), "a key that is none"),
        (Invitation("lb2", ED25519, ("ssh-dss AAAA",)).line(), "a key that is none"),
    ],
)
def test_a_line_that_is_no_invitation_is_refused_with_words(line: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        Invitation.of(line)


@given(
    st.text(max_size=300)
    | st.text(max_size=80).map(lambda more: LINE + more)
    | st.text(max_size=80).map(lambda s: s + LINE)
)
def test_any_text_is_an_invitation_or_is_refused(text: str) -> None:
    try:
        found = Invitation.of(text)
    except Misuse:
        return
    assert found == Invitation.of(LINE)


def test_the_peer_may_run_pair_receive_and_others_keep_their_lines(tmp_path: Path, lbkit_at: None) -> None:
    ssh = tmp_path / ".ssh"
    ssh.mkdir(mode=0o755)
    (ssh / "authorized_keys").write_text(
        f"# mine\nssh-rsa AAAAB3 anna@desk\n{OTHER} lbkit-lb2\nssh-rsa AAAAB4 lbkit-lb22"
    )
    assert let_in(Invitation.of(LINE), tmp_path, USER, SITE)
    assert (ssh / "authorized_keys").read_text() == (
        "# mine\nssh-rsa AAAAB3 anna@desk\nssh-rsa AAAAB4 lbkit-lb22\n"
        f'restrict,command="/usr/bin/lbkit pair-receive" {ED25519} lbkit-lb2\n'
    )
    assert stat.S_IMODE(ssh.stat().st_mode) == 0o700
    assert stat.S_IMODE((ssh / "authorized_keys").stat().st_mode) == 0o600
    assert not let_in(Invitation.of(LINE), tmp_path, USER, SITE)


def test_a_key_that_could_do_more_before_is_restricted(tmp_path: Path, lbkit_at: None) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text(f"{ED25519} root@lb2\n")
    let_in(Invitation.of(LINE), tmp_path, USER, SITE)
    assert (tmp_path / ".ssh" / "authorized_keys").read_text().count(ED25519) == 1


def test_a_site_elsewhere_is_named_in_the_line(tmp_path: Path, lbkit_at: None) -> None:
    let_in(Invitation.of(LINE), tmp_path, USER, Path('/srv/my "site".toml'))
    line = (tmp_path / ".ssh" / "authorized_keys").read_text()
    assert """command="/usr/bin/lbkit pair-receive --site '/srv/my \\"site\\".toml'" """ in line


def test_the_peers_host_keys_are_known_by_its_name_and_replace_older_ones(tmp_path: Path) -> None:
    hosts = tmp_path / "pair" / "known_hosts"
    hosts.parent.mkdir()
    hosts.write_text(f"lb1 {ED25519}\nlb2 {ED25519}\n")
    assert know(Invitation.of(LINE), hosts)
    assert hosts.read_text() == f"lb1 {ED25519}\nlb2 {OTHER}\n"
    assert not know(Invitation.of(LINE), hosts)
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o644
