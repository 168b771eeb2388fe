"""`lbkit` as a process of its own that has all loaded already: it starts in 0.02 s where a new one takes 0.4 s of CPU.

What is loaded when, and what Python itself says on its way out, is for the tests that start the program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from logging import WARNING, getLogger
from typing import IO, NoReturn

from lbkit_cli.main import main

_LOOKS_EVERY = 0.002  # seconds


def lbkit(
    *words: str, stdin: str = "", timeout: float = 60.0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` has it, with `environment` beside that of now. Raises TimeoutExpired once it is killed."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: this process has threads
            pid = os.fork()
        if pid == 0:
            _run(words, (given, out, err), environment or {})
        code = _wait(pid, [*words], timeout)
        for one in (out, err):
            one.seek(0)
        said = (one.read().decode().replace("\r\n", "\n") for one in (out, err))  # as `text=True`
        return subprocess.CompletedProcess([*words], code, *said)


def _run(words: tuple[str, ...], files: tuple[IO[bytes], ...], environment: Mapping[str, str]) -> NoReturn:
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.resetwarnings()
        getLogger().handlers.clear()  # pytest's
        getLogger().setLevel(WARNING)
        os.environ |= environment
        if "TZ" in environment:
            time.tzset()
        sys.argv = ["lbkit", *words]
        main()
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _wait(pid: int, words: list[str], timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise subprocess.TimeoutExpired(words, timeout)
        time.sleep(_LOOKS_EVERY)
