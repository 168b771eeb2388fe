import os
from collections.abc import Callable
from pathlib import Path

import pytest
from beside import Beside
from elsewhere import ONE_BY_ONE, REPORTS, Stand, pytest_configure, pytest_runtest_makereport, pytest_runtestloop

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtestloop"]

HERE = Path(__file__).parent
INTEROP, SYSTEM, UNIT, PAIR = HERE / "interop", HERE / "system", HERE / "unit", HERE / "system" / "pair"


def in_folder(folder: Path) -> Callable[[Path], bool]:
    """Whether a file is in it, itself."""
    return lambda file: file.parent == folder


def in_half(folder: Path, end: str, first: bool) -> Callable[[Path], bool]:
    """The same for a half of one that takes long: the first has the files whose names come before `end`."""
    return lambda file: file.parent == folder and (file.name < end) is first


@pytest.hookimpl(trylast=True)  # when all that is deselected is gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if {REPORTS, ONE_BY_ONE} & os.environ.keys() or len({item.path.parent for item in items}) == 1:
        return
    halves = in_half(INTEROP, "test_e", True), in_half(PAIR, "test_l", True), in_half(PAIR, "test_l", False)
    for runs in (in_folder(SYSTEM), *halves):
        Beside(config, items, runs, modest=False)
    Beside(config, items, in_folder(UNIT), modest=True)
    items.sort(key=lambda item: isinstance(item, Stand))  # what is run here goes before what is waited for
