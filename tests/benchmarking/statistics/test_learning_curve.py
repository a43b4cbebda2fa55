"""Learning curves never fall, and are read in both directions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from modelsgenesis.benchmarking.statistics.learning_curve import Curve, cases_to_reach, fit_curve, isotonic
from modelsgenesis.core.errors import DataError

BUDGETS = st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 10)), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(BUDGETS)
def test_isotonic_is_scipys(budgets: list[tuple[float, int]]) -> None:
    """The nearest rising numbers, each budget weighed by its runs; exactly never falling."""
    means, n = (np.array(column, float) for column in zip(*budgets, strict=True))
    found = isotonic(means, n)
    np.testing.assert_allclose(found, optimize.isotonic_regression(means, weights=n).x, atol=1e-12)
    assert (np.diff(found) >= 0).all()


def test_many_curves_at_once_are_each_alone() -> None:
    """Rows do not touch one another."""
    rng = np.random.default_rng(0)
    means, weights = rng.normal(size=(50, 6)), rng.integers(1, 6, (50, 6)).astype(float)
    alone = [isotonic(row, weight) for row, weight in zip(means, weights, strict=True)]
    np.testing.assert_allclose(isotonic(means, weights), alone)


def test_budgets_that_fall_are_pooled_by_their_runs() -> None:
    """0.7 of one run and 0.6 of three become 0.625; the curve keeps the means beside."""
    curve = fit_curve([3, 6, 12], [0.5, 0.7, 0.6], [5, 1, 3])
    assert curve.scores == pytest.approx((0.5, 0.625, 0.625))
    assert curve.means == (0.5, 0.7, 0.6)


def test_between_budgets_the_curve_is_straight_over_the_logarithm() -> None:
    """Half of the way from 3 to 12 cases is 6; beyond the ends it stays."""
    curve = fit_curve([3, 12], [0.4, 0.8], [5, 5])
    assert curve.at(6) == pytest.approx(0.6)
    assert (curve.at(1), curve.at(100)) == pytest.approx((0.4, 0.8))


def test_cases_to_reach_by_hand() -> None:
    """Between two budgets, at one, before the first, after the last; of a plateau its begin."""
    curve = fit_curve([3, 12, 50, 100], [0.4, 0.8, 0.8, 0.9], [5] * 4)
    assert cases_to_reach(curve, 0.6) == pytest.approx(6)
    assert cases_to_reach(curve, 0.8) == 12
    assert cases_to_reach(curve, 0.4) == 3
    assert cases_to_reach(curve, 0.1) == 3
    assert cases_to_reach(curve, 0.9) == 100
    assert cases_to_reach(curve, 0.91) == np.inf


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.floats(0, 1))
def test_reading_there_and_back(rises: list[float], share: float) -> None:
    """The curve at the cases that a score takes has that score."""
    scores = np.cumsum(rises)
    curve = fit_curve([3 * 2**k for k in range(len(rises))], scores.tolist(), [5] * len(rises))
    score = scores[0] + share * (scores[-1] - scores[0])
    cases = cases_to_reach(curve, min(score, scores[-1]))
    assert curve.at(cases) == pytest.approx(score)


def test_errors_fall_with_more_cases() -> None:
    """Where smaller is better the curve never rises, and a score is reached from above."""
    curve = fit_curve([3, 6, 12], [9.0, 5.0, 6.0], [5, 5, 5], higher_is_better=False)
    assert curve.scores == pytest.approx((9, 5.5, 5.5))
    assert cases_to_reach(curve, 7.25) == pytest.approx(np.sqrt(18))
    assert cases_to_reach(curve, 5) == np.inf
    assert cases_to_reach(curve, 10) == 3


def test_one_budget_is_a_curve() -> None:
    """It is reached there, or not at all."""
    curve = fit_curve([12], [0.5], [5])
    assert curve == Curve((12,), (0.5,), (0.5,), (5,))
    assert (cases_to_reach(curve, 0.5), cases_to_reach(curve, 0.6)) == (12, np.inf)


@pytest.mark.parametrize(
    ("cases", "means", "n", "words"),
    [
        ([3, 3], [0.1, 0.2], [5, 5], "rise"),
        ([0, 3], [0.1, 0.2], [5, 5], "rise"),
        ([3, 6], [0.1, float("nan")], [5, 5], "needs runs and a mean"),
        ([3, 6], [0.1, 0.2], [5, 0], "needs runs and a mean"),
        ([3, 6], [0.1], [5, 5], "go together"),
        ([], [], [], "go together"),
    ],
)
def test_what_is_no_curve_is_refused(cases: list[int], means: list[float], n: list[int], words: str) -> None:
    """With what is wrong."""
    with pytest.raises(DataError, match=words):
        fit_curve(cases, means, n)
