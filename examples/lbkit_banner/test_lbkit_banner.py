"""The check `banner`: its protocol by bytes alone, then the installed plugin against a real server."""

import pytest
from lbkit_banner import BannerParams, prepare

from lbkit import check
from lbkit.testing import Listener, play, splits


def banner(**params):
    """The protocol against any target."""
    return prepare(BannerParams(**params))(None)


@pytest.mark.parametrize("chunks", [*splits(b"SSH-2.0-OpenSSH_9.2p1\r\n")])
def test_the_greeting_is_up_however_the_network_cuts_it(chunks):
    outcome, sent = play(banner(), *chunks)
    assert outcome.up
    assert sent == []


def test_another_greeting_is_down_and_quoted():
    outcome, _ = play(banner(), b"220 ready\r\n")
    assert (outcome.reason, "220 ready" in outcome.message) == ("other-greeting", True)


def test_a_server_that_closes_without_a_greeting_is_down():
    outcome, _ = play(banner(), b"SSH", b"")
    assert outcome.reason == "no-greeting"


def test_the_installed_check_is_found_by_its_name():
    with Listener(lambda client: client.sendall(b"220 ready\r\n")) as remote:
        assert check("banner", remote.target, starts_with="220 ").status == "up"
        assert check("banner", remote.target).reason == "other-greeting"
