"""The example plugin as its author would ship it: built, installed beside lbkit's wheels, found, run and tested there."""

from __future__ import annotations

import json
import shutil
import sysconfig
import venv
from pathlib import Path

import pytest
from system.wheels import ROOT, build, install, run

EXAMPLE = ROOT / "examples/lbkit_banner"


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> Path:
    """The bin folder of a venv with our wheels and the example's; what they need of others is borrowed.

    The folder that a .pth file names gets no .pth files of its own read, so the editable installs in it are not seen.
    """
    built = tmp_path_factory.mktemp("example")
    build(EXAMPLE, built)
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    install(home, [*wheels, *built.glob("*.whl")])
    (own,) = home.glob("lib/python3*/site-packages")
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_what_runs_is_what_was_installed(installed):
    where = run(
        installed / "python3", "-c", "import lbkit, lbkit_banner as b; print(lbkit.__file__, b.__file__)", env={}
    )
    assert [Path(file).is_relative_to(installed.parent) for file in where.stdout.split()] == [True, True], where.stderr


@pytest.mark.parametrize(
    ("greeting", "code", "says"),
    [(b"SSH-2.0-OpenSSH_9.2p1\r\n", 0, "up banner"), (b"220 ready\r\n", 2, "at greeting (other-greeting)")],
)
def test_the_command_line_runs_the_installed_example(installed, listener, greeting, code, says):
    remote = listener(lambda client: client.sendall(greeting))
    ran = run(installed / "lbkit", "check", "banner", remote.target)
    assert ran.returncode == code, ran.stderr
    assert says in ran.stdout


def test_its_parameters_are_options(installed, listener):
    remote = listener(lambda client: client.sendall(b"220 ready\r\n"))
    ran = run(installed / "lbkit", "check", "banner", remote.target, "--starts-with", "220 ", "--json")
    assert json.loads(ran.stdout)["status"] == "up", ran.stderr


def test_it_is_listed_with_its_distribution_and_its_reason_codes(installed):
    listed = {plugin["name"]: plugin for plugin in json.loads(run(installed / "lbkit", "plugins", "--json").stdout)}
    banner = listed["banner"]
    assert (banner["distribution"], banner["error"]) == ("lbkit-banner", None)
    assert set(banner["checks"][0]["reasons"]) == {"no-greeting", "other-greeting"}


def test_its_own_test_passes_where_it_is_installed(installed, tmp_path):
    test = shutil.copy(EXAMPLE / "test_lbkit_banner.py", tmp_path)
    ran = run(installed / "python3", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", test, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
