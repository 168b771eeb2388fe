"""A site as snmpd's file (snmpd.conf(5)).

The passphrases stand in it (createUser). snmpd's own way is to have them once in /var/lib/snmp/snmpd.conf, whence it takes
them away as it makes keys of them (usmUser): but it writes that file whenever it ends, and what a site says would be what it
said the first time. The file is its owner's alone; that of the system's service its group's too, as Debian ships it: snmpd
has given up root when `systemctl reload snmpd` has it read the file again, and would answer nobody any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

from lbkit.errors import Misuse
from lbkit.install.files import File
from lbkit.install.own_command import own_command
from lbkit.site.model import Site
from lbkit.site.reporting import Snmp
from lbkit.snmp.keys import Keys, check_name
from lbkit.snmp.oids import KEEPALIVED, LBKIT, SYSTEM, VRRP, dotted
from lbkit.snmp.process import UNIT_READS
from lbkit.snmp.programs import own, place, quoted

_WORD = re.compile(r"[A-Za-z0-9_./@%+=:,-]+")  # of a command; what # and ; begin snmpd leaves out
_HIDDEN = "********"
_AGENTX = "# keepalived answers for itself, if it is told to (-x)\nmaster agentx\n\n"


def shown(site: Site) -> str:
    """The file with its secrets hidden. Raises Misuse where the site has no [snmp], or snmpd can't be told of it."""
    snmp = _wanted(site)
    hide = Keys(_HIDDEN if snmp.community_file else "", _HIDDEN, _HIDDEN)
    return _text(site, snmp, hide)


def files(site: Site) -> tuple[File, ...]:
    """The file; none where the site has no [snmp]. Raises Misuse as `shown`, and what `Keys.read` raises."""
    if site.snmp is None:
        return ()
    content, path = _text(site, site.snmp, Keys.read(site.snmp)), Path(site.snmp.file)
    return (File(path, content.encode(), 0o640 if path == UNIT_READS else 0o600, secret=True),)


def _wanted(site: Site) -> Snmp:
    if site.snmp is None:
        raise Misuse(f"site {site.name} has no [snmp]: lbkit leaves snmpd alone. Give it one, or ask for haproxy.")
    return site.snmp


def _text(site: Site, snmp: Snmp, keys: Keys) -> str:
    return f"""\
# snmpd of the site {site.name}. Rendered by lbkit from the site file: change that, then lbkit apply
agentaddress {",".join(place(one, snmp.port) for one in snmp.addresses)}
{_line("sysLocation", snmp.location)}{_line("sysContact", snmp.contact)}sysServices 76

view lbkit included {dotted(SYSTEM)}
view lbkit included {dotted(LBKIT)}
view lbkit included {dotted(KEEPALIVED)}
view lbkit included {dotted(VRRP)}
{"".join(f"{one}{chr(10)}" for one in (*_communities(snmp, keys), *_user(snmp, keys)))}
{_AGENTX if site.pair else ""}pass_persist {dotted(LBKIT)} {_command(site)}
"""


def _communities(snmp: Snmp, keys: Keys) -> Iterator[str]:
    """Whoever asks from this machine itself is let in too: so `lbkit apply` sees that it answers."""
    versions = [one for one, wanted in (("v1", snmp.v1), ("v2c", snmp.v2c)) if wanted]
    if not versions and snmp.user is None:
        raise Misuse("[snmp] answers nobody: neither v1, v2c nor a user is there. Give it one of them.")
    if not versions:
        return
    if not keys.community:
        raise Misuse(f"[snmp] answers {' and '.join(versions)} without a community. Give it a community_file.")
    for source in dict.fromkeys([*snmp.managers, *map(own, snmp.addresses)] if snmp.managers else ["default"]):
        kinds = ["", "6"] if source == "default" else ["6"] if ip_network(source).version == 6 else [""]
        for kind in kinds:
            yield f"com2sec{kind} lbkit {source} {quoted(keys.community)}"
    for version in versions:
        yield f"group lbkit {version} lbkit"
        yield f'access lbkit "" {version} noauth exact lbkit none none'


def _user(snmp: Snmp, keys: Keys) -> Iterator[str]:
    if snmp.user is None:
        return
    check_name(snmp.user.name)
    name, of = quoted(snmp.user.name), snmp.user
    yield f"createUser {name} {of.authentication} {quoted(keys.authentication)} {of.privacy} {quoted(keys.privacy)}"
    yield f"group lbkit usm {name}"
    yield 'access lbkit "" usm priv exact lbkit none none'


def check_line(text: str) -> None:
    """Raises Misuse for a location or contact that snmpd can't be told: it takes the rest of a line as it is."""
    if text.startswith("#") or text != text.strip() or text == '""' or len(text.encode()) > 255:
        raise Misuse(f"snmpd can't be told of {text[:60]!r}. Give at most 255 bytes, without # or spaces at the ends.")


def _line(name: str, text: str) -> str:
    """Nothing for an empty one, which snmpd could not be told (5.9.3 takes the quotes of "" for a part of it)."""
    check_line(text)
    return f"{name} {text}\n" if text else ""


def _command(site: Site) -> str:
    words = [str(own_command()), "snmp-answers", site.agent.socket]
    for word in words:
        if not _WORD.fullmatch(word):
            raise Misuse(
                f"snmpd can't be told of {word!r}: give paths of letters, digits and _ . / @ % + = : , - alone."
            )
    return " ".join(words)
