"""No secret of the site is in a support bundle, however it got there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from unit.secret_site import SecretSite
from unit.ways_to_write import WAYS

from lbkit.state.events import Event
from lbkit.state.intents import Intent, Intents
from lbkit.state.log import record
from lbkit.testing import ThrowawayCA

_INSIDE = ("Basic", "Base64, one before", "Base64, two before")  # the ends of these are partly their neighbours'


@pytest.fixture
def here(tmp_path: Path, throwaway_ca: ThrowawayCA, monkeypatch: pytest.MonkeyPatch) -> SecretSite:
    monkeypatch.setenv("LBKIT_NODE", "lb1")
    monkeypatch.delenv("LBKIT_HAPROXY", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    made = SecretSite(tmp_path, throwaway_ca)
    made.say(everything(made))
    for value in made.passwords.values():
        Intents(made.state).record(Intent("WEB", "s1", "drain", when=time.time(), why=f"the password is {value}"))
        record(Event("test", f"sent with {value}", details={"said": value}), state=made.state)
    return made


def everything(of: SecretSite) -> str:
    """Each of its secrets, written in each way."""
    text = "".join(f"{way}: <{write(value)}>\n" for value in of.passwords.values() for way, write in WAYS.items())
    text += "".join(f"{key}\n{json.dumps(key)}\n{''.join(key.splitlines()[1:-1])}\n" for key in of.keys)
    return text + f"{of.pfx}\n{''.join(of.pfx.splitlines())}\nPOST /services/T0XX/B0YY 200\n"


def survivors(found: dict[str, str], of: SecretSite) -> set[tuple[str, str]]:
    said = {"T0XX": "the path of a URL"}
    for name, value in of.passwords.items():
        for way, write in WAYS.items():
            said[write(value)[8:-4] if way in _INSIDE else write(value).rstrip("=")] = f"{name}, {way}"
    lines = [line for text in (*of.keys, of.pfx) for line in text.splitlines() if "-----" not in line]
    said |= dict.fromkeys((line for line in lines if len(line) > 15), "a key")
    return {(name, what) for name, text in found.items() for secret, what in said.items() if secret in text}


def test_no_secret_of_the_site_is_in_it_wherever_it_has_got_to(here: SecretSite) -> None:
    seen = {what.partition(",")[0] for _, what in survivors({"said": everything(here)}, here)}
    assert seen == {*here.passwords, "a key", "the path of a URL"}  # if they were there
    made = here.bundled()
    found = here.unpacked()
    assert survivors(found, here) == set()
    leaked = {name for name, text in found.items() if "[REMOVED: alerts.password_file]" in text}
    assert leaked == {
        "haproxy/haproxy.cfg", "haproxy/version.txt", "keepalived.conf", "firewall.nft", "snmpd.conf", "ipvs.txt",
        "system/packages.txt", "system/disks.txt", "network/addresses.txt", "network/links.txt", "network/routes.txt",
        "network/rules.txt", "network/listening.txt", "network/nftables.txt", "journal/lbkit.txt",
        "journal/haproxy.txt", "journal/haproxy-stderr.txt", "journal/keepalived.txt", "journal/snmpd.txt",
        "events.jsonl",
    }  # fmt: skip
    assert survivors({"JSON": json.dumps(made.as_dict())}, here) == set()


def test_none_is_in_it_where_the_site_file_is_no_toml(here: SecretSite) -> None:
    here.file.write_text(f"{here.text}\n[broken\n")
    here.bundled()
    found = here.unpacked()
    assert survivors(found, here) == set()
    assert "[REMOVED: alerts.password_file]" in found["journal/lbkit.txt"]
