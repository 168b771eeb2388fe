"""The two nodes meet: each makes a key, and lets the other one's in for `lbkit pair-receive` alone (sshd(8)).

What one node has to know of the other is one line without secrets, which an operator carries over: the invitation.
"""

from __future__ import annotations

import base64
import binascii
import os
import pwd
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from lbkit import disk
from lbkit.errors import CannotRun, Misuse
from lbkit.install.own_command import own_command

HOST_KEYS = Path("/etc/ssh")
_SITE = Path("/etc/lbkit/site.toml")
_AGENT = "lbkit"  # the user whom the packaging makes for it
_BEGINS = "lbkit-invitation-1"
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SUM = 12  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Invitation:
    """Of a node: `key`, with which it comes, and `host_keys`, by which it is known; each `KIND BASE64`."""

    node: str
    key: str
    host_keys: tuple[str, ...]

    def line(self) -> str:
        """What is carried over. No secret is in it."""
        words = " ".join((_BEGINS, self.node, self.key, *self.host_keys))
        return f"{words} {_sum(words)}"

    @classmethod
    def of(cls, line: str) -> Invitation:
        """Read it. Raises Misuse for any other line, and for one that was cut or changed on its way."""
        again = "Copy it as a whole from what `lbkit pair setup` prints on the other node, in single quotes."
        words = line.split()
        if len(words) < 7 or words[0] != _BEGINS or len(words) % 2 == 0:
            if words[:1] and words[0].startswith("lbkit-invitation-") and words[0] != _BEGINS:
                raise Misuse("this invitation is from another version of lbkit. Install the same on both nodes.")
            raise Misuse(f"{line[:40]!r} is no invitation, or no whole one. {again}")
        if words[-1] != _sum(" ".join(words[:-1])):
            raise Misuse(f"this invitation was changed on its way. {again}")
        _demand_name(words[1])
        keys = [f"{kind} {key}" for kind, key in zip(words[2:-1:2], words[3:-1:2], strict=True)]
        for key in keys:
            _demand_key(key)
        return cls(words[1], keys[0], tuple(keys[1:]))


def invitation(node: str, key_file: Path, host_keys: Path = HOST_KEYS) -> Invitation:
    """Of this node. Raises Misuse for a name that can't be, CannotRun where its key or sshd's can't be read."""
    _demand_name(node)
    found = [
        " ".join(content.decode(errors="replace").split()[:2])
        for path in sorted(host_keys.glob("ssh_host_*_key.pub"))
        if (content := disk.read(path)) is not None
    ]
    known = tuple(key for key in found if key.partition(" ")[0] in _KINDS)
    if not known:
        raise CannotRun(
            f"{host_keys} has no host keys of sshd: the other node could not tell that it is this one that answers. "
            "Install openssh-server, or make them: ssh-keygen -A"
        )
    return Invitation(node, public_key(key_file), known)


def public_key(key_file: Path) -> str:
    """`ssh-ed25519 BASE64` of a private key. Raises CannotRun."""
    content = disk.read(key_file)
    if content is None:
        raise CannotRun(f"{key_file} is not there. Make it: lbkit pair setup")
    try:
        public = load_ssh_private_key(content, None).public_key()
    except (ValueError, TypeError):
        raise CannotRun(
            f"{key_file} is no private key of OpenSSH without a passphrase. Move it away, and have the nodes meet anew."
        ) from None
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def make_key(key_file: Path) -> bool:
    """Make this node's key, for the user lbkit too where there is one, since the agent uses it; False: it is there already.

    Raises CannotRun.
    """
    owner = _agent()
    with _written(key_file):
        key_file.parent.mkdir(parents=True, exist_ok=True)
        if key_file.exists():
            os.chmod(key_file, 0o600)
            os.chown(key_file, *owner)
            return False
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        disk.write(key_file, key, 0o600, owner)
    return True


def let_in(peer: Invitation, home: Path, user: str, site_file: Path) -> bool:
    """Let the peer's key run `lbkit pair-receive` as `user`, whose home is `home`, and nothing else; whether that was new.

    Another line of the same node or with the same key goes; all others stay. Raises CannotRun.
    """
    path = (home / ".ssh" / "authorized_keys").resolve()
    about = pwd.getpwnam(user)
    owner = (about.pw_uid, about.pw_gid) if os.geteuid() == 0 else (-1, -1)
    mark, blob = f" lbkit-{peer.node}", peer.key.partition(" ")[2]
    with _written(path):
        if not path.parent.exists():
            path.parent.mkdir()
            os.chown(path.parent, *owner)
        os.chmod(path.parent, 0o700)
        before = disk.read(path) or b""
        others = [
            line for line in before.splitlines() if not (line.endswith(mark.encode()) or blob.encode() in line.split())
        ]
        after = b"".join(line + b"\n" for line in [*others, _authorized(peer, site_file).encode()])
        if after != before:
            disk.write(path, after, 0o600, owner)
        else:
            os.chmod(path, 0o600)
    return after != before


def know(peer: Invitation, known_hosts: Path) -> bool:
    """Take the peer's host keys, by its name, in the place of those known before; whether that was new. Raises CannotRun."""
    owner = _agent()
    with _written(known_hosts):
        known_hosts.parent.mkdir(parents=True, exist_ok=True)
        before = disk.read(known_hosts) or b""
        others = [line for line in before.splitlines() if line.split(b" ")[0] != peer.node.encode()]
        new = [f"{peer.node} {key}".encode() for key in peer.host_keys]
        after = b"".join(line + b"\n" for line in [*others, *new])
        if after != before:
            disk.write(known_hosts, after, 0o644, (-1, owner[1]))
    return after != before


def _authorized(peer: Invitation, site_file: Path) -> str:
    words = [str(own_command()), "pair-receive"]
    if site_file != _SITE:
        words += ["--site", str(site_file)]
    command = shlex.join(words).replace('"', '\\"')
    return f'restrict,command="{command}" {peer.key} lbkit-{peer.node}'


def _agent() -> tuple[int, int]:
    """The agent's user and group, where the packaging has made them and this process may give files away."""
    try:
        about = pwd.getpwnam(_AGENT)
    except KeyError:
        return -1, -1
    return (about.pw_uid, about.pw_gid) if os.geteuid() == 0 else (-1, -1)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise CannotRun(f"{path} can't be written: {e.strerror}. " + disk.way_out(e, "Run this as root.")) from None


def _demand_name(node: str) -> None:
    if not _NAME.fullmatch(node):
        raise Misuse(f"{node!r:.60} can't be a node's name: give letters, digits, dots and dashes.")


def _demand_key(key: str) -> None:
    kind, _, text = key.partition(" ")
    try:
        blob = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        blob = b""
    if kind not in _KINDS or not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise Misuse(f"the invitation has a key that is none: {key[:40]!r}. Make it anew: lbkit pair setup")


def _sum(words: str) -> str:
    return sha256(words.encode()).hexdigest()[:_SUM]
