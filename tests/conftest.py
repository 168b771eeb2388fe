import os
from pathlib import Path

import pytest
from beside import Beside
from elsewhere import REPORTS, pytest_configure, pytest_runtest_makereport, pytest_runtestloop

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtestloop"]

HERE = Path(__file__).parent
BESIDE = (HERE / "unit", HERE / "system" / "pair")  # the second takes longer, so that it is waited for last


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for folder in BESIDE:
        if REPORTS not in os.environ and any(folder not in item.path.parents for item in items):
            items.sort(key=lambda item: folder in item.path.parents)  # last: by then they have been run
            Beside(config, items, folder)
