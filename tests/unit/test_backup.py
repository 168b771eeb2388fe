"""Backups: what is in one, who can read its secrets, and what is said of one that is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.errors import CannotRun, Misuse
from lbkit.operate import bundle
from lbkit.operate.backup import Backup, backup, read
from lbkit.operate.restore import _completed, _generation
from lbkit.state.applied import Applied, note
from lbkit.state.intents import Intent, Intents

SECRET = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
CERT = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


class Here:
    def __init__(self, folder: Path) -> None:
        self.file, self.state, self.to = folder / "site.toml", folder / "state", folder / "backup.json"
        (folder / "web.pem").write_text(CERT)
        (folder / "web.key").write_text(SECRET)
        self.file.write_text(
            site(
                vip("WEB", "192.0.2.1:443", server("s1", "192.0.2.2:443")),
                certificates={"web": {"file": "web.pem", "key_file": "web.key"}},
            )
        )
        Intents(self.state).record(Intent("WEB", "s1", "drain", when=5, why="disk"))
        note(bundle.digest(self.file), "lb1", self.state)

    def write(self, password: bytes | None = None, **more: Any) -> Backup:
        return backup(lbkit.load_site(self.file), self.file, self.to, password, self.state, **more)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_what_is_read_is_what_was_written(here: Here) -> None:
    assert read_back(here.write(b"pass"), here, b"pass")
    found = read(here.to, b"pass")
    assert found.site == bundle.gather(here.file)
    assert found.intents == Intents(here.state).all()
    assert found.applied == Applied.read(here.state)
    assert found.omitted == ()


def read_back(written: Backup, here: Here, password: bytes | None) -> bool:
    return read(here.to, password) == written


def test_secrets_are_left_out_unless_a_password_is_given(here: Here) -> None:
    assert here.write().omitted == ("web.key",)
    found = read(here.to)
    assert {one.given: one.content for one in found.site.files} == {"web.pem": CERT.encode(), "web.key": b""}
    assert found.omitted == ("web.key",)


@pytest.mark.parametrize("password", [None, b"pass"])
def test_no_secret_can_be_read_in_it_and_nobody_else_may_read_it(here: Here, password: bytes | None) -> None:
    import base64

    here.write(password)
    text = here.to.read_text()
    assert "c2VjcmV0" not in text
    assert base64.b64encode(SECRET.encode()).decode()[:40] not in text
    assert here.to.stat().st_mode & 0o777 == 0o600


def test_a_password_that_is_wrong_or_missing_is_said(here: Here) -> None:
    here.write(b"pass")
    with pytest.raises(Misuse, match=r"does not open .*backup\.json"):
        read(here.to, b"word")
    with pytest.raises(Misuse, match="--password-file"):
        read(here.to)


@pytest.mark.parametrize("key", ["node", "intents", "applied", "wanted"])
def test_what_was_changed_around_the_secrets_is_noticed(here: Here, key: str) -> None:
    here.write(b"pass")
    document = json.loads(here.to.read_text())
    document[key] = {"node": "lb9", "intents": [], "applied": Applied().as_dict(), "wanted": {}}[key]
    here.to.write_text(json.dumps(document))
    with pytest.raises(Misuse, match="was changed since"):
        read(here.to, b"pass")


def test_a_backup_that_is_there_is_not_replaced_unasked(here: Here) -> None:
    here.to.write_text("mine")
    with pytest.raises(Misuse, match="is there already"):
        here.write()
    assert here.to.read_text() == "mine"
    here.write(force=True)
    assert read(here.to).node


@pytest.mark.parametrize("content", ["", "{}", "[]", "nothing", '{"lbkit_backup": true}', "[" * 100_000])
def test_what_is_no_backup_is_said_to_be_none(here: Here, content: str) -> None:
    here.to.write_text(content)
    with pytest.raises(Misuse, match="is no backup that lbkit wrote"):
        read(here.to)


def test_one_of_a_newer_lbkit_is_left_alone(here: Here) -> None:
    here.to.write_text('{"lbkit_backup": 2}')
    with pytest.raises(Misuse, match="a newer lbkit wrote"):
        read(here.to)


@pytest.mark.parametrize("key", ["node", "lbkit", "when", "site", "secret", "applied", "intents", "wanted"])
@pytest.mark.parametrize("value", [None, [1], {"x": 1}])
def test_one_that_lacks_something_is_said_to_be_damaged(here: Here, key: str, value: object) -> None:
    here.write()
    document = json.loads(here.to.read_text())
    if value is None:
        del document[key]
    else:
        document[key] = value
    here.to.write_text(json.dumps(document))
    with pytest.raises(Misuse):
        read(here.to)


def test_one_that_is_not_there_is_said(here: Here) -> None:
    with pytest.raises(Misuse, match="is not there"):
        read(here.to)


def test_a_place_that_cannot_be_written_is_named(here: Here) -> None:
    here.to = here.file.parent / "none" / "backup.json"
    with pytest.raises(CannotRun, match=r"backup\.json can't be written"):
        here.write()


def test_secrets_that_were_left_out_come_from_the_machine_or_are_named(here: Here) -> None:
    here.write()
    found = read(here.to)
    assert _completed(found, here.file).digest == bundle.digest(here.file)
    (here.file.parent / "web.key").unlink()
    with pytest.raises(Misuse, match=r"not on this machine: .*web\.key"):
        _completed(found, here.file)


def test_on_a_new_machine_a_backup_is_as_old_as_it_is() -> None:
    old = Applied().next("a", "lb1")
    newer = old.next("b", "lb1")
    restored = _generation(old, Applied(), "a", "lb1")
    assert restored == old
    assert restored.compared(newer) == "older"


def test_on_a_node_that_has_a_site_it_is_a_new_generation() -> None:
    old = Applied().next("a", "lb1")
    newer = old.next("b", "lb1")
    restored = _generation(old, newer, "a", "lb1")
    assert restored.compared(newer) == "newer"
    assert restored.digest == "a"
    assert _generation(old, restored, "a", "lb1") == restored


def test_a_site_that_was_not_applied_when_it_was_written_is_one_more() -> None:
    old = Applied().next("a", "lb1")
    assert _generation(old, Applied(), "x", "lb1").key == (2, "x")
