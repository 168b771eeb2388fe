"""Words, patterns and log formats: what HAProxy reads is what was meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.haproxy.quoting import line, literal, pattern, quoted
from lbkit.haproxy.regex import not_portable


def words(text: str) -> list[str]:
    """As HAProxy reads a line (manual 2.2): outside of quotes, a backslash keeps one of these as it is."""
    found, word, at, inside = [], None, 0, False
    while at < len(text):
        one = text[at]
        if inside:
            inside = one != "'"
            word = (word or "") + (one if inside else "")
        elif one == "'":
            inside, word = True, word or ""
        elif one == "\\":
            at += 1
            assert text[at] in " \\#'\"$"
            word = (word or "") + text[at]
        elif one == " ":
            found += [word] if word is not None else []
            word = None
        else:
            assert one not in '#"$'
            word = (word or "") + one
        at += 1
    assert not inside
    return found + ([word] if word is not None else [])


TEXTS = st.text(st.one_of(st.sampled_from("'\"\\$# %{}[]()~"), st.characters(exclude_categories=["Cs", "Cc"])))


@given(st.lists(TEXTS))
def test_every_word_is_read_as_it_was(given_words):
    assert words(line(*given_words)) == given_words


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x7f"])
def test_a_control_character_cannot_be_quoted(text):
    with pytest.raises(ValueError, match="control character"):
        quoted(text)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_pattern_matches_its_text_alone_and_is_plain_ascii(text, other):
    expression = re.compile(pattern(text).encode())
    assert pattern(text).isascii()
    assert pattern(text).isprintable()
    assert expression.fullmatch(text.encode())
    assert bool(expression.fullmatch(other.encode())) == (text == other)


def test_a_log_format_gives_its_text():
    assert literal("50%[src]%%") == "50%%[src]%%%%"


@pytest.mark.parametrize(
    "text", ["", "ok", r"^\d{1,3}$", "[^]a]", "[]x]y", "(?:a|b)+", "(?i)ok", r"\[\]\.", '{"a": 1}', "a{2,}"]
)
def test_what_both_languages_read_alike_is_portable(text):
    assert not_portable(text) == ""


@pytest.mark.parametrize(
    "text",
    [r"(a)\1", r"\x41", r"\Aok", r"ok\Z", "(?=a)", "(?P<n>a)", "(?s).", "a(?i)b", "[[:alpha:]]", "[a[b]", "{,3}", "a{65536}",
     "(?:a{900}){900}", "é", "()" * 201, r"[\p{L}]"],
)  # fmt: skip
def test_what_they_may_read_otherwise_is_not(text):
    assert not_portable(text)
