import os
from pathlib import Path

import pytest
from beside import Beside
from elsewhere import REPORTS, pytest_configure, pytest_runtest_makereport, pytest_runtestloop

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtestloop"]

HERE = Path(__file__).parent
UNIT = HERE / "unit"
BESIDE = (HERE / "system", UNIT, HERE / "system" / "pair")  # as they are waited for


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if REPORTS in os.environ or len({item.path.parent for item in items}) == 1:
        return
    for folder in BESIDE:
        items[:] = [
            *(one for one in items if one.path.parent != folder),
            *(one for one in items if one.path.parent == folder),
        ]
        Beside(config, items, folder, modest=folder == UNIT)
