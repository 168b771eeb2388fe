"""What `lbkit lint` says of [snmp]: the guide's rules (12.1), and what snmpd could not be told or would not start with."""

from __future__ import annotations

import pytest
from unit.site_text import server, site, vip

import lbkit
from lbkit.lint import snmp
from lbkit.site.draft import Draft
from lbkit.snmp.oids import LABEL
from lbkit.snmp.tree import tree
from lbkit.state.agent import AgentState

ONE = vip("A", "192.0.2.1:443", server("a", "192.0.2.11:443"))
USER = {"name": "monitor", "authentication_file": "passphrase", "privacy_file": "passphrase"}
V2C = {"v2c": True, "community_file": "community"}
SECRETS = {
    "community": "public", "empty": "", "space": "pub lic", "seven": "1234567", "passphrase": "12345678", "seen": "public"
}  # fmt: skip


@pytest.fixture
def findings(tmp_path):
    """Those of [snmp], as (rule, key, message); and the site."""
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(f"{secret}\n")
        (tmp_path / name).chmod(0o604 if name == "seen" else 0o600)

    def found(*vips, **given):
        file = tmp_path / "site.toml"
        file.write_text(site(*vips or (ONE,), snmp=given))
        loaded = lbkit.load_site(file)
        problems = snmp.problems(Draft(dict(enumerate(loaded.vips)), snmp=loaded.snmp))
        return [(one.rule, ".".join(map(str, one.key)), one.message) for one in problems], loaded

    return found


@pytest.mark.parametrize(
    ("given", "rule", "key", "says"),
    [
        ({}, "contradiction", "snmp", "nobody is answered"),
        ({"v1": True, "user": USER}, "contradiction", "snmp.v1", "v1 goes by a community, and there is none"),
        ({"v2c": True, "user": USER}, "contradiction", "snmp.v2c", "v2c goes by a community, and there is none"),
        ({**V2C, "community_file": "absent"}, "file-missing", "snmp.community_file", "is not there"),
        ({**V2C, "community_file": "empty"}, "unusable", "snmp.community_file", "holds 0 characters. Give from 1 to"),
        ({**V2C, "community_file": "space"}, "unusable", "snmp.community_file", "holds characters that SNMP is not given"),
        ({**V2C, "community_file": "seen"}, "readable-by-all", "snmp.community_file", "every user of this machine"),
        ({"user": {**USER, "name": "a b"}}, "unusable", "snmp.user.name", "'a b' is no USM user name"),
        ({"user": {**USER, "name": "-e"}}, "unusable", "snmp.user.name", "no - as the first"),
        ({"user": {**USER, "authentication_file": "seven"}}, "unusable", "snmp.user.authentication_file", "from 8 to"),
        ({"user": {**USER, "privacy_file": "seven"}}, "unusable", "snmp.user.privacy_file", "holds 7 characters"),
        ({"user": {**USER, "authentication": "MD5"}}, "weak-algorithm", "snmp.user.authentication", "Give SHA-256"),
        ({"user": {**USER, "privacy": "DES"}}, "weak-algorithm", "snmp.user.privacy", "Give AES"),
        ({**V2C, "location": "#7"}, "unusable", "snmp.location", "snmpd can't be told of '#7'"),
        ({**V2C, "contact": "ü" * 128}, "unusable", "snmp.contact", "at most 255 bytes"),
        ({**V2C, "addresses": ["192.0.2.2"]}, "community-open", "snmp.addresses", "by v2c anybody is answered"),
        ({**V2C, "addresses": ["127.0.0.1", "127.0.0.1"]}, "contradiction", "snmp.addresses.1", "snmpd can't open both"),
        ({**V2C, "addresses": ["127.0.0.1", "0.0.0.0"], "managers": ["192.0.2.9/32"]},
         "contradiction", "snmp.addresses.1", "0.0.0.0 beside 127.0.0.1"),
        ({**V2C, "traps": [{"address": "192.0.2.9", "version": "v3"}]},
         "contradiction", "snmp.traps.0.version", "v3 goes by a user"),
        ({"user": USER, "traps": [{"address": "192.0.2.9"}]},
         "contradiction", "snmp.traps.0.version", "v2c goes by a community"),
        ({**V2C, "traps": [{"address": "192.0.2.9"}, {"address": "192.0.2.9"}]},
         "contradiction", "snmp.traps.1", "is there already"),
    ],
)  # fmt: skip
def test_it_is_said_with_its_place(findings, given, rule, key, says):
    ((found, where, message),), _ = findings(**given)
    assert (found, where) == (rule, key)
    assert says in message
    assert not any(secret in message for secret in SECRETS.values() if secret)


@pytest.mark.parametrize(
    "given",
    [
        V2C,
        {"user": USER},
        {**V2C, "v1": True, "user": USER, "addresses": ["192.0.2.2", "2001:db8::2"], "managers": ["192.0.2.9/32"]},
        {**V2C, "addresses": ["0.0.0.0", "::1"], "managers": ["192.0.2.9/32"]},
        {"user": USER, "addresses": ["0.0.0.0"], "traps": [{"address": "192.0.2.9", "version": "v3"}]},
        {**V2C, "traps": [{"address": "192.0.2.9"}, {"address": "192.0.2.9", "port": 1162}]},
    ],
)
def test_what_is_right_is_not_spoken_of(findings, given):
    assert findings(**given)[0] == []


def test_labels_that_are_no_name_in_snmp_are_refused(findings):
    fits, long = (
        vip("V" * length, "192.0.2.1:443", server("r", "192.0.2.11"), server("s" * length, "192.0.2.12"))
        for length in (LABEL, LABEL + 1)
    )
    found, loaded = findings(fits, **V2C)
    assert found == []
    objects = tree("lb1", "1.0", loaded, AgentState(1, False, "test", "site.toml", 1, {}))
    assert max(len(one.oid) for one in objects) == 128  # RFC 2578, 3.5
    found, _ = findings(long, **V2C)
    assert [one[:2] for one in found] == [("unusable", "vips.0.label"), ("unusable", "vips.0.servers.1.label")]
