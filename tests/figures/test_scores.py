"""Strips, curves of decisions and predicted against true numbers."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from modelsgenesis.figures.scores import (
    SPREAD,
    draw_decisions,
    draw_numbers,
    draw_strip,
    draw_strips,
    reliability,
    roc,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_area_under_the_curve_is_the_share_of_pairs_in_order(seed: int) -> None:
    """Ties count half, as they do when one threshold passes both; the curve rises from (0, 0) to (1, 1)."""
    rng = np.random.default_rng(seed)
    scores, there = np.round(rng.uniform(size=30), 1), np.append([True, False], rng.random(28) < 0.4)
    x, y = roc(scores, there)
    pairs = scores[there][:, None] - scores[~there][None]
    np.testing.assert_allclose(np.trapezoid(y, x), (pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()


def test_one_kind_of_case_has_no_curve() -> None:
    """There is nothing to separate."""
    assert len(roc(np.array([0.1, 0.9]), np.array([True, True]))[0]) == 0


def test_reliability_counts_every_case_once() -> None:
    """p = 1 falls into the last tenth; empty tenths are left out."""
    predicted, true, counts = reliability(np.array([0.05, 0.0, 0.55, 1.0]), np.array([False, True, True, True]))
    np.testing.assert_allclose(predicted, [0.025, 0.55, 1.0])
    np.testing.assert_allclose(true, [0.5, 1, 1])
    np.testing.assert_array_equal(counts, [2, 1, 1])


def test_every_defined_case_is_a_point_in_its_row() -> None:
    """Undefined cases are none; the quartiles are those of the points."""
    axes = Figure().add_subplot()
    values = np.array([0.2, np.nan, 0.4, 0.9])
    draw_strip(axes, values, 3.0, "#000000")
    points = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(points[:, 0], [0.2, 0.4, 0.9])
    assert (np.abs(points[:, 1] - 3.0) <= SPREAD).all()
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.percentile([0.2, 0.4, 0.9], (25, 75)))
    np.testing.assert_allclose(axes.lines[1].get_xdata(), [0.4, 0.4])


def test_pictures_are_drawn_twice_alike(tmp_path: Path) -> None:
    """Labels without a case, and a single case, are no error."""
    strips = {"Dice": {"a": np.array([0.5]), "b": np.array([np.nan])}, "mm": {"a": np.array([7.0]), "b": np.zeros(3)}}
    decisions = {"a": (np.array([0.2, 0.8]), np.array([0, 1])), "b": (np.array([0.2, 0.8]), np.array([1, 1]))}
    numbers = {"age": (np.array([1.0, 2.0]), np.array([1.0, 1.0]))}
    for name in ("one", "two"):
        draw_strips(tmp_path / f"strips-{name}.png", strips, {"Dice": 1.0})
        draw_decisions(tmp_path / f"decisions-{name}.png", decisions)
        draw_numbers(tmp_path / f"numbers-{name}.png", numbers)
    for kind in ("strips", "decisions", "numbers"):
        one, two = (tmp_path / f"{kind}-{name}.png" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
