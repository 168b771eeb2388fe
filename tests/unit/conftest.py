import gc
import os
import sys
from textwrap import dedent

import pytest

from lbkit.testing import listener, throwaway_ca

__all__ = ["listener", "no_file_is_left_open", "throwaway_ca"]


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def no_file_is_left_open():
    before = open_files()
    yield
    if open_files() > before:
        gc.collect()
    assert open_files() <= before


@pytest.fixture
def install(tmp_path, monkeypatch):
    """`install(distribution, entry name, source)`: as if pip had installed it; the module is called as the distribution."""
    monkeypatch.syspath_prepend(tmp_path)
    installed = []

    def install(distribution, name, source, group="lbkit"):
        module = distribution.replace("-", "_")
        installed.append(module)
        (tmp_path / f"{module}.py").write_text(dedent(source).replace("{name}", name))
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")

    yield install
    for module in installed:
        sys.modules.pop(module, None)
