"""A site with every kind of secret, and the node that it is on."""

from __future__ import annotations

import base64
import tarfile
import time
from pathlib import Path
from typing import Any

from unit.site_text import server, site, vip

from lbkit.checks.registry import Registry
from lbkit.operate.support import SupportBundle, support_bundle
from lbkit.testing import ThrowawayCA

PROGRAMS = ("journalctl", "ip", "ss", "nft", "df", "dpkg-query", "ipvsadm", "haproxy")
INSTALLED = ("haproxy/haproxy.cfg", "keepalived/keepalived.conf", "firewall.nft", "snmpd.conf")
_PASSWORDS = {
    **{name: f"{name[:3]} Ω'\"\\&{number}/+x" for number, name in enumerate(("mail", "hmac", "key", "pfx", "check"))},
    "community": "c0mmun[]#~_*",
    "authentication": "a!=-$%?{}@:;^",
    "privacy": "priv:acy;^1",
}


class SecretSite:
    """`passwords`: by the file beside the site file that holds each. `keys`: PEM; `pfx`: as MIME has it. `to`: the bundle.

    Every program and every configuration says no more than "so".
    """

    def __init__(self, folder: Path, ca: ThrowawayCA) -> None:
        self.folder, self.file, self.state = folder, folder / "site.toml", folder / "state"
        self.to = folder / "b.tar.gz"
        self.passwords = _PASSWORDS
        for name, value in self.passwords.items():
            (folder / name).write_text(f"{value}\n")
        identity, client = ca.server, ca.client
        locked = ca.locked(identity, self.passwords["key"].encode())
        pfx = ca.pfx(client, self.passwords["pfx"].encode())
        self.keys = [Path(one).read_text() for one in (identity.key_file, locked.key_file, client.key_file)]
        self.pfx = base64.encodebytes(Path(pfx).read_bytes()).decode()
        for place in ("haproxy/tls/certificates", "keepalived", "bin"):
            (folder / place).mkdir(parents=True)
        (folder / "haproxy/tls/certificates/pfx.pem").write_text(self.keys[2])
        self.say("so\n")
        check = {"kind": "https-get", "key_file": identity.key_file, "key_password_file": "check"}
        self.text = site(
            vip("WEB", "192.0.2.1:443", server("s1", "192.0.2.2:443"), check=check),
            vip("DICOM", "192.0.2.3:104", server("s2", "192.0.2.4"), mode="l4-dr"),
            certificates={
                "web": {"file": locked.cert_file, "key_file": locked.key_file, "password_file": "key"},
                "pfx": {"file": pfx, "password_file": "pfx"},
            },
            ca_families={"ours": {"ca_file": ca.ca_file}},
            haproxy={"folder": "haproxy", "runtime": "run", "master_socket": "run/master.sock"},
            keepalived={"folder": "keepalived", "pid_file": "run/keepalived.pid", "runtime": "run/vrrp"},
            agent={"socket": "run/agent.sock"},
            firewall={"enabled": True, "file": "firewall.nft"},
            pair={
                "nodes": [{"name": "lb1", "address": "192.0.2.7"}, {"name": "lb2", "address": "192.0.2.8"}],
                "ssh": {"key_file": identity.key_file},
            },
            snmp={
                "v2c": True,
                "community_file": "community",
                "user": {"name": "lbkit", "authentication_file": "authentication", "privacy_file": "privacy"},
                "file": "snmpd.conf",
            },
            alerts={
                "sender": "lb@hospital.example",
                "to": ["it@hospital.example"],
                "user": "lbkit",
                "password_file": "mail",
                "receivers": {"chat": {"url": "https://chat.example/services/T0XX/B0YY", "secret_file": "hmac"}},
            },
        )
        self.file.write_text(self.text)

    def say(self, text: str) -> None:
        """Have all programs and configurations say this."""
        (self.folder / "said").write_text(text)
        for name in PROGRAMS:
            self.program(name, f"cat {self.folder}/said")
        for name in INSTALLED:
            (self.folder / name).write_text(text)

    def program(self, name: str, script: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def bundled(self, **more: Any) -> SupportBundle:
        return support_bundle(self.file, self.to, time.time() - 3600, Registry(), self.state, **more)

    def unpacked(self) -> dict[str, str]:
        """What is in the bundle, by name, without the folder that all of it is in."""
        found = {}
        with tarfile.open(self.to) as tar:
            for one in tar:
                assert one.isfile()
                assert one.mode == 0o600
                folder, _, name = one.name.partition("/")
                assert folder.startswith("lbkit-support-")
                content = tar.extractfile(one)
                assert content
                found[name] = content.read().decode()
        return found
