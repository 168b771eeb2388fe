"""The README's code is run, so that it stays true."""

from __future__ import annotations

import re
import tomllib
import types
from pathlib import Path

from lbkit.checks.registry import Registry
from lbkit.site.load import load_site
from lbkit.testing import listener  # noqa: F401 - a fixture

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples/lbkit_banner"
README = (ROOT / "README.md").read_text()
(CODE,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "lbkit_banner" in block]


def _plugin() -> types.ModuleType:
    module = types.ModuleType("lbkit_banner")
    exec(compile(CODE, "README.md", "exec"), module.__dict__)
    return module


def test_the_check_of_the_readme_has_at_most_40_lines():
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 40


def test_the_check_of_the_readme_is_the_example():
    assert (EXAMPLE / "lbkit_banner.py").read_text() == CODE


def test_the_entry_point_of_the_readme_is_that_of_the_example():
    (shown,) = re.findall(r"```toml\n(\[project\.entry-points\.lbkit\].*?)```", README, re.S)
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == tomllib.loads(shown)["project"]["entry-points"]


def test_the_check_of_the_readme_tells_up_from_down(listener):  # noqa: F811
    (kind,) = _plugin().lbkit_checks()

    def greet(sock):
        sock.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

    remote = listener(greet)
    check = kind.prepare({"timeout": 2})
    assert check.run(check.target(remote.target)).line().startswith("up banner")
    other = kind.prepare({"timeout": 2, "starts_with": "220 "})
    assert other.run(other.target(remote.target)).reason == "other-greeting"


def test_the_vip_of_the_readme_is_one_of_a_site(tmp_path):
    (shown,) = re.findall(r"```toml\n(\[\[vips\]\].*?)```", README, re.S)
    names = '[ca_families.mTLS]\nca_file = "ca.pem"\n[certificates.client-cert]\nfile = "client.pem"\n'
    (tmp_path / "site.toml").write_text(f'name = "CCW"\n{names}{shown}')
    (vip,) = load_site(tmp_path / "site.toml", Registry().models()).vips
    assert (vip.label, vip.servers[0].label) == ("CCW_NOTIFICATION", "CCW_App_Server_1")
