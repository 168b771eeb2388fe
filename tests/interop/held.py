"""A thread of another process that gets no CPU for a while, as on a busy machine; its other threads go on."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # ptrace(2)
_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


@contextmanager
def held(thread: int, seconds: float) -> Iterator[None]:
    """From now on, for that long. Skips where this user may not."""
    refused: list[int] = []
    begun = Event()

    def hold() -> None:  # whoever seizes it has to let it go
        if _ptrace(_SEIZE, thread, None, None):
            refused.append(ctypes.get_errno())
        else:
            _ptrace(_INTERRUPT, thread, None, None)
        begun.set()
        time.sleep(0 if refused else seconds)
        _ptrace(_DETACH, thread, None, None)

    holder = Thread(target=hold)
    holder.start()
    try:
        begun.wait()
        if refused:
            pytest.skip(reason=f"this user may hold no thread: {os.strerror(refused[0])}")
        yield
    finally:
        holder.join()
