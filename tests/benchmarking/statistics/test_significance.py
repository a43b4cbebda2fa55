"""The tests and effect sizes are those of the books, and of scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelsgenesis.benchmarking.statistics.significance import (
    PValue,
    cohen_d,
    cohen_dz,
    hedges,
    holm,
    independent_t,
    paired_t,
    sign_flip,
    wilcoxon,
)

ONE = np.array([0.71, 0.74, 0.69, 0.78, 0.73])
OTHER = np.array([0.70, 0.69, 0.70, 0.71, 0.66])
SHORT = st.lists(st.integers(-40, 40), min_size=1, max_size=8)


def test_independent_t_is_students() -> None:
    """By the formula with pooled variance, eight degrees of freedom."""
    pooled = (ONE.var(ddof=1) + OTHER.var(ddof=1)) / 2
    t = (ONE.mean() - OTHER.mean()) / math.sqrt(pooled * 2 / 5)
    assert independent_t(ONE, OTHER).p == pytest.approx(2 * stats.t.sf(abs(t), 8))


def test_paired_t_is_students() -> None:
    """By the formula, and as scipy's test of related samples."""
    assert paired_t(ONE - OTHER).p == pytest.approx(stats.ttest_rel(ONE, OTHER).pvalue)
    t = (ONE - OTHER).mean() / ((ONE - OTHER).std(ddof=1) / math.sqrt(5))
    assert paired_t(ONE - OTHER).p == pytest.approx(2 * stats.t.sf(abs(t), 4))


@settings(max_examples=40, deadline=None)
@given(SHORT)
def test_sign_flip_counts_all_ways_to_flip(numbers: list[int]) -> None:
    """p is the share of the 2^n ways whose mean is as far from zero; never below the least p it states."""
    differences = np.array(numbers, float)
    ways = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=len(differences))]
    expected = np.mean(np.array(ways) >= abs(differences.sum()) - 1e-9)
    found = sign_flip(differences)
    assert found.p == pytest.approx(expected)
    assert found.p >= found.least


@settings(max_examples=40, deadline=None)
@given(SHORT)
def test_wilcoxon_counts_all_ways_to_flip_the_ranks(numbers: list[int]) -> None:
    """Exact with equal ranks too; differences of zero are left out."""
    there = np.array([number for number in numbers if number], float)
    found = wilcoxon(np.array(numbers, float))
    if not len(there):
        assert found.p == 1
        return
    ranks = stats.rankdata(np.abs(there))
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((1, -1), repeat=len(there))]
    observed = abs(np.dot(np.sign(there), ranks))
    assert found.p == pytest.approx(np.mean(np.array(sums) >= observed - 1e-9))
    assert found.p >= found.least


@pytest.mark.parametrize(("n", "least"), [(3, 1 / 4), (5, 1 / 16), (6, 1 / 32), (10, 1 / 512)])
@pytest.mark.parametrize("test", [sign_flip, wilcoxon])
def test_few_seeds_cannot_give_a_small_p(test, n: int, least: float) -> None:  # type: ignore[no-untyped-def]
    """The clearest of all differences gives the least p that is stated; five seeds cannot come below 0.05."""
    found = test(np.arange(1.0, n + 1))
    assert found.p == pytest.approx(least)
    assert found.least == least
    assert found.can_reach == (n > 5)


def test_many_seeds_draw_the_signs_and_say_so() -> None:
    """Beyond 13 pairs 9999 flips are drawn: near the t-test for normal numbers, and the same for one seed."""
    differences = np.random.default_rng(0).normal(0.5, 1, 30)
    found = sign_flip(differences, seed=3)
    assert found == sign_flip(differences, seed=3)
    assert found.least == 2e-4
    assert found.p == pytest.approx(paired_t(differences).p, abs=0.01)


def test_rounding_does_not_break_ties() -> None:
    """0.3 - 0.2 and 0.1 share a rank."""
    assert wilcoxon(np.array([0.3 - 0.2, -0.1, 0.4])).p == wilcoxon(np.array([1.0, -1.0, 4.0])).p


def test_no_spread_leaves_t_and_effects_undefined() -> None:
    """Equal differences: no t-test and no effect size, without a warning; the sign-flip test needs no spread."""
    same = np.full(5, 0.3) - np.full(5, 0.1)
    assert math.isnan(paired_t(same).p)
    assert math.isnan(cohen_dz(same))
    assert math.isnan(independent_t(np.full(3, 0.5), np.full(3, 0.4)).p)
    assert math.isnan(cohen_d(np.full(3, 0.5), np.full(3, 0.4)))
    assert sign_flip(same).p == 1 / 16
    assert sign_flip(np.zeros(5)).p == 1


def test_too_few_runs_leave_all_undefined() -> None:
    """One pair has no t-test, none has nothing at all."""
    assert all(math.isnan(test(np.array([0.1])).p) for test in (paired_t,))
    assert math.isnan(independent_t(np.array([0.1]), np.array([0.2])).p)
    assert math.isnan(cohen_d(np.array([0.1]), np.array([0.2])))
    assert all(math.isnan(test(np.array([])).p) for test in (paired_t, sign_flip, wilcoxon))


def test_holm_by_hand() -> None:
    """The smallest times 4, the next times 3, never falling, never above 1; an undefined one still counts."""
    family = holm([PValue(0.03), PValue(0.01), PValue(float("nan")), PValue(0.02)])
    assert [value.holm for value in family] == pytest.approx([0.06, 0.04, float("nan"), 0.06], nan_ok=True)
    assert [value.holm for value in holm([PValue(0.4), PValue(0.9)])] == [0.8, 0.9]


def test_effects_by_hand() -> None:
    """Differences of 1, 2 and 3 are 2 standard deviations; the correction for two degrees of freedom is 1/sqrt(pi)."""
    assert cohen_dz(np.array([1.0, 2.0, 3.0])) == pytest.approx(2)
    assert cohen_d(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0])) == pytest.approx(0)
    assert cohen_d(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(2)
    assert hedges(2.0, 2) == pytest.approx(2 * math.gamma(1) / math.gamma(0.5))
    assert hedges(1.0, 8) == pytest.approx(1 - 3 / (4 * 8 - 1), abs=1e-3)
    assert math.isnan(hedges(1.0, 1))


def test_hedges_takes_the_bias_off() -> None:
    """The mean of g over many samples of five is the true effect of 1, to four standard errors; that of d is not."""
    rng = np.random.default_rng(0)
    effects = np.array([cohen_d(rng.normal(1, 1, 5), rng.normal(0, 1, 5)) for _ in range(4000)])
    error = effects.std() / math.sqrt(len(effects))
    assert abs(hedges(1.0, 8) * effects.mean() - 1) < 4 * error
    assert abs(effects.mean() - 1) > 4 * error
