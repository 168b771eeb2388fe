"""Events as traps and informs, taken by a real snmptrapd."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from interop.agents import eventually
from interop.operated import own_port
from interop.remotes import program
from interop.snmp_node import AUTHENTICATION, COMMUNITY, MIBS, NAME, PRIVACY, secrets, snmp

from lbkit.errors import EngineError
from lbkit.snmp.traps import Traps
from lbkit.state.events import Event

WHEN = 1_767_225_600.25  # 2026-01-01 00:00:00 UTC
DOWN = Event("server-down", "-v größer “than” #7; $(id)", "lb1", WHEN, vip="CCW_DICOM_1115", server="DICOM_Server_2")


class Manager:
    """`heard`: what snmptrapd has taken, one line each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = own_port()

    @property
    def heard(self) -> list[str]:
        return [line for line in (self.folder / "log").read_text().splitlines() if line.startswith("heard ")]

    @property
    def ready(self) -> bool:
        return "NET-SNMP version" in (self.folder / "log").read_text()

    def traps(self, version: str, **more: Any) -> Traps:
        made = snmp(self.folder, traps=[{"address": "127.0.0.1", "port": self.port, "version": version}], **more)
        return Traps(made, made.traps[0])


@contextmanager
def snmptrapd(folder: Path) -> Iterator[Manager]:
    made = Manager(folder)
    (folder / "kept/cert_indexes").mkdir(parents=True)
    (folder / "snmptrapd.conf").write_text(
        f'authCommunity log "{COMMUNITY}"\n'
        f'createUser "{NAME}" SHA-256 "{AUTHENTICATION}" AES "{PRIVACY}"\nauthUser log "{NAME}" priv\n'
    )
    program("snmptrap", "snmp")
    command = [
        program("snmptrapd", "snmptrapd"), "-f", "-C", "-c", str(folder / "snmptrapd.conf"), "-Lf", str(folder / "log"),
        "-Oqs", "-F", "heard %P %v\n", "-x", "", f"udp:127.0.0.1:{made.port}",
    ]  # fmt: skip
    (folder / "log").touch()
    environment = os.environ | {"MIBS": "LBKIT-MIB", "MIBDIRS": MIBS, "SNMP_PERSISTENT_DIR": str(folder / "kept")}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: made.ready)
        yield made
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    with snmptrapd(tmp_path_factory.mktemp("manager")) as made:
        yield made


def heard(manager: Manager, before: int) -> str:
    """The one that came after so many."""
    (found,) = eventually(lambda: manager.heard[before:])
    return str(found)


@pytest.mark.parametrize(("version", "as_what"), [("v2c", "TRAP2"), ("v3", "INFORM")])
def test_an_event_comes_whole_and_in_the_words_of_the_mib(manager: Manager, version: str, as_what: str) -> None:
    before = len(manager.heard)
    manager.traps(version).take([DOWN], True)
    said = heard(manager, before)
    assert f"heard {as_what}" in said
    for part in (
        " lbkitServerDown\t",
        "lbkitEventNode.0 lb1",
        "lbkitEventVip.0 CCW_DICOM_1115",
        "lbkitEventServer.0 DICOM_Server_2",
        "lbkitEventText.0 -v größer “than” #7; $(id)",
        "lbkitEventKind.0 server-down",
        "lbkitEventWhen.0 2026-1-1,0:0:0.2,+0:0",
    ):
        assert part in said


def test_what_an_event_is_not_about_is_empty(manager: Manager) -> None:
    before = len(manager.heard)
    manager.traps("v2c").take([Event("peer-lost", "node lb2 is not seen", "lb1", WHEN)], True)
    said = heard(manager, before)
    assert "lbkitPeerLost" in said
    assert "lbkitEventVip.0 \tlbkitEventServer.0 \t" in said


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_another_community_or_passphrase_is_not_heard(manager: Manager, version: str, tmp_path: Path) -> None:
    before = len(manager.heard)
    files = secrets(tmp_path, community="another", authentication="another-passphrase")
    user = {"name": NAME, "authentication_file": files["authentication"], "privacy_file": files["privacy"]}
    wrong = manager.traps(version, community_file=files["community"], user=user)
    if version == "v3":
        with pytest.raises(EngineError, match="has not taken server-down by v3: "):
            wrong.take([DOWN], True)
    else:
        wrong.take([DOWN], True)
    manager.traps("v2c").take([Event("test", "the next one", "lb1", WHEN)], True)
    assert "the next one" in heard(manager, before)


def test_an_inform_that_nobody_confirms_is_raised_in_time_and_says_no_secret(tmp_path: Path) -> None:
    made = Manager(tmp_path)
    program("snmptrap", "snmp")
    begun = time.monotonic()
    with pytest.raises(EngineError, match=r"has not taken server-down by v3: .*Timeout") as raised:
        made.traps("v3").take([DOWN], True)
    assert time.monotonic() - begun < 14
    assert not [one for one in (AUTHENTICATION, PRIVACY, COMMUNITY) if one in str(raised.value)]


def test_the_passive_node_tells_nobody_but_of_a_test(manager: Manager) -> None:
    before = len(manager.heard)
    manager.traps("v2c").take([DOWN, Event("test", "the next one", "lb1", WHEN)], False)
    assert "the next one" in heard(manager, before)
