"""Real snmpd, as `lbkit apply` sets it up, asked by real managers."""

from __future__ import annotations

import os
import re
import socket
import stat
import string
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest
from interop.agents import eventually, running
from interop.operated import own_port
from interop.remotes import program
from interop.snmp_node import BY_USER, COMMUNITY, FOUR, MIBS, PRIVACY, SnmpNode, secrets, snmp, snmp_node, snmpd
from unit.site_text import server, vip

from lbkit.errors import CannotRun, NotDone, RolledBack
from lbkit.install.own_command import own_command
from lbkit.operate import apply_snmpd
from lbkit.operate.apply import diff
from lbkit.site.reporting import Authentication, Privacy
from lbkit.snmp import asking, process, render
from lbkit.snmp.keys import Keys
from lbkit.snmp.oids import LBKIT, NODE_TROUBLE, NODE_VERSION, SERVER_ENTRY, SYS_LOCATION, VIP_ENTRY, dotted
from lbkit.snmp.tree import index, tree
from lbkit_cli.doctor import _of_site

ENGINES = ("snmpd",)
LABEL, HEALTH = 'LBKIT-MIB::lbkitVipLabel."FOUR"', 'LBKIT-MIB::lbkitServerHealth."FOUR"."a"'
SPECIAL = "[]#~_*!=-$%?{}@:;^"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnmpNode]:
    with snmp_node(tmp_path_factory.mktemp("snmp")) as made:
        eventually(lambda: made.agent.health("FOUR/a") == "down")
        eventually(lambda: made.ask("snmpget", "-Oqv", HEALTH)[1] == "down\n")
        yield made


@pytest.mark.parametrize("by", [("-v2c", "-c", COMMUNITY), BY_USER], ids=["v2c", "v3 authPriv"])
def test_a_manager_reads_the_state_of_a_vip(node: SnmpNode, by: tuple[str, ...]) -> None:
    code, said = node.ask("snmpget", "-Oqs", LABEL, by=by)
    assert (code, said) == (0, 'lbkitVipLabel."FOUR" FOUR\n')
    assert node.ask("snmpget", "-Oqs", HEALTH, by=by) == (0, 'lbkitServerHealth."FOUR"."a" down\n')
    assert node.ask("snmpget", "-Oqv", dotted(SYS_LOCATION), by=by) == (0, '"rack #7; top"\n')


def test_a_walk_gives_all_objects_in_the_words_of_the_mib(node: SnmpNode) -> None:
    code, said = node.ask("snmpwalk", "-Oqsn", dotted(LBKIT))
    assert code == 0
    wanted = tree(socket.gethostname(), "", node.site, node.agent.client.state())
    *lines, end = said.splitlines()
    assert [line.split(" ")[0] for line in lines] == [dotted(one.oid) for one in wanted]
    assert "No more variables" in end
    code, said = node.ask("snmpbulkwalk", "-OQs", dotted(LBKIT))
    assert 'lbkitServerWhy."FOUR"."a" = connect (refused)' in said
    assert 'lbkitVipFallback."FOUR" = false' in said


def test_the_tables_are_tables(node: SnmpNode) -> None:
    code, said = node.ask("snmptable", "-Cf", "|", "LBKIT-MIB::lbkitVipTable")
    assert code == 0
    head, row = said.splitlines()[-2:]
    shown = dict(zip(head.split("|"), row.split("|"), strict=True))
    assert shown["lbkitVipLabel"] == "FOUR"
    assert shown["lbkitVipPorts"] == "104,105"
    assert shown["lbkitVipMode"] == "l4Dr"
    assert shown["lbkitVipServersTotal"] == "2"
    code, said = node.ask("snmptable", "-Cf", "|", "LBKIT-MIB::lbkitServerTable")
    assert [line.split("|")[0] for line in said.splitlines()[-2:]] == ["a", "b"]


@pytest.mark.parametrize(
    "by",
    [
        ("-v2c", "-c", "public"),
        ("-v2c", "-c", COMMUNITY[:-1]),
        ("-v1", "-c", COMMUNITY),
        (*BY_USER[:-1], PRIVACY + "x"),
        (*BY_USER[:-5], "wrong-passphrase", *BY_USER[-4:]),
        ("-v3", "-l", "authNoPriv", *BY_USER[3:]),
        ("-v3", "-l", "noAuthNoPriv", *BY_USER[3:5]),
        ("-v3", "-l", "authPriv", "-u", "nobody", *BY_USER[5:]),
    ],
    ids=["another community", "part of it", "v1", "privacy", "authentication", "authNoPriv", "noAuthNoPriv", "user"],
)
def test_who_has_not_all_that_is_wanted_gets_nothing(node: SnmpNode, by: tuple[str, ...]) -> None:
    code, said = node.ask("snmpget", "-Oqv", LABEL, by=by, within="0.4")
    assert code != 0
    assert "FOUR" not in said


@pytest.mark.parametrize("hidden", [".1.3.6.1.2.1.2", ".1.3.6.1.2.1.25", ".1.3.6.1.6.3.15", ".1.3.6.1.4.1.8072.1"])
def test_nothing_else_of_the_machine_is_shown(node: SnmpNode, hidden: str) -> None:
    _, said = node.ask("snmpwalk", "-Oqn", hidden)
    assert re.search("No Such|No more", said)
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("what", [f"{dotted(VIP_ENTRY)}.2{dotted(index('FOUR'))}", dotted(SYS_LOCATION)])
@pytest.mark.parametrize("by", [("-v2c", "-c", COMMUNITY), BY_USER], ids=["v2c", "v3"])
def test_nothing_can_be_set(node: SnmpNode, what: str, by: tuple[str, ...]) -> None:
    command = [program("snmpset", "snmp"), *by, f"127.0.0.1:{node.port}", what, "s", "changed"]
    ran = subprocess.run(
        command, env=os.environ | {"MIBS": ""}, capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.returncode != 0
    assert re.search("noAccess|notWritable|noSuchName", ran.stdout + ran.stderr)
    assert "changed" not in node.ask("snmpget", what)[1]


def test_the_file_is_its_owners_alone_and_what_is_shown_of_it_holds_no_secret(node: SnmpNode) -> None:
    assert stat.S_IMODE(node.file.stat().st_mode) == 0o600
    found = Keys.read(node.site.snmp)  # type: ignore[arg-type]
    shown = render.shown(node.site)
    node.write(location="elsewhere")
    try:
        (change,) = diff(node.site, lambda name: None, engines=ENGINES)  # type: ignore[arg-type, return-value]
        dry = node.apply(dry_run=True)
    finally:
        node.write()
    for secret in (found.community, found.authentication, found.privacy):
        assert secret in node.file.read_text()
        assert not [said for said in (shown, repr(change), repr(dry), repr(found)) if secret in said]
    assert (change.lines, dry.steps[-1]) == ((), "snmpd would be started anew")


def test_what_is_right_already_is_not_touched(node: SnmpNode) -> None:
    pid = process.process_id(node.file)
    assert pid
    assert node.apply().steps == ["snmpd: nothing differs, and it answers"]
    assert process.process_id(node.file) == pid


@pytest.mark.parametrize("name", ["location", "contact"])
def test_one_that_says_what_the_site_does_not_is_not_taken_for_the_sites(node: SnmpNode, name: str) -> None:
    assert node.site.snmp
    other = node.site.snmp.model_copy(update={name: "elsewhere"})
    with pytest.raises(NotDone, match="which are not the site's"):
        asking.wait(other, Keys.read(other), 0)


def test_a_file_with_which_lbkit_does_not_answer_is_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_snmpd, "_ANSWERS_WITHIN", 0.3)
    monkeypatch.setattr(render, "own_command", lambda: Path("/bin/false"))
    with pytest.raises(RolledBack, match="it answers, but not for lbkit"), snmpd(tmp_path):
        pass
    assert not (tmp_path / "snmpd.conf").exists()
    assert process.process_id(tmp_path / "snmpd.conf") is None


def test_doctor_asks_it(node: SnmpNode) -> None:
    finding = next(one for one in _of_site(str(node.agent.site)) if one.name == "snmpd of the site")
    assert (finding.state, finding.found) == ("ok", f"it answers, with lbkit {version('lbkit-core')} behind it")


def test_one_that_died_is_started_again(node: SnmpNode) -> None:
    process.stop(node.file)
    assert process.process_id(node.file) is None
    (step,) = node.apply().steps
    assert step.startswith("snmpd started anew as a daemon")
    assert node.ask("snmpget", "-Oqv", LABEL, by=BY_USER) == (0, "FOUR\n")


def test_another_passphrase_and_community_hold_at_once_and_the_old_ones_no_more(tmp_path: Path) -> None:
    with snmpd(tmp_path) as one:
        name = dotted(SYS_LOCATION)
        secrets(tmp_path, community="another", privacy="another-passphrase")
        one.apply()
        assert one.ask("snmpget", name, by=("-v2c", "-c", COMMUNITY), within="0.4")[0] != 0
        assert one.ask("snmpget", name, by=BY_USER, within="0.4")[0] != 0
        assert one.ask("snmpget", name, by=("-v2c", "-c", "another"))[0] == 0
        assert one.ask("snmpget", name, by=(*BY_USER[:-1], "another-passphrase"))[0] == 0


def test_managers_alone_are_answered_and_this_machine(tmp_path: Path) -> None:
    with snmpd(tmp_path, managers=["127.0.0.7/32", "2001:db8::/64"], addresses=["0.0.0.0"]) as one:
        for source, answered in (("127.0.0.7", True), ("127.0.0.1", True), ("127.0.0.8", False)):
            within = "5" if answered else "0.4"
            code, _ = one.ask("snmpget", f"--clientaddr={source}", dotted(SYS_LOCATION), within=within)
            assert (code == 0) is answered, source


def test_it_answers_by_v1_and_over_ipv6_where_the_site_wants_that(tmp_path: Path) -> None:
    given = {"v1": True, "v2c": False, "user": None, "managers": ["::1/128"]}
    with snmpd(tmp_path, **given, addresses=["::", "127.0.0.1"]) as one:
        for place in ("udp:127.0.0.1", "udp6:[::1]"):
            code, said = one.ask("snmpwalk", "-Oqs", dotted(LBKIT), by=("-v1", "-c", COMMUNITY), at=place)
            assert code == 0
            assert "lbkitNodeTrouble.0 no agent answers" in said
        assert one.ask("snmpget", dotted(SYS_LOCATION), within="0.4")[0] != 0


def test_what_changes_meanwhile_is_seen_without_a_restart(tmp_path: Path) -> None:
    with snmpd(tmp_path) as one:
        pid = process.process_id(one.file)
        assert "no agent answers" in one.ask("snmpget", "-Oqv", dotted(NODE_TROUBLE))[1]
        assert "FOUR" not in one.ask("snmpwalk", dotted(LBKIT))[1]
        with running(one.agent):
            eventually(lambda: one.ask("snmpget", "-Oqv", dotted(NODE_TROUBLE))[1] == "\n")
            assert one.ask("snmpget", "-Oqv", LABEL)[1] == "FOUR\n"
            one.write(vip("NEW", "192.0.2.3:104", server("n", "192.0.2.13"), mode="l4-dr"), FOUR)
            one.agent.client.reload()
            eventually(lambda: one.ask("snmpget", "-Oqv", LABEL.replace("FOUR", "NEW"))[1] == "NEW\n")
            assert one.ask("snmpget", "-Oqv", LABEL)[1] == "FOUR\n"
        eventually(lambda: "no agent answers" in one.ask("snmpget", "-Oqv", dotted(NODE_TROUBLE))[1])
        assert process.process_id(one.file) == pid


def test_what_answers_goes_on_as_the_lbkit_that_has_been_installed_meanwhile(tmp_path: Path) -> None:
    command = [str(own_command()), "snmp-answers", str(tmp_path / "no-agent.sock")]
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as answering:
        sent, said = answering.stdin, answering.stdout
        assert sent and said  # noqa: PT018
        sent.write(b"PING\n")
        sent.flush()
        assert said.readline() == b"PONG\n"
        newer = tmp_path / "lbkit_core-9.9.9.dist-info"
        newer.mkdir()
        (newer / "METADATA").write_text("Name: lbkit-core\nVersion: 9.9.9\n")
        for wanted in (version("lbkit-core"), "9.9.9"):
            sent.write(f"get\n{dotted(NODE_VERSION)}\n".encode())
            sent.flush()
            assert [said.readline() for _ in range(3)][2] == f"{wanted}\n".encode()
        sent.close()


def test_a_place_that_is_taken_rolls_all_back(tmp_path: Path) -> None:
    with snmpd(tmp_path) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", own_port()))
        before = one.file.read_bytes()
        port, one.port = one.port, other.getsockname()[1]
        one.write()
        with pytest.raises(RolledBack, match=r"Rolled back.*All else of the site is in force\."):
            one.apply()
        assert one.file.read_bytes() == before
        one.port = port
        assert one.ask("snmpget", dotted(SYS_LOCATION))[0] == 0


def test_a_site_without_snmp_any_more_stops_it_where_the_file_is_snmpds_own(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with snmpd(tmp_path) as one:
        monkeypatch.setattr(process, "UNIT_READS", one.file)
        monkeypatch.setattr(process, "is_service", lambda file: False)
        one.agent.site.write_text(one.agent.site.read_text().partition("[snmp]")[0])
        assert one.apply().steps[-1] == "snmpd stopped: the site has no [snmp]"
        assert process.process_id(one.file) is None
        assert not one.file.exists()
        assert one.apply().steps == []


@pytest.mark.parametrize(("there", "wanted"), [((), "snmpd"), (("snmpd",), "snmp")])
def test_without_its_programs_nothing_is_touched(there, wanted, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    one = SnmpNode(tmp_path)
    one.write()
    for name in there:
        (tmp_path / name).symlink_to(program(name, name))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("lbkit.snmp.programs._SBIN", str(tmp_path))
    with pytest.raises(CannotRun, match=f"apt install {wanted}$"):
        one.apply()
    assert not one.file.exists()


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, asking.Answer]]:
    """One snmpd with a community and a user for each character that the guide allows beside letters and digits: at the
    beginning, in the middle and at the end. What each of them is answered.
    """
    folder, port = tmp_path_factory.mktemp("each"), own_port()
    program("snmpd", "snmpd")
    lines, asked = [f"agentaddress udp:127.0.0.1:{port}", "sysLocation here", "view lbkit included .1.3.6.1.2.1.1"], {}
    for number, one in enumerate((*SPECIAL, string.ascii_letters[:20])):
        own = folder / str(number)
        own.mkdir()
        files = secrets(
            own,
            community=f"{one}c{one}{one}",
            authentication=f"{one}auth{one}{one}{one}",
            privacy=f"{one}priv{one}123{one}",
        )
        name = f"{one if one != '-' else 'u'}n{one}{one}"[:32]
        user = {"name": name, "authentication_file": files["authentication"], "privacy_file": files["privacy"]}
        asked[f"community {one}"] = snmp(own, port=port, user=None)
        asked[f"user {one}"] = snmp(own, port=port, v2c=False, user=user)
    for authentication in get_args(Authentication):
        for privacy in get_args(Privacy):
            user = {"name": f"{authentication}{privacy}", "authentication": authentication, "privacy": privacy}
            files = {f"{name}_file": str(folder / "0" / name) for name in ("authentication", "privacy")}
            asked[f"{authentication} {privacy}"] = snmp(folder / "0", port=port, v2c=False, user=user | files)
    for made in asked.values():
        keys = Keys.read(made)
        lines += [*render._communities(made, keys), *render._user(made, keys)]
    (folder / "snmpd.conf").write_text("\n".join(dict.fromkeys(lines)) + "\n")
    process.start(folder / "snmpd.conf")
    try:
        yield {name: asking.ask(made, Keys.read(made)) for name, made in asked.items()}
    finally:
        process.stop(folder / "snmpd.conf")


@pytest.mark.parametrize("what", ["community", "user"])
@pytest.mark.parametrize("one", [*SPECIAL, string.ascii_letters[:20]])
def test_each_character_that_the_guide_allows_is_what_it_is(
    what: str, one: str, each: dict[str, asking.Answer]
) -> None:
    assert each[f"{what} {one}"].location == "here"


@pytest.mark.parametrize("privacy", get_args(Privacy))
@pytest.mark.parametrize("authentication", get_args(Authentication))
def test_each_algorithm_is_one_that_both_sides_have(
    authentication: str, privacy: str, each: dict[str, asking.Answer]
) -> None:
    assert each[f"{authentication} {privacy}"].location == "here"


def test_the_mib_is_one_to_smilint_and_to_net_snmp() -> None:
    file = Path(MIBS.partition(":")[2], "LBKIT-MIB.txt")
    preloaded = [word for name in ("SMI", "TC", "CONF") for word in ("-p", f"SNMPv2-{name}")]
    command = [program("smilint", "smitools"), "-l", "6", *preloaded, str(file)]
    ran = subprocess.run(
        command, env=os.environ | {"SMIPATH": MIBS}, capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.returncode == 0
    assert [line for line in (ran.stdout + ran.stderr).splitlines() if file.name in line] == []
    name = 'LBKIT-MIB::lbkitServerWhy."VIP"."r"'
    command = [program("snmptranslate", "snmp"), "-m", "LBKIT-MIB", "-M", MIBS, "-On", name]
    ran = subprocess.run(
        command, env=os.environ | {"MIBS": ""}, capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.stdout == f"{dotted((*SERVER_ENTRY, 9, *index('VIP', 'r')))}\n"
