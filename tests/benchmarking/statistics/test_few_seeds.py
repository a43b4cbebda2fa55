"""Intervals of few seeds hold what they promise."""

import math

import numpy as np
import pytest
from benchmarks.intervals import SHAPES, crossed, holds, over_both
from scipy import stats

from modelsgenesis.benchmarking.statistics.few_seeds import (
    Estimate,
    draw_seeds,
    mean_over_both,
    mean_over_seeds,
    percentiles,
    t_reach,
)

VALUES = np.array([0.1, -0.2, 0.4, 0.3, 0.05])


def binomial(times: int, p: float) -> tuple[float, float]:
    """The rates that all but one in 1000 of such simulations show."""
    low, high = stats.binom.ppf((0.0005, 0.9995), times, p) / times
    return float(low), float(high)


def test_up_to_five_seeds_all_resamples_are_listed() -> None:
    """Each of the 3125 ways once; six seeds are drawn at random."""
    counts = draw_seeds(5, 10, 0)
    assert counts.shape == (5**5, 5)
    assert (counts.sum(1) == 5).all()
    assert (counts.max(1) == 5).sum() == 5
    assert draw_seeds(6, 10, 0).shape == (10, 6)
    assert (draw_seeds(6, 10, 0) == draw_seeds(6, 10, 0)).all()
    assert (draw_seeds(6, 10, 0) != draw_seeds(6, 10, 1)).any()


def test_interval_over_seeds_is_students() -> None:
    """As scipy's, and as the bootstrap's standard error with t: for a mean these are one."""
    found = mean_over_seeds(VALUES)
    expected = stats.t.interval(0.95, 4, VALUES.mean(), stats.sem(VALUES))
    assert (found.low95, found.high95) == pytest.approx(expected)
    bootstrapped = (draw_seeds(5, 0, 0) @ VALUES / 5).var() * 5 / 4
    assert found.high95 - found.value == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(bootstrapped))


def test_interval_over_patients_alone_is_students() -> None:
    """Where seeds hardly differ, all ways to draw four patients give the interval of their own spread, with n - 1."""
    patients = np.array([0.1, -0.2, 0.4, 0.3])
    seeds = patients.mean() + 1e-6 * np.array([-1, 0, 1])
    drawn = draw_seeds(4, 0, 0) @ patients / 4  # (256,)
    found = mean_over_both(seeds, np.tile(drawn, (3, 1)), 4)
    expected = stats.t.interval(0.95, 3, patients.mean(), stats.sem(patients))
    assert (found.low95, found.high95) == pytest.approx(expected, rel=1e-4)


def test_degrees_of_freedom_are_satterthwaites() -> None:
    """Two equal variances have twice the degrees of one; a source without spread changes nothing; none gives none."""
    found = t_reach(np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 0.0]]), np.array([4, 4]))
    expected = [stats.t.ppf(0.975, 8) * math.sqrt(2), stats.t.ppf(0.975, 4) * math.sqrt(2), 0]
    assert found == pytest.approx(expected)


def test_a_further_source_of_chance_never_narrows() -> None:
    """Many patients bring degrees of freedom, and no certainty about seeds; nor do seeds about few patients."""
    seeds, patients = np.array([1.0, 1.0, 1.0, 0.1]), np.array([0.01, 0.3, 3.0, 1.0])
    both = t_reach(np.stack([seeds, patients]), np.array([4, 59]))
    assert (both >= t_reach(seeds[None], np.array([4]))).all()
    assert (t_reach(np.stack([seeds, patients]), np.array([9, 2])) >= t_reach(patients[None], np.array([2]))).all()
    rng = np.random.default_rng(0)
    values = 0.02 * rng.standard_normal((5, 1)) + 0.05 * rng.standard_normal((5, 60)) + 0.025
    assert over_both(values, tuple(map(str, range(60))), 2000, 0).low95 <= mean_over_seeds(values.mean(1)).low95


def test_cases_of_a_patient_are_one_piece_of_evidence() -> None:
    """Each case written four times over changes the interval only if it is taken for four patients."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.1, 0.1, 12) + rng.normal(0, 0.01, (5, 12))
    names = tuple("abcdefghijkl")
    once = over_both(values, names, 2000, 0)
    same = over_both(np.repeat(values, 4, axis=1), tuple(np.repeat(names, 4)), 2000, 0)
    assert same.low95 == pytest.approx(once.low95)
    other = tuple(str(k) for k in range(48))
    more = over_both(np.repeat(values, 4, axis=1), other, 2000, 0)
    assert more.high95 - more.low95 < 0.7 * (once.high95 - once.low95)


def test_one_seed_or_one_patient_has_no_interval() -> None:
    """The mean alone."""
    assert mean_over_seeds(np.array([0.5])).value == 0.5
    assert math.isnan(mean_over_seeds(np.array([0.5])).low95)
    assert math.isnan(over_both(np.ones((3, 2)), ("p", "p"), 10, 0).low95)
    assert not mean_over_seeds(np.array([0.5])).excludes_zero


def test_equal_values_of_all_seeds_have_no_interval() -> None:
    """Their spread is not nothing but unknown, as the t-test has it: zero is not excluded, over patients neither."""
    values = np.array([0.75, 0.9, 0.6]) - np.array([0.5, 0.65, 0.35])  # 0.25 but for rounding
    for found in (mean_over_seeds(values), mean_over_both(values, np.array([[0.25, 0.26]] * 3), 2)):
        assert found.value == pytest.approx(0.25)
        assert math.isnan(found.low95)
        assert not found.excludes_zero


def test_excluding_zero_is_being_on_one_side_of_it() -> None:
    """Zero itself as an end is not excluded."""
    assert Estimate(2, 1, 3).excludes_zero
    assert Estimate(-2, -3, -1).excludes_zero
    assert not Estimate(1, 0, 2).excludes_zero
    assert not Estimate(1, -np.inf, 2).excludes_zero


def test_coverage_of_five_seeds() -> None:
    """Of normal differences Student's interval holds the truth 95 times in 100; the plain bootstrap under 88."""
    rng, counts = np.random.default_rng(0), draw_seeds(5, 0, 0)
    drawn = rng.standard_normal((2000, 5))
    ours = np.mean([holds(mean_over_seeds(values), 0) for values in drawn])
    plain = np.mean([holds(percentiles(counts @ values / 5, values.mean()), 0) for values in drawn[:500]])
    low, high = binomial(2000, 0.95)
    assert low <= ours <= high
    assert plain < 0.88


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "least"), [("heavy-tailed (t, 3 degrees)", 0.95), ("skewed (exponential)", 0.87)])
def test_coverage_of_other_shapes(shape: str, least: float) -> None:
    """At least what the page of rules says, to the chance of the simulation."""
    rng = np.random.default_rng(0)
    rate = np.mean([holds(mean_over_seeds(SHAPES[shape](rng, 5)), 0) for _ in range(4000)])
    assert rate >= binomial(4000, least)[0]


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(0.02, 0.04), (0.005, 0.04), (0.02, 0.01)])
def test_coverage_over_seeds_and_patients(spreads: tuple[float, float]) -> None:
    """At least 94 in 100 whichever spreads more; where seeds do, the plain two-level bootstrap has fewer."""
    rng, hits = np.random.default_rng(0), np.zeros(2)
    names = tuple(str(k) for k in range(20))
    for at in range(1000):
        values = spreads[0] * rng.standard_normal((5, 1)) + spreads[1] * rng.standard_normal(20)
        values = values + 0.04 * rng.standard_normal((5, 20))
        hits += (
            holds(over_both(values, names, 400, at), 0),
            holds(crossed(values, names, 400, at), 0),
        )
    assert hits[0] / 1000 >= binomial(1000, 0.94)[0]
    assert hits[0] >= hits[1] or spreads[1] > spreads[0]
