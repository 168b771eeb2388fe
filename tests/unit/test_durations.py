"""Durations with units: what is read, what is refused, and that what is written is read again."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.durations import UNITS, seconds, written

YEAR = 366 * 86400


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("12h", 43200.0),
        ("720m", 43200.0),
        ("5s", 5.0),
        ("250ms", 0.25),
        ("1h30m", 5400.0),
        ("1d1ms", 86400.001),
        ("1m1m", 120.0),
        ("0s", 0.0),
        ("007s", 7.0),
        ("366d", float(YEAR)),
    ],
)
def test_numbers_with_units_add_up(text, duration):
    assert seconds(text) == pytest.approx(duration, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "5 s",
        "5S",
        "-5s",
        "1.5s",
        "5s ",
        " 5s",
        "5s\n",
        "1h 30m",
        "5us",
        "1h30",
        "\u0665s",
        "5\u017f",
        "1e3s",
        "0" * 40 + "s",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"is no duration; write a number and its unit .*, such as 12h or 5s$") as e:
        seconds(text)
    assert repr(text[:40]) in str(e.value)


@pytest.mark.parametrize("text", ["367d", "366d1ms", f"{YEAR + 1}s", "9" * 38 + "d"])
def test_more_than_a_year_is_refused(text):
    with pytest.raises(ValueError, match="is longer than a year"):
        seconds(text)


@given(st.text(st.sampled_from("0123456789dhms .-\n"), max_size=50))
def test_any_text_is_a_duration_of_up_to_a_year_or_a_value_error(text):
    with suppress(ValueError):
        assert 0 <= seconds(text) <= YEAR


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (43200.0, "12h"),
        (5400.0, "90m"),
        (90.0, "90s"),
        (86400.0, "1d"),
        (90000.0, "25h"),
        (0.25, "250ms"),
        (1.5, "1500ms"),
        (0.0, "0ms"),
        (0.0004, "0ms"),
        (1976399.999, "1976399999ms"),
    ],
)
def test_the_largest_unit_that_fits_is_written(duration, text):
    assert written(duration) == text


@given(st.integers(0, YEAR * 1000))
def test_what_is_written_is_read_as_the_same(milliseconds):
    assert seconds(written(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_what_is_read_of_parts_is_their_sum(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    total = sum(number * UNITS[unit] for number, unit in parts)
    if total > YEAR:
        with pytest.raises(ValueError, match="longer than a year"):
            seconds(text)
    else:
        assert seconds(text) == pytest.approx(total)
