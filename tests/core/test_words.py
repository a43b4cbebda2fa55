"""Numbers in words."""

import math

import pytest

from modelsgenesis.core.words import duration, listed, many, mean_sd, mean_sd_words, number, short_number

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "words"), [(0.12345, "0.123"), (12.345, "12.3"), (-3.0, "-3.000"), (NAN, "–"), (math.inf, "–")]
)
def test_short_numbers_have_three_digits_and_one_from_ten_on(value, words):
    """What is undefined or infinite is a dash."""
    assert short_number(value) == words


def test_numbers_have_the_digits_and_the_sign_that_one_wants():
    """By default four digits and no plus."""
    assert number(0.5) == "0.5000"
    assert number(0.5, 2, signed=True) == "+0.50"
    assert number(NAN, signed=True) == "-"


def test_spread_is_of_what_is_there():
    """Missing values are left out; the deviation of a single one is undefined and not said."""
    assert mean_sd([1.0, NAN, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_sd_words([1.0, NAN, 3.0]) == "2.000 ± 1.414"
    assert mean_sd_words([1.0]) == "1.000"
    assert mean_sd_words([NAN]) == "-"


def test_counts_and_lists_read_as_people_write_them():
    """One case, two cases; a long list ends with how many more there are."""
    assert (many(1, "case"), many(2, "case")) == ("1 case", "2 cases")
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


@pytest.mark.parametrize(("seconds", "words"), [(119.4, "119 s"), (600, "10 min"), (9000, "2.5 h"), (NAN, "unknown")])
def test_times_have_the_unit_that_people_would_use(seconds, words):
    """Seconds to two minutes, minutes to two hours."""
    assert duration(seconds) == words
