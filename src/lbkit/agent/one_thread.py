"""One thread for what blocks, so that the loop goes on: the engines are asked there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class OneThread:
    """A daemon: the end of the process does not wait for what an engine is stuck in. `run` is for the loop's thread."""

    def __init__(self, name: str) -> None:
        self._todo: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, work: Callable[[], T]) -> T:
        """Have it done, after all that was asked before."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._todo.put((future, work))
        return await future

    def end(self) -> None:
        """Take no more work. What is asked already is done."""
        self._todo.put(None)

    def _work(self) -> None:
        while (asked := self._todo.get()) is not None:
            future, work = asked
            try:
                told = partial(_tell, future, work(), None)
            except Exception as e:
                told = partial(_tell, future, None, e)
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                future.get_loop().call_soon_threadsafe(told)


def _tell(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return  # whoever asked has gone
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
