"""What a site consists of: which files are found, which are secret, and that all of it arrives as it was."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from unit.site_text import server, site, vip

from lbkit.errors import CannotRun, Misuse
from lbkit.operate import bundle
from lbkit.operate.bundle import Bundle
from lbkit.site.model import Site
from lbkit.site.values import File

PEM = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
CONTENTS = {
    "tls/ca.pem": PEM, "tls/ca.crl": b"list", "tls/web.pem": PEM, "tls/web.key": KEY, "tls/both.pem": PEM + KEY,
    "tls/own.pfx": b"0\x82\x01", "pfx.password": b"hunter2\n", "page.html": b"<p>sorry</p>", "check.pem": PEM,
    "check-key.pem": KEY, "webhook.secret": b"key\n", "webhook-ca.pem": PEM, "snmp.community": b"public\n",
    "token": b"1234\n",
}  # fmt: skip
GUESSABLE = {"pfx.password", "token", "webhook.secret", "snmp.community"}
SECRET = {"tls/web.key", "tls/both.pem", "tls/own.pfx", "check-key.pem", *GUESSABLE}


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600 if name in SECRET else 0o644)
    check = {"kind": "mtls", "cert_file": "check.pem", "key_file": "check-key.pem", "port": 1}
    file = tmp_path / "site.toml"
    file.write_text(
        site(
            vip("WEB", "192.0.2.1:443", server("s1", "192.0.2.2:443"), check=check),
            vip("DIRECT", "192.0.2.1:80", server("s1", "192.0.2.2:80"), check={"kind": "x", "site_file": "site.toml"}),
            ca_families={"ours": {"ca_file": "tls/ca.pem", "crl_file": str(tmp_path / "tls/ca.crl")}},
            certificates={
                "web": {"file": "tls/web.pem", "key_file": "tls/web.key"},
                "both": {"file": "./tls/both.pem"},
                "own": {"file": "tls/own.pfx", "password_file": "pfx.password"},
            },
            fallback_page={"file": "page.html"},
            alerts={
                "receivers": {
                    "webhook": {"secret_file": "webhook.secret", "ca_file": "webhook-ca.pem"},
                    "pager": {"token_file": "token"},
                }
            },
            snmp={"community_file": "snmp.community"},
        )
    )
    return file


def test_all_files_that_a_site_names_are_in_it(site_file: Path) -> None:
    found = bundle.gather(site_file)
    places = {bundle.place(site_file, one.given).relative_to(site_file.parent): one for one in found.files}
    assert {str(path): one.content for path, one in places.items()} == CONTENTS
    assert {str(path) for path, one in places.items() if one.secret} == SECRET
    assert {one.mode for one in found.files if one.secret} == {0o600}


def test_no_file_of_the_model_is_forgotten() -> None:
    """A file is the site's, and goes to the other node, or a node's own; a new one is to be put on one of the two lists."""
    of_a_node = {
        "pair.ssh.key_file", "pair.ssh.known_hosts_file", "haproxy.folder", "haproxy.runtime", "haproxy.master_socket",
        "keepalived.folder", "keepalived.pid_file", "keepalived.runtime", "agent.socket", "firewall.file",
        "snmp.file", "metrics.socket",
    }  # fmt: skip
    document = _document(_files(Site))
    assert {*of_a_node, "certificates.x.key_file"} <= set(_paths(document))
    assert set(_paths(document)) - of_a_node == set(bundle.named(_toml(document)))


def test_what_comes_is_what_was_sent(site_file: Path) -> None:
    sent = bundle.gather(site_file)
    came = Bundle.of(json.loads(json.dumps(sent.as_dict())))
    assert came == sent
    assert came.digest == sent.digest == bundle.digest(site_file)


def test_relative_files_go_beside_the_site_file_absolute_ones_to_their_places(site_file: Path) -> None:
    files = {str(one.path): one for one in bundle.gather(site_file).installed(Path("/srv/lbkit/site.toml"))}
    assert list(files)[-1] == "/srv/lbkit/site.toml"
    assert files["/srv/lbkit/tls/web.key"].secret
    assert files["/srv/lbkit/tls/both.pem"].mode == 0o600
    assert files[f"{site_file.parent}/tls/ca.crl"].content == b"list"


def test_a_file_that_is_named_in_two_ways_is_one_and_secret_if_either_is(site_file: Path) -> None:
    text = site_file.read_text().replace('"tls/ca.pem"', f'"{site_file.parent}/tls/web.key"')
    site_file.write_text(text)
    files = [one for one in bundle.gather(site_file).installed(site_file) if one.path.name == "web.key"]
    assert [one.secret for one in files] == [True]


def test_what_came_with_two_contents_for_one_place_is_refused(site_file: Path) -> None:
    one, *_ = bundle.gather(site_file).files
    two = replace(one, given=f"./{one.given}", content=b"other")
    with pytest.raises(Misuse, match="came with two contents"):
        Bundle(b"", 0o644, (one, two)).installed(site_file)


def test_a_key_in_a_file_for_certificates_is_secret(site_file: Path) -> None:
    (site_file.parent / "tls/ca.pem").write_bytes(PEM + KEY)
    assert [one.secret for one in bundle.gather(site_file).files if one.given == "tls/ca.pem"] == [True]


def test_files_beyond_the_sites_folder_may_be_others_too(site_file: Path) -> None:
    files = bundle.gather(site_file).installed(Path("/srv/lbkit/site.toml"))
    assert {str(one.path) for one in files if one.shared} == {f"{site_file.parent}/tls/ca.crl"}


@pytest.mark.parametrize("name", sorted(CONTENTS.keys() - GUESSABLE))
def test_another_content_is_another_digest(site_file: Path, name: str) -> None:
    before = bundle.digest(site_file)
    place = site_file.parent / name
    place.write_bytes(CONTENTS[name] + b" ")
    changed = bundle.digest(site_file)
    place.unlink()
    assert len({before, changed, bundle.digest(site_file)}) == 3


@pytest.mark.parametrize("name", sorted(GUESSABLE))
def test_a_password_cannot_be_guessed_from_the_digest(site_file: Path, name: str) -> None:
    before = bundle.digest(site_file)
    (site_file.parent / name).write_bytes(b"another\n")
    assert bundle.digest(site_file) == before


def test_a_site_that_is_no_toml_has_a_digest_too(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    assert bundle.digest(file) == ""
    file.write_text("name = [")
    assert bundle.digest(file)


def test_a_file_that_is_missing_is_named(site_file: Path) -> None:
    (site_file.parent / "tls/web.key").unlink()
    with pytest.raises(Misuse, match=r"tls/web\.key is not there, and the site names it"):
        bundle.gather(site_file)


def test_a_pipe_is_not_waited_for(site_file: Path) -> None:
    (site_file.parent / "page.html").unlink()
    os.mkfifo(site_file.parent / "page.html")
    for look in (bundle.gather, bundle.digest):
        with pytest.raises(Misuse, match=r"page\.html is there, and is no file"):
            look(site_file)


def test_a_folder_in_the_place_of_a_file_is_named(site_file: Path) -> None:
    (site_file.parent / "page.html").unlink()
    (site_file.parent / "page.html").mkdir()
    with pytest.raises((Misuse, CannotRun), match=r"page\.html"):
        bundle.gather(site_file)


@pytest.mark.parametrize(
    "change",
    [
        {"site": "!"}, {"site": None}, {"mode": "x"}, {"files": {}}, {"files": [None]}, {"files": []},
        {"files": [{"path": "/etc/passwd", "mode": 420, "group": "", "content": ""}]},
    ],
)  # fmt: skip
def test_what_is_no_site_with_its_files_is_refused(site_file: Path, change: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        Bundle.of({**bundle.gather(site_file).as_dict(), **change})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_else_is_refused_in_words(values: Any) -> None:
    with pytest.raises(Misuse):
        Bundle.of(values)


def test_secrets_are_in_no_repr(site_file: Path) -> None:
    assert "hunter2" not in repr(bundle.gather(site_file))
    assert "PRIVATE KEY" not in repr(bundle.gather(site_file).installed(site_file))


def _files(model: type[BaseModel], before: str = "") -> list[str]:
    """The keys of all fields that hold a path."""
    found = []
    for name, field in model.model_fields.items():
        path = f"{before}{name}"
        if any(mark in field.metadata for mark in File.__metadata__[:1]) or File in get_args(field.annotation):
            found.append(path)
        for inner in _models(field.annotation):
            found += _files(inner, f"{path}.{'x.' if get_origin(field.annotation) is dict else ''}")
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for inner in get_args(annotation) for one in _models(inner)]


def _document(keys: list[str]) -> dict[str, Any]:
    """One in which each file is named after its key."""
    made: dict[str, Any] = {}
    for key in keys:
        *tables, last = key.split(".")
        table = made
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = key
    return made


def _paths(document: dict[str, Any]) -> list[str]:
    return [path for value in document.values() for path in (_paths(value) if isinstance(value, dict) else [value])]


def _toml(document: dict[str, Any]) -> bytes:
    import tomlkit

    return tomlkit.dumps(document).encode()
