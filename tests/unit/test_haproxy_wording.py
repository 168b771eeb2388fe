"""Nothing that an operator types can become a second command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.errors import Misuse
from lbkit.haproxy import wording


@pytest.mark.parametrize("text", ["", "a b", "a;b", "a\n", "a/b", "a\\", "é", "a<<", "\x00"])
def test_a_name_that_haproxy_itself_forbids_is_misuse(text):
    with pytest.raises(Misuse, match="can't be the name of a server in HAProxy"):
        wording.name(text, "server")


def test_a_name_that_haproxy_allows_goes_as_it_is():
    assert wording.name("CCW_App-Server.1:a", "server") == "CCW_App-Server.1:a"


@pytest.mark.parametrize("text", ["", "a b", "a;b", "a\n", "*a", "#1", "@a", "-", "a\\", "a<<", "a\x1b"])
def test_a_file_that_would_end_or_change_the_command_is_misuse(text):
    with pytest.raises(Misuse, match="can't be named in a command"):
        wording.file(text)


@pytest.mark.parametrize("text", ["", "a\n", "a\x00", "\t"])
def test_a_key_that_does_not_print_is_misuse(text):
    with pytest.raises(Misuse, match="can't be a key"):
        wording.key(text)


@given(st.text())
def test_a_key_stays_one_word_of_one_command(text):
    try:
        quoted = wording.key(text)
    except Misuse:
        return
    plain = quoted.replace("\\\\", "").replace("\\ ", "").replace("\\;", "").replace("\\<", "")
    assert not set(plain) & set(" ;\\<")
    assert wording.one_command(f"clear table T key {quoted}")


@pytest.mark.parametrize(
    "text", ["", "a;b", "a\nb", "a\\", "a <<", "a\\\\;b", "a\x7f", "a\x1b[0m", "set ssl cert f <<\nx"]
)
def test_more_than_one_command_is_misuse(text):
    with pytest.raises(Misuse, match="is not one command"):
        wording.one_command(text)
