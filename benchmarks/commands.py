"""The command lines that are compared. Each exits with 0 when it found the remote up."""

import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.outcome import BenchmarkError, NotInstalledError
from benchmarks.remotes import program
from benchmarks.remotes.fleet import HOST
from benchmarks.remotes.identities import Identity

PYTHON = str(Path(sys.executable).with_name("python3"))
"""The interpreter that the installed commands run on."""

BARE = "python3 -I -S -c pass"
"""`bare_python`, as reports name it."""


def bare_python() -> list[str]:
    """The least that a Python can do."""
    return [PYTHON, "-I", "-S", "-c", "pass"]


def installed(name: str) -> str:
    """The path of one of lbkit's own commands, beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise BenchmarkError(f"{name} is not installed beside this Python: run `make bench`")
    return str(path)


def lbkit_probe(port: int) -> list[str]:
    """lbkit's door for other daemons."""
    return [installed("lbkit-probe"), "c-echo", HOST, str(port), HOST, str(port)]


def lbkit_probe_tls(port: int, authority: str, client: Identity) -> list[str]:
    """The same with a client certificate."""
    tls = ["--tls", "--ca-file", authority, "--cert-file", client.certificate, "--key-file", client.key]
    return [*lbkit_probe(port), *tls]


def echoscu(port: int) -> list[str]:
    """The command of dcmtk."""
    return [program("echoscu"), "-aet", "LOADBALANCER", "-aec", "LB-SCP", HOST, str(port)]


def echoscu_tls(port: int, authority: str, client: Identity) -> list[str]:
    """The same with a client certificate."""
    command, *rest = echoscu(port)
    return [command, "--enable-tls", client.key, client.certificate, "--add-cert-file", authority, *rest]


def pynetdicom_echoscu(port: int) -> list[str]:
    """The command of pynetdicom."""
    if find_spec("pynetdicom") is None:
        raise NotInstalledError("the Python package pynetdicom is not installed")
    return [PYTHON, "-m", "pynetdicom", "echoscu", HOST, str(port)]
