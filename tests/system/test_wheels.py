"""The wheels as a user installs them: each member built, installed into a clean venv, and run there."""

from __future__ import annotations

import sys
import venv
import zipfile
from pathlib import Path

import pytest
from system.wheels import ROOT, install, run


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> Path:
    """The bin folder of a venv with our wheels and nothing else: what lbkit-probe needs."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    install(home, wheels)
    return home / "bin"


def test_each_wheel_holds_its_package_alone_with_py_typed_and_the_licence_stands_in_the_core(wheels):
    packages = {}
    for wheel in wheels:
        names = zipfile.ZipFile(wheel).namelist()
        packages[wheel.name.partition("-")[0]] = {
            n.partition("/")[0] for n in names if not n.split("/")[0].endswith("info")
        }
        own = [n for n in names if n.endswith("py.typed")]
        assert own, wheel
    assert packages["lbkit_core"] == {"lbkit", "lbkit_probe"}
    assert packages["lbkit_dicom_echo"] == {"lbkit_dicom_echo", "lbkit_probe"}
    assert packages["lbkit_demo"] == {"lbkit_demo"}
    assert {n for n in packages["lbkit_cli"] if not n.endswith(".data")} == {"lbkit_cli"}


def test_the_installed_probe_runs_with_an_empty_environment_and_no_dependency(installed, listener):
    remote = listener(lambda client: client.recv(1))
    ran = run(installed / "lbkit-probe", "connect", "127.0.0.1", remote.port, "127.0.0.1", "0", env={})
    assert ran.returncode == 0, ran.stderr
    assert " up " in ran.stdout


def test_the_installed_probe_runs_through_a_symlink(installed, listener, tmp_path):
    link = tmp_path / "probe"
    link.symlink_to(installed / "lbkit-probe")
    remote = listener(lambda client: client.recv(1))
    assert run(link, "connect", "127.0.0.1", remote.port, "127.0.0.1", remote.port, env={}).returncode == 0


def test_the_installed_c_echo_probe_says_why_a_server_is_down(installed, listener):
    remote = listener(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    ran = run(installed / "lbkit-probe", "c-echo", "127.0.0.1", remote.port, "127.0.0.1", remote.port, env={})
    assert ran.returncode == 1
    assert "down at associate (not-dicom)" in ran.stdout


def test_the_core_can_be_made_from_its_own_source_distribution(tmp_path):
    made = run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    listed = run("tar", "tzf", archive).stdout
    assert "/src/lbkit/checks/many.py" in listed
    assert "/plugins/" not in listed
    assert "/cli/" not in listed
