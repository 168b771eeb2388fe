"""The README's code is run, so that it stays true."""

from __future__ import annotations

import re
import types
from pathlib import Path

from lbkit.testing import listener  # noqa: F401 - a fixture

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def _plugin() -> types.ModuleType:
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "lbkit_banner" in block]
    module = types.ModuleType("lbkit_banner")
    exec(compile(code, "README.md", "exec"), module.__dict__)
    return module


def test_the_check_of_the_readme_has_at_most_40_lines():
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "lbkit_banner" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40


def test_the_check_of_the_readme_tells_up_from_down(listener):  # noqa: F811
    (kind,) = _plugin().lbkit_checks()

    def greet(sock):
        sock.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

    remote = listener(greet)
    check = kind.prepare({"timeout": 2})
    assert check.run(check.target(remote.target)).line().startswith("up banner")
    other = kind.prepare({"timeout": 2, "starts_with": "220 "})
    assert other.run(other.target(remote.target)).reason == "other-greeting"
