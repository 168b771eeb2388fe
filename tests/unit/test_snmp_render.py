"""snmpd.conf, the secrets in it, and Net-SNMP's commands that are never told one on their command line."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.errors import CannotRun, EngineError, Misuse
from lbkit.snmp import asking, oids, process, programs, render, traps
from lbkit.snmp.keys import Keys, check_name, content
from lbkit.snmp.traps import Traps
from lbkit.state.events import LEVELS, Event, EventKind

ONE = vip("A", "192.0.2.1:443", server("a", "192.0.2.11:443"))
SECRETS = {"community": "pub#lic", "authentication": "auth-auth", "privacy": "priv#priv"}
USER = {"name": "monitor", "authentication_file": "authentication", "privacy_file": "privacy"}
MIB = Path(__file__).parents[2] / "packaging/mibs/LBKIT-MIB.txt"


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "own_command", lambda: Path("/opt/lbkit/bin/lbkit"))
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret + "\n")

    def load(more=None, **snmp):
        (tmp_path / "site.toml").write_text(site(ONE, snmp=snmp, **(more or {})))
        return lbkit.load_site(tmp_path / "site.toml")

    return load


def lines(site):
    (file,) = render.files(site)
    return [line for line in file.content.decode().splitlines() if line and not line.startswith("#")]


# --- the file -------------------------------------------------------------------------------------------------------


def test_of_all_versions(loaded):
    found = loaded(
        addresses=["192.0.2.2", "2001:db8::2"],
        port=1161,
        location="rack #7",
        contact="anna@hospital.example",
        v1=True,
        v2c=True,
        community_file="community",
        user={**USER, "authentication": "SHA-512", "privacy": "DES"},
        managers=["198.51.100.0/24", "2001:db8:9::/64"],
    )
    assert lines(found) == [
        "agentaddress udp:192.0.2.2:1161,udp6:[2001:db8::2]:1161",
        "sysLocation rack #7",
        "sysContact anna@hospital.example",
        "sysServices 76",
        "view lbkit included .1.3.6.1.2.1.1",
        "view lbkit included .1.3.6.1.4.1.8072.9999.9999.7779",
        "view lbkit included .1.3.6.1.4.1.9586.100.5",
        "view lbkit included .1.3.6.1.2.1.207",
        'com2sec lbkit 198.51.100.0/24 "pub#lic"',
        'com2sec6 lbkit 2001:db8:9::/64 "pub#lic"',
        'com2sec lbkit 192.0.2.2 "pub#lic"',
        'com2sec6 lbkit 2001:db8::2 "pub#lic"',
        "group lbkit v1 lbkit",
        'access lbkit "" v1 noauth exact lbkit none none',
        "group lbkit v2c lbkit",
        'access lbkit "" v2c noauth exact lbkit none none',
        'createUser "monitor" SHA-512 "auth-auth" DES "priv#priv"',
        'group lbkit usm "monitor"',
        'access lbkit "" usm priv exact lbkit none none',
        "pass_persist .1.3.6.1.4.1.8072.9999.9999.7779 /opt/lbkit/bin/lbkit snmp-answers /run/lbkit/agent.sock",
    ]


def test_without_managers_anybody_who_knows_the_community_is_answered(loaded):
    found = lines(loaded(v2c=True, community_file="community"))
    assert 'com2sec lbkit default "pub#lic"' in found
    assert 'com2sec6 lbkit default "pub#lic"' in found


def test_a_node_that_answers_at_all_its_addresses_lets_itself_in_and_nobody_else(loaded):
    given = {"v2c": True, "community_file": "community", "addresses": ["0.0.0.0", "::"]}
    found = [line for line in lines(loaded(**given, managers=["192.0.2.7/32"])) if line.startswith("com2sec")]
    assert [line.split()[2] for line in found] == ["192.0.2.7/32", "127.0.0.1", "::1"]


def test_only_what_the_site_wants_is_answered(loaded):
    of_user = "\n".join(lines(loaded(user=USER, community_file="community")))
    assert not re.search("com2sec|v1|v2c|pub#lic", of_user)
    of_community = "\n".join(lines(loaded(v2c=True, community_file="community")))
    assert not re.search(r"v1|usm|createUser", of_community)


def test_no_access_writes_or_notifies(loaded):
    given = lines(loaded(v1=True, v2c=True, community_file="community", user=USER))
    assert {line.split()[-2:] == ["none", "none"] for line in given if line.startswith("access")} == {True}
    assert not [line for line in given if re.match("r[ow]|trap|inform", line)]


def test_keepalived_answers_beside_lbkit_on_a_pair_alone(loaded):
    nodes = [{"name": "lb1", "address": "192.0.2.8"}, {"name": "lb2", "address": "192.0.2.9"}]
    assert "master agentx" in lines(loaded({"pair": {"nodes": nodes}}, user=USER))
    assert "master agentx" not in lines(loaded(user=USER))


def test_a_location_that_is_empty_is_left_out(loaded):
    assert not [line for line in lines(loaded(user=USER)) if line.startswith("sys") and "Services" not in line]


@pytest.mark.parametrize(("more", "mode"), [({}, 0o640), ({"file": "snmpd.conf"}, 0o600)])
def test_the_file_is_secret_and_the_systems_snmpd_alone_may_read_it_again(more, mode, loaded):
    (file,) = render.files(loaded(user=USER, **more))
    assert (file.mode, file.secret, file.path.name) == (mode, True, "snmpd.conf")


def test_the_systems_snmpd_may_read_it_again_when_it_has_given_up_root(tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "kept", -1, 65534)
    file = tmp_path / "snmpd.conf"
    file.write_text("")
    monkeypatch.setattr(process, "_UNIT_KEEPS", tmp_path / "kept/snmpd.conf")
    monkeypatch.setattr(process, "is_service", lambda configuration: True)
    monkeypatch.setattr(process, "_run", lambda command: None)
    assert process.start(file) == "as snmpd.service"
    assert file.stat().st_gid == (tmp_path / "kept").stat().st_gid


def test_what_is_shown_is_the_file_without_its_secrets(loaded):
    found = loaded(v2c=True, community_file="community", user=USER)
    shown = [line for line in render.shown(found).splitlines() if line and not line.startswith("#")]
    hidden = lines(found)
    assert [one for one in shown if one not in hidden] == [
        'com2sec lbkit default "********"',
        'com2sec6 lbkit default "********"',
        'createUser "monitor" SHA-256 "********" AES "********"',
    ]
    assert not [secret for secret in SECRETS.values() if secret in render.shown(found)]


def test_a_site_without_snmp_has_no_file(tmp_path):
    (tmp_path / "site.toml").write_text(site(ONE))
    found = lbkit.load_site(tmp_path / "site.toml")
    assert render.files(found) == ()
    with pytest.raises(Misuse, match=r"has no \[snmp\]"):
        render.shown(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "answers nobody"),
        ({"v2c": True}, "v2c without a community"),
        ({"v1": True, "v2c": True}, "v1 and v2c without a community"),
        ({"user": {**USER, "name": "-e"}}, "'-e' is no USM user name"),
        ({"user": USER, "location": "#7"}, "'#7'"),
        ({"user": USER, "contact": "x "}, "'x '"),
        ({"user": USER, "contact": "ü" * 128}, "255 bytes"),
    ],
)
def test_what_snmpd_can_not_be_told_is_misuse(given, said, loaded):
    with pytest.raises(Misuse, match=re.escape(said)):
        render.files(loaded(**given))


@pytest.mark.parametrize("odd", ["/run/a b", "/run/a;b", "/run/a#b", "/run/'a'"])
def test_a_path_that_snmpd_would_cut_is_misuse(odd, loaded):
    with pytest.raises(Misuse, match="snmpd can't be told of"):
        render.files(loaded({"agent": {"socket": odd}}, user=USER))


# --- the secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legal", list("azAZ09[]#~_*!=-$%?{}@:;^"))
def test_each_character_of_the_guide_may_be_in_a_secret(legal, tmp_path):
    (tmp_path / "secret").write_text(f"{legal}1234567\n")
    assert content(str(tmp_path / "secret"), 8) == f"{legal}1234567"


@pytest.mark.parametrize(
    "wrong",
    [
        b"a b12345678",
        b"a'b12345678",
        b'a"b12345678',
        b"a\\b12345678",
        b"a\n\n12345678",
        b"\xc3\xa41234567",
        b"a/b1234567",
    ],
)
def test_any_other_is_misuse_and_not_quoted(wrong, tmp_path):
    (tmp_path / "secret").write_bytes(wrong)
    with pytest.raises(Misuse, match="holds characters") as raised:
        content(str(tmp_path / "secret"))
    assert "1234" not in str(raised.value)


@pytest.mark.parametrize(
    ("length", "least", "good"), [(7, 8, False), (8, 8, True), (255, 8, True), (256, 1, False), (0, 1, False)]
)
def test_a_secret_has_a_length(length, least, good, tmp_path):
    (tmp_path / "secret").write_text("x" * length)
    if good:
        assert len(content(str(tmp_path / "secret"), least)) == length
    else:
        with pytest.raises(Misuse, match=f"holds {length} characters. Give from {least} to 255"):
            content(str(tmp_path / "secret"), least)


def test_a_secret_that_is_not_there_can_not_be_read(tmp_path):
    with pytest.raises(CannotRun, match="gone can't be read"):
        content(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("name", "good"), [("a" * 32, True), ("a" * 33, False), ("", False), ("-s", False), ("a b", False)]
)
def test_a_name_has_a_length_and_the_same_characters(name, good):
    if good:
        check_name(name)
    else:
        with pytest.raises(Misuse, match="is no USM user name"):
            check_name(name)


def test_secrets_are_not_shown_by_accident(loaded):
    keys = Keys.read(loaded(v2c=True, community_file="community", user=USER).snmp)
    assert not [secret for secret in SECRETS.values() if secret in repr(keys)]


# --- Net-SNMP's commands --------------------------------------------------------------------------------------------

PROGRAM = """\
#!{python}
import json, os, pathlib, stat, sys
folder = pathlib.Path(os.environ["SNMPCONFPATH"])
file = folder / "snmp.conf"
told = {{"argv": sys.argv, "environment": dict(os.environ), "folder": str(folder), "text": file.read_text(),
         "modes": [stat.S_IMODE(one.stat().st_mode) for one in (folder, file)]}}
pathlib.Path({record!r}).write_text(json.dumps(told))
print("said priv#priv and auth-auth", file=sys.stderr)
sys.exit({code})
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A program in snmptrap's place: what it is told."""

    def stand_in(code=0):
        record = tmp_path / "told"
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "snmptrap"
        program.write_text(PROGRAM.format(python=sys.executable, record=str(record), code=code))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        return lambda: json.loads(record.read_text())

    return stand_in


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_a_secret_goes_by_a_file_that_nobody_else_reads_and_that_is_gone_afterwards(version, told, loaded):
    read = told()
    found = loaded(
        v2c=True, community_file="community", user=USER, traps=[{"address": "192.0.2.7", "version": version}]
    )
    Traps(found.snmp, found.snmp.traps[0]).take([Event("vip-down", "", when=1.0)], True)
    said = read()
    wanted = ["pub#lic"] if version == "v2c" else ["auth-auth", "priv#priv"]
    assert [one for one in SECRETS.values() if f'"{one}"\n' in said["text"]] == wanted
    assert not [one for one in SECRETS.values() if one in json.dumps([said["argv"], said["environment"]])]
    assert said["modes"] == [0o700, 0o600]
    assert not Path(said["folder"]).exists()
    assert said["environment"]["SNMP_PERSISTENT_DIR"] == said["folder"]


def test_what_a_command_says_is_told_without_a_secret(told, loaded):
    told(code=1)
    found = loaded(user=USER, traps=[{"address": "192.0.2.7", "version": "v3"}])
    with pytest.raises(
        EngineError, match=r"udp:192\.0\.2\.7:162 has not taken test by v3: said … and …\. Has it this user"
    ):
        Traps(found.snmp, found.snmp.traps[0]).take([Event("test", "", when=1.0)], True)


def test_a_command_that_does_not_end_is_ended(loaded):
    found = loaded(v2c=True, community_file="community")
    with pytest.raises(CannotRun, match=r"has not ended within 0\.2 s"):
        programs.run(["/bin/sleep", "60"], found.snmp, Keys.read(found.snmp), "v2c", 0.2)


def test_without_a_place_for_the_secrets_nothing_is_run(loaded, monkeypatch, tmp_path):
    found = loaded(v2c=True, community_file="community")
    (tmp_path / "full").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    with pytest.raises(CannotRun, match=r"can't be run: .*full.*TMPDIR"):
        programs.run(["/bin/true"], found.snmp, Keys.read(found.snmp), "v2c", 5)


def test_a_command_that_is_not_there_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_SBIN", str(tmp_path))
    with pytest.raises(CannotRun, match=r"apt install snmp$"):
        programs.find("snmptrap", "snmp")


def test_this_node_is_asked_and_not_the_other_one(loaded, monkeypatch):
    commands = []
    monkeypatch.setattr(asking, "find", lambda name, package: name)
    monkeypatch.setattr(asking, "run", lambda command, *rest: commands.append(command) or (1, "", ""))
    found = loaded(user=USER, addresses=["198.51.100.1", "127.0.0.9"])
    assert not asking.answers(found.snmp, Keys.read(found.snmp))
    assert "udp:127.0.0.9:161" in commands[0]


# --- notifications --------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch, loaded):
    """The commands, in the place of their run."""
    found, commands = loaded(v2c=True, community_file="community", traps=[{"address": "2001:db8::7", "port": 1162}]), []

    def run(command, snmp, keys, version, within):
        commands.append(command)
        return 0, "", ""

    monkeypatch.setattr(traps, "run", run)
    monkeypatch.setattr(traps, "find", lambda name, package: name)
    return Traps(found.snmp, found.snmp.traps[0]), commands


KINDS: list[EventKind] = list(EventKind.__args__)
_ENDS = {"server-up", "vip-recovered", "peer-found", "split-brain-ended", "drift-repaired", "test"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_hurts_is_sent_and_its_end_and_nothing_else(kind, sent):
    receiver, commands = sent
    receiver.take([Event(kind, "", when=1.0)], True)
    assert len(commands) == (LEVELS.get(kind, "info") != "info" or kind in _ENDS)


def test_each_receiver_has_its_own_place_in_the_log(sent):
    assert sent[0].name == "traps-2001-db8--7-1162"
    assert sent[0].at_once == 1


@pytest.mark.parametrize(("version", "unread"), [("v2c", "privacy"), ("v3", "community")])
def test_a_secret_that_it_does_not_go_by_keeps_nothing_back(version, unread, told, loaded, tmp_path):
    read = told()
    found = loaded(
        v2c=True, community_file="community", user=USER, traps=[{"address": "192.0.2.7", "version": version}]
    )
    (tmp_path / unread).unlink()
    Traps(found.snmp, found.snmp.traps[0]).take([Event("vip-down", "", when=1.0)], True)
    assert read()["argv"]


@pytest.mark.parametrize(("version", "said"), [("v3", "has no user"), ("v2c", "has no community_file")])
def test_what_the_site_does_not_have_for_it_is_misuse(version, said, loaded):
    given = {"user": USER} if version == "v2c" else {"v2c": True, "community_file": "community"}
    found = loaded(**given, traps=[{"address": "192.0.2.7", "version": version}])
    with pytest.raises(Misuse, match=said):
        Traps(found.snmp, found.snmp.traps[0]).take([Event("test", "", when=1.0)], True)


# --- the MIB --------------------------------------------------------------------------------------------------------


def test_notifications_are_numbered_as_the_mib_has_them():
    numbers = {
        name: int(n)
        for name, n in re.findall(
            r"^lbkit(\w+) NOTIFICATION-TYPE.*?lbkitNotifications (\d+)", MIB.read_text(), re.S | re.M
        )
    }
    assert len(numbers) == 12
    for kind in KINDS:
        name = "".join(word.capitalize() for word in kind.split("-"))
        assert oids.notification(kind) == (*oids.LBKIT, 0, numbers.get(name, numbers["Other"]))


def test_the_objects_are_numbered_as_the_mib_has_them():
    text = MIB.read_text()
    assert "{ enterprises netSnmp(8072) netSnmpExperimental(9999) netSnmpPlaypen(9999) 7779 }" in text
    for names, parent in (
        ("Name Role Version Since Peer Trouble Receivers", "lbkitNode"),
        ("Node Vip Server Text Kind When", "lbkitEvent"),
    ):
        for number, name in enumerate(names.split(), 1):
            (object_type,) = re.findall(rf"^{parent}{name} OBJECT-TYPE.*?::= {{ (.*?) }}", text, re.M | re.S)
            assert object_type == f"{parent} {number}"
