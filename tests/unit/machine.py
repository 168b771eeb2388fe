"""A folder that stands for a machine, and an engine that notes what it was asked for."""

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

from lbkit.install.difference import changes
from lbkit.install.files import File
from lbkit.install.ritual import install

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # waits for no disk


class Engine:
    """What `check`, `activate` and `verify` were asked for, and what they raise, each time or (a list) one by one."""

    def __init__(self, **raises):
        self.calls = []
        self._raises = raises

    def _called(self, name):
        self.calls.append(name)
        error = self._raises.get(name)
        if isinstance(error, list):
            error = error.pop(0) if error else None
        if error:
            raise error

    def __getattr__(self, name):
        return lambda: self._called(name)

    def doors(self):
        return {name: getattr(self, name) for name in ("check", "activate", "verify")}


class Machine:
    """A folder as the root of a machine, and the manifest of lbkit there."""

    def __init__(self, root):
        self.root = root
        self.manifest = root / "lib" / "installed.json"
        (root / "etc").mkdir()

    def path(self, name):
        return self.root / "etc" / name

    def file(self, name, content, mode=0o644, secret=False):
        return File(self.path(name), content.encode() if isinstance(content, str) else content, mode, secret)

    def put(self, name, content, mode=0o644):
        self.path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        self.path(name).chmod(mode)

    def install(self, *files, engine=None, **more):
        return install(files, self.manifest, **(engine or Engine()).doors(), **more)

    def changes(self, *files):
        return changes(files, self.manifest)

    def all(self):
        """Everything that is there: kind and mode, owner, group, and content, by path."""
        return {
            str(path.relative_to(self.root)): (
                stat.filemode(there.st_mode),
                there.st_uid,
                there.st_gid,
                os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
            )
            for path in sorted(self.root.rglob("*"))
            if path.name != "installed.json.lock"
            for there in [path.lstat()]
        }


@contextmanager
def a_machine():
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Machine(Path(folder))
