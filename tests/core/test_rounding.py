"""Rounding quotients that only their last digits keep from being whole."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsgenesis.core.rounding import rounded_down, rounded_up


@given(st.integers(0, 1000), st.integers(1, 5000), st.booleans())
def test_quotient_of_steps_is_the_whole_number_that_was_meant(times: int, step_um: int, single: bool) -> None:
    """However many steps of however many millimetres, also where a header keeps them as float32."""
    step_mm, whole_mm = step_um / 1000, times * step_um / 1000
    if single:
        step_mm = float(np.float32(step_mm))
    assert rounded_down(whole_mm / step_mm) == rounded_up(whole_mm / step_mm) == times


@given(st.floats(0, 1e5))
def test_what_is_not_nearly_whole_is_rounded_as_ever(number: float) -> None:
    """Down and up, to a whole number in between which it lies."""
    low, high = rounded_down(number), rounded_up(number)
    assert low - 1e-6 * max(1, number) <= number <= high + 1e-6 * max(1, number)
    if low != high:
        assert (low, high) == (math.floor(number), math.ceil(number))


@pytest.mark.parametrize(("number", "down", "up"), [(1.2 / 0.4, 3, 3), (3.3 / 1.1, 3, 3), (2.5, 2, 3), (2.9999, 2, 3)])
def test_known_quotients(number: float, down: int, up: int) -> None:
    """Those that lose a step, and those that do not."""
    assert (rounded_down(number), rounded_up(number)) == (down, up)
