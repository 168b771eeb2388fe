"""Real remotes, started once for all tests that ask for them. What is not installed is skipped, by the name of its package;
with LBKIT_REQUIRE_REMOTES=1 it fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from interop.doors import DOORS, Door
from interop.remotes import Remote, dcmtk, orthanc, pynetdicom_scp
from interop.secured import Authority, Secured, secured_storescp

from lbkit.testing import listener as listener
from lbkit.testing import throwaway_ca as throwaway_ca

KNOWN_CALLER = {"DicomModalities": {"lb": ["LOADBALANCER", "127.0.0.1", 104]}}
REMOTES = ("storescp", "dcmqrscp", "orthanc_lax", "orthanc_strict", "pynetdicom_server")


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a verb that is given no folder writes down, it does not write into that of this machine."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LBKIT_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Door:
    """Each way in: the blocking driver, the asyncio driver, the probe."""
    return DOORS[request.param]


@pytest.fixture(params=REMOTES)
def remote(request: pytest.FixtureRequest) -> Remote:
    """Each remote, one after the other."""
    found: Remote = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def storescp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with dcmtk("storescp", tmp_path_factory.mktemp("storescp"), "--ignore") as remote:
        yield remote


@pytest.fixture(scope="session")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with dcmtk("dcmqrscp", tmp_path_factory.mktemp("dcmqrscp")) as remote:
        yield remote


@pytest.fixture(scope="session")
def orthanc_lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Takes every AE title."""
    folder = tmp_path_factory.mktemp("orthanc-lax")
    with orthanc(folder, DicomCheckCalledAet=False, DicomAlwaysAllowEcho=True) as remote:
        yield remote


@pytest.fixture(scope="session")
def orthanc_strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Wants to be called ORTHANC, associates with everybody, and lets LOADBALANCER alone verify."""
    folder = tmp_path_factory.mktemp("orthanc-strict")
    with orthanc(folder, DicomCheckCalledAet=True, DicomAlwaysAllowEcho=False, **KNOWN_CALLER) as remote:
        yield remote


@pytest.fixture(scope="session")
def pynetdicom_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with pynetdicom_scp(tmp_path_factory.mktemp("pynetdicom")) as remote:
        yield remote


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of the server and client below."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def storescp_tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Secured]:
    """storescp that requires a client certificate of `authority`."""
    with secured_storescp(tmp_path_factory.mktemp("storescp-tls"), authority) as secured:
        yield secured
