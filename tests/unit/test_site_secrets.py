"""What of a site is secret, and is found whatever is wrong with the site file."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from unit.site_text import server, site, vip

from lbkit.operate.site_secrets import Secrets, secrets_of
from lbkit.testing import ThrowawayCA


def written(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    (folder / "site.toml").write_text(text)
    return folder / "site.toml"


def one_of(**more: object) -> str:
    return site(vip("WEB", "192.0.2.1:443", server("s1", "192.0.2.2:443")), **more)


def test_files_of_passwords_are_read_from_beside_the_site_file_and_named_by_their_keys(tmp_path: Path) -> None:
    text = one_of(
        alerts={"password_file": "mail", "receivers": {"webhook": {"secret_file": "hook"}}},
        snmp={"community_file": "community", "user": {"name": "x", "privacy_file": "privacy"}},
    )
    file = written(tmp_path, text, mail=" post haste \n", hook="aaaa\nbbbb\n", community="user:pass", privacy="x" * 8)
    known = secrets_of(file).known
    assert {"post haste", " post haste "} <= set(known["alerts.password_file"])
    assert {"aaaa", "bbbb"} <= set(known["alerts.receivers.webhook.secret_file"])
    assert {"user:pass", "pass"} <= set(known["snmp.community_file"])
    assert "x" * 8 in known["snmp.user.privacy_file"]


def test_those_of_a_check_are_named_by_its_vip(tmp_path: Path) -> None:
    check = {"kind": "https-get", "key_password_file": "pw"}
    text = site(vip("WEB", "192.0.2.1:443", server("s1", "192.0.2.2:443"), check=check))
    assert "sesame" in secrets_of(written(tmp_path, text, pw="sesame")).known["vips.WEB.check.key_password_file"]


def test_what_is_written_into_the_site_file_itself_is_one_too(tmp_path: Path) -> None:
    receivers = {"chat": {"token": "T-1", "url": "https://chat.example/services/B0/x?y=1", "name": "ops"}}
    known = secrets_of(written(tmp_path, one_of(alerts={"receivers": receivers}))).known
    assert {name: set(values) for name, values in known.items()} == {
        "alerts.receivers.chat.token": {"T-1"},
        "alerts.receivers.chat.url": {"services/B0/x?y=1", "services/B0/x"},
    }


OTHER = """
[alerts.receivers.other]
level = "warning"
link = "https://hooks.example/services/T0XXT0XXT0XX?code=C0DEC0DE&x=1"
routing-key = "R1R1"
pin = "a-pin-of-twelve"
headers = { Authorization = "Bearer B1B1B1", X-Id = "me" }
tokens = ["T1T1", 'T2T2']
auth = "anna:A1A1A1A1"
passcode = 7770001
use_token = true
secret = \"""
S1S1
\"""
"""


@pytest.mark.parametrize("broken", ["", "\n[vips\n"])
def test_what_a_plugin_is_told_is_one_however_it_is_called(tmp_path: Path, broken: str) -> None:
    known = secrets_of(written(tmp_path, one_of() + OTHER + broken)).known
    assert {one.partition("receivers.other.")[2].partition(".")[0] for one in known} == {
        "link", "routing-key", "pin", "headers", "tokens", "auth", "passcode", "use_token", "secret",
    } - ({"headers"} if broken else set()) | ({"Authorization"} if broken else set())  # fmt: skip
    found = {value for values in known.values() for value in values}
    assert {
        "services/T0XXT0XXT0XX?code=C0DEC0DE&x=1", "services/T0XXT0XXT0XX", "T0XXT0XXT0XX", "C0DEC0DE", "R1R1",
        "a-pin-of-twelve", "Bearer B1B1B1", "B1B1B1", "T1T1", "T2T2", "anna:A1A1A1A1", "A1A1A1A1", "7770001", "S1S1",
    } <= found  # fmt: skip
    assert not found & {"warning", "me", "1", "hooks.example", "true", "True"}


def test_keys_are_known_line_by_line_and_certificates_are_no_secret(tmp_path: Path, throwaway_ca: ThrowawayCA) -> None:
    identity = throwaway_ca.server
    text = one_of(
        certificates={"web": {"file": identity.cert_file, "key_file": identity.key_file}},
        ca_families={"ours": {"ca_file": throwaway_ca.ca_file}},
    )
    found = secrets_of(written(tmp_path, text))
    lines = Path(identity.key_file).read_text().splitlines()[1:-1]
    assert set(lines[:-1]) <= set(found.keys["certificates.web.key_file"])
    assert list(found.keys) == ["certificates.web.key_file"]
    assert found.known == {}


def test_a_pfx_is_known_as_base64(tmp_path: Path, throwaway_ca: ThrowawayCA) -> None:
    pfx = throwaway_ca.pfx(throwaway_ca.server, b"sesame")
    file = written(tmp_path, one_of(certificates={"web": {"file": pfx, "password_file": "pw"}}), pw="sesame")
    found = secrets_of(file)
    mime = base64.encodebytes(Path(pfx).read_bytes()).decode().splitlines()
    assert set(mime[:-1]) <= set(found.keys["certificates.web.file"])
    assert "sesame" in found.known["certificates.web.password_file"]


def test_keys_below_a_folder_are_found_and_nothing_else_there_is_secret(
    tmp_path: Path, throwaway_ca: ThrowawayCA
) -> None:
    folder = tmp_path / "tls"
    (folder / "certificates").mkdir(parents=True)
    key = Path(throwaway_ca.server.key_file).read_text()
    (folder / "certificates" / "web.pem").write_text(key)
    (folder / "hosts.map").write_text("web.example backend\n")
    found = secrets_of(written(tmp_path, one_of()), [folder, tmp_path / "not there"])
    assert key.splitlines()[1] in found.keys["tls/web.pem"]
    assert found.known == {}


@pytest.mark.parametrize("broken", ["= nonsense [[\n", "[vips\n", "x = 'not closed\n"])
@pytest.mark.parametrize("quote", ["'", ""])
def test_they_are_found_where_the_site_file_is_no_toml(tmp_path: Path, broken: str, quote: str) -> None:
    text = f'{broken}[alerts]\npassword_file = {quote}mail{quote} # as it is\n"token" = "in the file"\n'
    known = secrets_of(written(tmp_path, text, mail="sesame")).known
    assert "sesame" in known["alerts.password_file"]
    assert "in the file" in known["alerts.token"]


def test_a_secret_that_is_no_utf8_is_known(tmp_path: Path) -> None:
    file = written(tmp_path, one_of(alerts={"password_file": "mail"}))
    (tmp_path / "mail").write_bytes(b"g\xe9heim\n")
    found = secrets_of(file).redaction().clean(b"a g\xe9heim b".decode(errors="surrogateescape"))
    assert found == "a [REMOVED: alerts.password_file] b"


def test_a_file_that_can_t_be_read_is_said_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    text = one_of(alerts={"password_file": "large", "receivers": {"x": {"secret_file": "pipe", "key_file": "none"}}})
    file = written(tmp_path, text, large="x" * (2 << 20))
    os.mkfifo(tmp_path / "pipe")
    done: SimpleQueue[Secrets] = SimpleQueue()
    threading.Thread(target=lambda: done.put(secrets_of(file)), daemon=True).start()
    found = done.get(timeout=10)
    assert found.unread == [f"alerts.password_file: {tmp_path}/large is larger than a secret can be."]
    assert found.known == {}


def test_without_a_site_file_there_are_none(tmp_path: Path) -> None:
    found = secrets_of(tmp_path / "site.toml")
    assert (found.known, found.unread) == ({}, [])


def test_configurations_that_lbkit_writes_are_no_secret_as_a_whole(tmp_path: Path, throwaway_ca: ThrowawayCA) -> None:
    text = one_of(snmp={"file": "snmpd.conf"}, firewall={"file": "firewall.nft"}, fallback_page={"file": "page"})
    found = secrets_of(
        written(tmp_path, text, page="come back later", **{"snmpd.conf": "rocommunity x", "firewall.nft": ""})
    )
    assert (found.known, found.keys) == ({}, {})
    (tmp_path / "snmpd.conf").write_text(Path(throwaway_ca.server.key_file).read_text())
    assert secrets_of(tmp_path / "site.toml").keys == {}


def test_a_folder_that_can_t_be_looked_into_is_said(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("no folder")
    found = secrets_of(written(tmp_path, one_of()), [tmp_path / "tls", tmp_path / "not there"])
    assert found.unread == [f"{tmp_path}/tls can't be read: Not a directory."]
