"""An arm against the reference: pairs are pairs, holes are counted, and no effect is seldom called one."""

import math

import numpy as np
import pytest
from benchmarks.intervals import compared, simulated, table_of, with_patients
from scipy import stats
from tests.benchmarking.statistics.test_few_seeds import binomial

from modelsgenesis.benchmarking.statistics.comparison import TESTS, compare_arms, gain_from_labels
from modelsgenesis.benchmarking.statistics.runs import Run, tabulate
from modelsgenesis.core.errors import DataError

SCRATCH = np.array([0.60, 0.62, 0.58, 0.65, 0.61])
ARM = np.array([0.66, 0.65, 0.66, 0.70, 0.63])


def runs(arm: str, values: np.ndarray, cases: int = 12) -> list[Run]:
    """One a seed."""
    return [Run("t", arm, cases, seed, "dice", float(value)) for seed, value in enumerate(values)]


def test_numbers_are_those_of_scipy_and_numpy() -> None:
    """Means, spreads, interval, tests and effects of five pairs."""
    (one,) = compare_arms(tabulate([*runs("scratch", SCRATCH), *runs("a", ARM)])[0])
    differences = ARM - SCRATCH
    assert (one.task, one.metric, one.arm, one.reference, one.cases) == ("t", "dice", "a", "scratch", 12)
    assert (one.n, one.missing, one.over_patients) == (5, (), None)
    assert (one.mean, one.sd) == pytest.approx((ARM.mean(), ARM.std(ddof=1)))
    assert (one.reference_mean, one.reference_sd) == pytest.approx((SCRATCH.mean(), SCRATCH.std(ddof=1)))
    interval = stats.ttest_rel(ARM, SCRATCH).confidence_interval()
    assert (one.difference.low95, one.difference.high95) == pytest.approx((interval.low, interval.high))
    assert one.independent_t.p == pytest.approx(stats.ttest_ind(ARM, SCRATCH).pvalue)
    assert one.paired_t.p == pytest.approx(stats.ttest_rel(ARM, SCRATCH).pvalue)
    assert one.sign_flip.p == pytest.approx(1 / 16)
    assert not one.sign_flip.can_reach
    assert one.d_z == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert one.g_z == pytest.approx(one.d_z * math.gamma(2) / (math.sqrt(2) * math.gamma(1.5)))
    assert one.percentile.low95 > one.difference.low95


def test_gain_from_labels_is_the_last_budget_less_the_first() -> None:
    """By seed, with Student's interval; a seed that lacks one of them is left out, and one budget gains nothing."""
    more = [0.70, 0.71, 0.66, 0.78, 0.69]
    (table,) = tabulate([*runs("scratch", SCRATCH, 3), *runs("scratch", ARM, 6), *runs("scratch", np.array(more), 12)])
    found = gain_from_labels(table)
    interval = stats.ttest_rel(more, SCRATCH).confidence_interval()
    assert (found.value, found.low95, found.high95) == pytest.approx(
        ((np.array(more) - SCRATCH).mean(), interval.low, interval.high)
    )
    (holed,) = tabulate([*runs("scratch", SCRATCH[:4], 3), *runs("scratch", np.array(more), 12)])
    assert gain_from_labels(holed).value == pytest.approx((np.array(more) - SCRATCH)[:4].mean())
    assert math.isnan(gain_from_labels(tabulate(runs("scratch", SCRATCH))[0]).value)


def test_swapping_arm_and_reference_changes_signs_only() -> None:
    """The difference and effects turn round; tests stay."""
    (table,) = tabulate([*runs("scratch", SCRATCH), *runs("a", ARM)])
    (one,), (other,) = compare_arms(table), compare_arms(table, "a")
    assert other.difference.value == -one.difference.value
    assert other.difference.low95 == pytest.approx(-one.difference.high95)
    assert (other.d, other.g_z) == pytest.approx((-one.d, -one.g_z))
    assert [getattr(other, test).p for test in TESTS] == pytest.approx([getattr(one, test).p for test in TESTS])


def test_seeds_without_a_pair_are_counted_and_in_no_number() -> None:
    """One seed lacks the arm and one the reference: three pairs are left, as if the others had not been run."""
    holed = [*runs("scratch", SCRATCH)[1:], *runs("a", ARM)[:-1]]
    (one,) = compare_arms(tabulate(holed)[0])
    (whole,) = compare_arms(tabulate([*runs("scratch", SCRATCH[1:4]), *runs("a", ARM[1:4])])[0])
    assert (one.n, one.missing) == (3, (0, 4))
    assert (one.mean, one.sd, one.reference_mean) == (whole.mean, whole.sd, whole.reference_mean)
    assert (one.difference, one.paired_t, one.g) == (whole.difference, whole.paired_t, whole.g)


def test_no_pair_at_all_is_still_a_line() -> None:
    """All numbers undefined, all seeds missing; a budget the arm was never run with has no line."""
    table = tabulate([*runs("scratch", SCRATCH), *runs("scratch", SCRATCH, 50), *runs("a", ARM[:2], 3)])[0]
    (one,) = compare_arms(table)
    assert (one.cases, one.n, one.missing) == (3, 0, (0, 1, 2, 3, 4))
    assert all(math.isnan(number) for number in (one.mean, one.difference.value, one.sign_flip.p, one.d, one.g_z))


def test_all_arms_and_budgets_are_one_family() -> None:
    """The smallest p of four comparisons is taken four times."""
    table = simulated(np.random.default_rng(0), 5, 2, 0.4)
    found = compare_arms(table)
    assert len(found) == 12
    for test in TESTS:
        values = [getattr(one, test) for one in found]
        least = min(values, key=lambda value: value.p)
        assert least.holm == pytest.approx(min(1, 12 * least.p))
        assert all(value.holm >= value.p for value in values)


def test_an_unknown_reference_is_refused_with_the_known() -> None:
    """The line names the arms there are."""
    with pytest.raises(DataError, match="one of: scratch, a"):
        compare_arms(tabulate([*runs("scratch", SCRATCH), *runs("a", ARM)])[0], "scrtach")


def test_over_patients_is_wider_and_of_the_same_difference() -> None:
    """Where patients differ, other patients are one more source of chance."""
    for one in compare_arms(with_patients(np.random.default_rng(0), 5, 30, 0.4)):
        assert one.over_patients is not None
        assert one.patients == 30
        assert one.over_patients.value == pytest.approx(one.difference.value)


def test_no_effect_is_seldom_called_one() -> None:
    """Of seeds alike, each test errs at no more than its rate of 0.05; the paired t-test at just that."""
    table = table_of(np.random.default_rng(0).standard_normal((2, 600, 6)), tuple(range(1, 601)))
    found = compare_arms(table, resamples=10)
    rates = {test: np.mean([getattr(one, test).p < 0.05 for one in found]) for test in TESTS}
    low, high = binomial(600, 0.05)
    assert low <= rates["paired_t"] <= high
    assert low <= rates["independent_t"] <= high
    low, high = binomial(600, 1 / 32)  # the only p below 0.05 that six seeds can give
    assert low <= rates["sign_flip"] <= high
    assert low <= rates["wilcoxon"] <= high


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [5, 10])
def test_family_errs_seldom_after_holm(num_seeds: int) -> None:
    """Any false positive among 3 arms x 6 budgets: in no more than 5 of 100 benchmarks."""
    found = list(compared(200, num_seeds, arms=3))
    for test in TESTS:
        rate = np.mean([any(getattr(one, test).holm < 0.05 for one in every) for every in found])
        assert rate <= binomial(200, 0.05)[1]
