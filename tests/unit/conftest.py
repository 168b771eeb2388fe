import gc
import os

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
