"""Files that a site names: whether they are there, and who may read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from lbkit.site.findings import Key, Problem


def missing(given: Mapping[str, str], key: Key) -> Iterator[Problem]:
    """Paths, by the last part of their keys, where no file is."""
    for name, path in given.items():
        at = (*key, name)
        if not os.path.exists(path):
            yield Problem("error", "file-missing", at, f"{path} is not there. Put the file there, or correct the path.")
        elif not os.path.isfile(path):  # a pipe could be waited for without end
            yield Problem(
                "error", "unusable", at, f"{path} is no file, but a folder, pipe or device. Correct the path."
            )


def readable_by_all(path: str, key: Key, of: str = "") -> Iterator[Problem]:
    """A secret that is none, in a file that is there. `of`: what it belongs to, where the key does not say it."""
    if os.stat(path).st_mode & stat.S_IROTH:
        message = f"{of and f'{of}: '}every user of this machine may read {path}. Run: chmod o-rwx {path}"
        yield Problem("warning", "readable-by-all", key, message)
