"""A pair for the tests of a module, whole again before each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from system.pair.cluster import Cluster, cluster


@pytest.fixture(scope="module")
def running_pair() -> Iterator[Cluster]:
    """As it is after a boot, at 1 s adverts."""
    with cluster() as made:
        yield made


@pytest.fixture
def pair(running_pair: Cluster) -> Iterator[Cluster]:
    """One master, both nodes fit, all cables in; which node is the master is open."""
    running_pair.restore()
    yield running_pair
    print(running_pair.logs())  # pytest shows it where the test has failed
