from pathlib import Path

import pytest
from system.wheels import MEMBERS, ROOT, build

from lbkit.testing import listener

__all__ = ["listener", "wheels"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory) -> list[Path]:
    """The wheels of all members of the workspace."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in MEMBERS:
        build(ROOT / member, folder)
    return sorted(folder.glob("*.whl"))
