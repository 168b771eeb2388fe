"""A table of IPVS of its own for a test, in a network namespace, and ipvsadm there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from interop.remotes import program
from system.namespaces import Namespace, namespaces
from unit.ipvs_tables import Table

from lbkit.ipvs.kernel import Kernel
from lbkit.ipvs.table import Virtual

V4, V6 = Virtual("192.0.2.10", 104), Virtual("2001:db8::10", 104)


@pytest.fixture
def space() -> Iterator[Namespace]:
    """A network namespace, and so a table, of its own."""
    with namespaces(1) as (made,):
        yield made


@pytest.fixture
def kernel(space: Namespace) -> Iterator[Kernel]:
    with Kernel(space.file) as opened:
        yield opened


@pytest.fixture
def ipvsadm(space: Namespace) -> Callable[..., str]:
    """What it says, in that namespace."""
    path = program("ipvsadm", "ipvsadm")

    def run(*options: str, said: str | None = None) -> str:
        with space.inside():
            ran = subprocess.run([path, *options], input=said, capture_output=True, text=True, timeout=20, check=False)
        assert ran.returncode == 0, ran.stderr
        assert not ran.stderr
        return ran.stdout

    return run


def seen(kernel: Kernel) -> Table:
    """The kernel's table, without what it counts."""
    return {
        key: (one.service, {place: to.destination for place, to in one.destinations.items()})
        for key, one in kernel.services().items()
    }


def write(kernel: Kernel, table: Table) -> None:
    for service, to in table.values():
        kernel.add_service(service)
        for one in to.values():
            kernel.add(service.key, one)
