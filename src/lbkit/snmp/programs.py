"""Net-SNMP's own commands (snmpcmd(1)). What is secret goes to them in a file that nobody else may read, and that is gone
when they have ended: `ps` shows command lines to everybody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from lbkit.errors import CannotRun
from lbkit.site.reporting import Snmp
from lbkit.snmp.keys import Keys

Version: TypeAlias = Literal["v1", "v2c", "v3"]

_SBIN = "/usr/sbin:/usr/local/sbin"


def find(name: str, package: str) -> str:
    """Its path. Raises CannotRun where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        raise CannotRun(f"{name} is not on this machine, and [snmp] needs it. Install it: apt install {package}")
    return found


def run(command: Sequence[str], snmp: Snmp, keys: Keys, version: Version, within: float) -> tuple[int, str, str]:
    """Run one of them with what the site has for this version. Its exit code, its output, what it says was wrong.

    `within`: seconds, after which it is ended. Raises CannotRun.
    """
    settings = "".join(f"{one}\n" for one in _settings(snmp, keys, version))
    try:
        with TemporaryDirectory(prefix="lbkit-snmp-") as folder:
            with open(os.open(Path(folder, "snmp.conf"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(settings)
            # what they keep from one run to the next would go beside snmpd's own, and lies here instead
            Path(folder, "cert_indexes").mkdir()  # else they say that they make it
            own = {"SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder, "MIBS": "", "LC_ALL": "C"}
            ran = subprocess.run(  # noqa: S603
                command,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=within,
                text=True,
                errors="replace",
            )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{command[0]} has not ended within {within:g} s. Look at the load of this machine.") from None
    except OSError as e:
        raise CannotRun(
            f"{command[0]} can't be run: {e.filename or 'its settings'}: {e.strerror}. Check the space that is left, and "
            "who may write there (TMPDIR names another place)."
        ) from None
    return ran.returncode, ran.stdout, _without(ran.stderr, keys)


def quoted(text: str) -> str:
    """As Net-SNMP reads one word: in quotes # begins no comment. None of the characters of `keys` ends them."""
    return f'"{text}"'


def own(address: str) -> str:
    """Where this machine asks at an address that it listens at, and whence."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def place(address: str, port: int) -> str:
    """An address as Net-SNMP takes it."""
    return f"udp6:[{address}]:{port}" if ":" in address else f"udp:{address}:{port}"


def _settings(snmp: Snmp, keys: Keys, version: Version) -> Iterable[str]:
    """snmp.conf(5)."""
    if version != "v3":
        return (f"defVersion {version.removeprefix('v')}", f"defCommunity {quoted(keys.community)}")
    user = snmp.user
    assert user is not None  # noqa: S101  (whoever asks for v3 has looked)
    return (
        "defVersion 3",
        "defSecurityLevel authPriv",
        f"defSecurityName {quoted(user.name)}",
        f"defAuthType {user.authentication}",
        f"defAuthPassphrase {quoted(keys.authentication)}",
        f"defPrivType {user.privacy}",
        f"defPrivPassphrase {quoted(keys.privacy)}",
    )


def _without(said: str, keys: Keys) -> str:
    for one in filter(None, (keys.community, keys.authentication, keys.privacy)):
        said = said.replace(one, "…")
    return " ".join(said.split())[:300]
