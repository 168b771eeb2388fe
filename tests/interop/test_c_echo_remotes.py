"""c-echo against real servers, through each of its three doors."""

from __future__ import annotations

from interop.doors import Door, blocking, in_asyncio, probe
from interop.remotes import Remote


def test_a_real_server_is_up_through_every_door(remote: Remote, door: Door) -> None:
    said = door("c-echo", remote.target, aec=remote.called)
    assert said.verdict == ("up", "echo", "ok")
    assert said.message == "answers C-ECHO with Success"


def test_both_drivers_tell_what_the_server_is(remote: Remote) -> None:
    for door in (blocking, in_asyncio):
        details = door("c-echo", remote.target, aec=remote.called).details
        assert details["status"] == "0000H"
        assert details["implementation_version"].startswith(remote.version)
        assert details["implementation_class_uid"].startswith(remote.class_uid)
        assert details["max_pdu"] == remote.max_pdu
        assert "notes" not in details, "the release was confirmed"


def test_an_unknown_called_title_is_rejected_in_the_words_of_the_standard(orthanc_strict: Remote, door: Door) -> None:
    said = door("c-echo", orthanc_strict.target, aec="LB-SCP")
    assert said.verdict == ("down", "associate", "rejected")
    assert "rejected-permanent, DICOM UL service-user, called-AE-title-not-recognized" in said.message
    assert "LB-SCP" in said.message
    assert "--aec" in said.message


def test_a_caller_that_may_not_verify_is_aborted_at_the_echo(orthanc_strict: Remote, door: Door) -> None:
    said = door("c-echo", orthanc_strict.target, aec="ORTHANC", aet="STRANGER")
    assert said.verdict == ("down", "echo", "aborted")
    assert "DICOM UL service-" in said.message


def test_a_server_that_does_not_know_its_caller_names_the_title(dcmqrscp: Remote, door: Door) -> None:
    """dcmqrscp rejects a called title that is in no line of its AETable."""
    said = door("c-echo", dcmqrscp.target, aec="NOBODY")
    assert said.verdict == ("down", "associate", "rejected")
    assert "called-AE-title-not-recognized" in said.message


def test_titles_of_sixteen_characters_and_with_spaces_are_taken(storescp: Remote, door: Door) -> None:
    assert door("c-echo", storescp.target, aet="SIXTEEN-LETTERS.", aec="WITH SPACES").status == "up"


def test_a_host_name_is_looked_up_and_its_address_is_told(storescp: Remote) -> None:
    for door in (blocking, in_asyncio):
        said = door("c-echo", f"localhost:{storescp.port}")
        assert said.status == "up"
        assert said.details["address"] == "127.0.0.1"
    assert probe("c-echo", f"localhost:{storescp.port}").status == "up"
