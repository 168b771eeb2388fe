"""A value that was read from files, and is read again when one of them changes. C modules only: `lbkit-probe` loads it."""

from posix import stat

from lbkit.errors import Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Generic, TypeAlias, TypeVar

    Stamp: TypeAlias = tuple[int, ...] | None
    T = TypeVar("T")
else:
    T, Generic = 0, (object,)  # importing typing takes longer than a whole check


class Watched(Generic[T]):
    """Holds what `read()` made of the files at `paths`. Its constructor raises what `read` raises.

    A change is one of a file's time, size or place on the disk; a symlink counts as what it leads to. `error`: why the
    value in hand is not that of the files as they are now, or None.
    """

    __slots__ = ("_paths", "_read", "_stamps", "_value", "error")

    def __init__(self, read: "Callable[[], T]", paths: "Iterable[str]") -> None:
        self._read = read
        self._paths = tuple(paths)
        self._stamps = self._look()  # before reading, so that a change meanwhile is seen by the first `get`
        self._value = read()
        self.error: Misuse | None = None

    def get(self) -> T:
        """The value of now; the last good one, with `error` set, while `read` raises Misuse for what is there now."""
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._value = self._read()
                self.error = None
            except Misuse as e:
                self.error = e
        return self._value

    def _look(self) -> "list[Stamp]":
        return [_stamp(path) for path in self._paths]


def _stamp(path: str) -> "Stamp":
    try:
        found = stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
