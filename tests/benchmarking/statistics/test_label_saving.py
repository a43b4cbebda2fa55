"""A saving is found where there is one, bounded where it cannot be known, and claimed only where it is shown."""

import math

import numpy as np
import pytest
from benchmarks.intervals import BUDGETS, holds, law, saved, simulated, table_of, with_patients
from scipy import stats
from tests.benchmarking.statistics.test_few_seeds import binomial

from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores
from modelsgenesis.benchmarking.statistics.comparison import compare_arms
from modelsgenesis.benchmarking.statistics.few_seeds import draw_seeds
from modelsgenesis.benchmarking.statistics.label_saving import label_savings
from modelsgenesis.benchmarking.statistics.runs import Table
from modelsgenesis.core.errors import DataError


def exact(scratch: list[float], arm: list[float], spread: float = 1e-3) -> Table:
    """Budgets 3, 6, 12, ... whose five seeds lie closely and evenly around these means, each arm's on its own."""
    shifts = spread * np.array([[-1, 0.5, 0, -0.5, 1], [1, 0, -1, 0.5, -0.5]])
    values = np.array([scratch, arm])[..., None] + shifts[:, None]
    return table_of(values, tuple(3 * 2**k for k in range(len(scratch))))


def test_saving_by_hand() -> None:
    """At 12 scratch has 0.7; the arm has that half of the way from 3 to 6 cases, so it saves 1 - 4.24 / 12."""
    _, _, one = label_savings(exact([0.5, 0.6, 0.7], [0.65, 0.75, 0.8]))
    assert (one.arm, one.reference, one.cases, one.n, one.missing, one.patients) == ("arm 1", "scratch", 12, 5, 0, 0)
    assert one.score == pytest.approx(0.7)
    assert one.needed == pytest.approx(math.sqrt(18))
    assert one.saving.value == pytest.approx(1 - math.sqrt(18) / 12)
    assert one.bound == ""
    assert one.saving.low95 < one.saving.value < one.saving.high95
    assert one.saving.high95 - one.saving.low95 < 0.02
    assert one.shown
    assert one.claim == "saves 65% (95 % interval 64% to 65%, over seeds, for these test cases only)"


def test_first_budget_that_is_enough_is_a_lower_bound() -> None:
    """The arm may need fewer cases than it was ever given: at least 50 %, up to all."""
    _, one, _ = label_savings(exact([0.5, 0.6, 0.7], [0.65, 0.75, 0.8]))
    assert (one.needed, one.bound, one.saving.value) == (3, "at least", 0.5)
    assert (one.saving.low95, one.saving.high95) == (0.5, 1)
    assert one.claim == "saves at least 50% (95 % interval 50% to 100%, over seeds, for these test cases only)"


def test_last_budget_that_is_not_enough_is_an_upper_bound() -> None:
    """No saving: at most 0 %, down to anything; and at the first budget at most 1 - 12 / 3."""
    first, second, last = label_savings(exact([0.5, 0.6, 0.7], [0.3, 0.4, 0.45]))
    for one, most in ((first, -3), (second, -1), (last, 0)):
        assert (one.needed, one.bound, one.saving.value) == (np.inf, "at most", most)
        assert (one.saving.low95, one.saving.high95) == (-np.inf, most)
        assert one.claim == "not shown"


def test_saving_is_negative_where_the_arm_gets_there_later() -> None:
    """Scratch's score at 3 takes the arm 6 cases: -100 %, and not shown."""
    one = label_savings(exact([0.5, 0.6, 0.7], [0.4, 0.5, 0.6]))[0]
    assert one.saving.value == pytest.approx(-1)
    assert one.saving.high95 < 0
    assert not one.shown


def test_no_saving_at_the_arms_first_budget_can_be_shown() -> None:
    """However good the arm is there: it was never given fewer cases."""
    one = label_savings(exact([0.5, 0.6, 0.7], [0.9, 0.91, 0.92]))[0]
    assert (one.bound, one.saving.value, one.saving.low95) == ("at least", 0, 0)
    assert one.claim == "not shown"


def test_arm_of_few_budgets_saves_where_it_can_be_seen() -> None:
    """Run at 3 and 6 only, it reaches scratch at 12 with 6; scratch at 24 it might never reach."""
    table = exact([0.5, 0.6, 0.7, 0.9], [0.6, 0.75, 0.0, 0.0])
    table.values[1, 2:] = np.nan
    found = {one.cases: one for one in label_savings(table)}
    assert found[12].shown
    assert found[24].bound == "at most"
    assert (found[24].saving.value, found[24].saving.low95) == (0.75, -np.inf)
    assert not found[24].shown


def test_identical_arms_save_nothing() -> None:
    """The interval holds zero at every budget."""
    values = simulated(np.random.default_rng(0), 5, 1, 0.0).values
    for one in label_savings(table_of(np.stack([values[0], values[0]]), BUDGETS)):
        assert one.saving.value == pytest.approx(0, abs=1e-9)
        assert not one.shown
        assert holds(one.saving, 0)


@pytest.mark.parametrize("num_patients", [0, 30])
def test_shown_agrees_with_the_interval_of_the_difference(num_patients: int) -> None:
    """On curves that rise by themselves a saving is shown just where that is above zero, over patients if given."""
    rng = np.random.default_rng(1)
    for _ in range(8):
        table = simulated(rng, 5, 1, 0.3, noise=0.01)
        if num_patients:
            gains = 0.05 * rng.standard_normal((2, 1, 1, num_patients))
            scores = table.values[..., None] + gains - gains.mean(-1, keepdims=True)
            table = table_of(table.values, BUDGETS, scores)
        means = table.values.mean(-1)
        if (np.diff(means) <= 0).any():
            continue
        shown = {one.cases: one.shown for one in label_savings(table)}
        for one in compare_arms(table)[1:]:
            found = one.over_patients or one.difference
            if abs(found.low95) > 0.1 * (found.value - found.low95):
                assert shown[one.cases] == (found.low95 > 0)
                assert not shown[one.cases] or one.paired_t.p < 0.05


@pytest.mark.parametrize(("lead", "shown"), [(0.95, False), (1.05, True)])
def test_three_seeds_show_a_saving_where_students_interval_does(lead: float, shown: bool) -> None:
    """An arm that leads by a little less than the reach of the paired t-interval saves nothing, by a little more, does.

    The variance of what is drawn from three seeds is a third too small: left so, the reach would be a fifth too short.
    """
    own = 0.001 * np.array([-1.0, 0.0, 1.0])
    reach = stats.t.ppf(0.975, 2) * stats.sem(own)
    scratch = np.array([[0.5] * 3, [0.7] * 3])
    found = label_savings(table_of(np.stack([scratch, scratch + lead * reach + own]), (3, 6)))[-1]
    assert found.shown is shown


@pytest.mark.parametrize(("lead", "shown"), [(0.95, False), (1.05, True)])
def test_four_patients_show_a_saving_where_students_interval_does(lead: float, shown: bool) -> None:
    """Likewise where it is the patients that differ, drawn in all ways, and the seeds hardly do."""
    gains = 0.001 * np.array([-3.0, -1.0, 1.0, 3.0])
    reach = stats.t.ppf(0.975, 3) * stats.sem(gains)
    scratch = np.array([[0.5] * 3, [0.7] * 3])
    whole = np.stack([scratch, scratch + lead * reach + 1e-6 * np.array([-1, 0, 1])])
    values = np.repeat(whole[..., None], 4**4, axis=-1)
    values[1] += draw_seeds(4, 0, 0) @ gains / 4
    found = label_savings(table_of(whole, (3, 6)), bootstrap=BootstrapScores(whole, values, 4))[-1]
    assert found.shown is shown


@pytest.mark.parametrize("patients", [0, 30])
def test_nothing_is_claimed_of_seeds_that_score_alike(patients: int) -> None:
    """As AUC of few cases often does: of a lead that is the same in every seed no test says anything."""
    scratch = np.array([[0.5] * 3, [0.6] * 3, [0.7] * 3])
    together = np.stack([scratch, scratch + 0.15]) + 0.02 * np.array([-1, 0, 1])
    for values in (together, np.stack([scratch, scratch + 0.15])):
        gains = 0.01 * np.random.default_rng(0).standard_normal((2, 1, 1, patients))
        scores = values[..., None] + gains - gains.mean(-1, keepdims=True) if patients else None
        table = table_of(values, (3, 6, 12), scores)
        assert all(math.isnan(one.paired_t.p) for one in compare_arms(table))
        assert not any((one.over_patients or one.difference).excludes_zero for one in compare_arms(table))
        assert not any(one.percentile.excludes_zero for one in compare_arms(table))
        assert [one.claim for one in label_savings(table)] == ["not shown"] * 3
        assert [one.saving.value for one in label_savings(table)][1:] == pytest.approx([0.5, 1 - math.sqrt(18) / 12])


def test_errors_are_the_scores_turned_round() -> None:
    """Where smaller is better the same savings come out."""
    table = simulated(np.random.default_rng(2), 5, 1, 0.4)
    turned = table_of(1 - table.values, BUDGETS)
    for one, other in zip(label_savings(table), label_savings(turned, higher_is_better=False), strict=True):
        assert other.saving.value == pytest.approx(one.saving.value)
        assert other.saving.low95 == pytest.approx(one.saving.low95)
        assert other.score == pytest.approx(1 - one.score)


def test_holes_are_counted() -> None:
    """A run that is not there: one missing, four seeds, still an interval, wider t; a lone seed has none."""
    table = simulated(np.random.default_rng(3), 5, 1, 0.4)
    table.values[1, 2, 4] = np.nan
    found = label_savings(table)
    assert {(one.n, one.missing) for one in found} == {(4, 1)}
    assert all(math.isfinite(one.saving.high95) for one in found)
    alone = label_savings(table_of(table.values[..., :1], BUDGETS))
    assert all(math.isnan(one.saving.low95) and not one.shown and one.claim == "not shown" for one in alone)


def test_patients_make_the_interval_wider() -> None:
    """Where some patients gain more than others; the saving itself is the same."""
    rng = np.random.default_rng(4)
    without, scores = simulated(rng, 5, 1, 0.4), with_patients(rng, 5, 30, 0.4, gain=0.3).case_values
    table = table_of(without.values, BUDGETS, scores - scores.mean(-1, keepdims=True) + without.values[..., None])
    pairs = list(zip(label_savings(table), label_savings(without), strict=True))
    assert {(both.patients, seeds.patients) for both, seeds in pairs} == {(30, 0)}
    for both, seeds in pairs[1:]:
        assert both.saving.value == pytest.approx(seeds.saving.value)
        assert both.saving.low95 <= seeds.saving.low95
    assert sum(both.saving.low95 < seeds.saving.low95 for both, seeds in pairs) >= 4
    assert all(both.claim == "not shown" or both.claim.endswith("%, over seeds and patients)") for both, _ in pairs)


def test_patients_never_show_what_seeds_do_not() -> None:
    """However many patients there are, all of whom gain alike."""
    rng = np.random.default_rng(6)
    for _ in range(20):
        without = simulated(rng, 5, 1, 0.2)
        scores = without.values[..., None] + 0.01 * rng.standard_normal((*without.values.shape, 60))
        scores += without.values[..., None] - scores.mean(-1, keepdims=True)
        for both, seeds in zip(
            label_savings(table_of(without.values, BUDGETS, scores)), label_savings(without), strict=True
        ):
            assert both.saving.low95 <= seeds.saving.low95 + 1e-9
            assert both.saving.high95 >= seeds.saving.high95 - 1e-9


def test_same_seed_same_interval() -> None:
    """Six seeds are drawn at random, and the seed decides."""
    table = simulated(np.random.default_rng(5), 6, 1, 0.4)
    assert label_savings(table, seed=1) == label_savings(table, seed=1)
    assert label_savings(table, seed=1) != label_savings(table, seed=2)


def test_an_unknown_reference_is_refused() -> None:
    """As in a comparison."""
    with pytest.raises(DataError, match="one of: scratch, arm 1"):
        label_savings(simulated(np.random.default_rng(0), 3, 1, 0.0), "scrtach")


def test_known_saving_without_noise() -> None:
    """Straight lines between budgets understate a curve that flattens: 40 % reads as 36 to 40 %, never more."""
    budgets = np.array(BUDGETS, float)
    curves = np.stack([law(budgets), law(budgets / 0.6)])[..., None] + 1e-6 * np.array([[[-1, 0, 1]]])
    for one in label_savings(table_of(curves, BUDGETS))[1:]:
        assert 0.36 < one.saving.value <= 0.4 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("truth", [0.0, 0.4])
def test_coverage_and_claims_of_five_seeds(truth: float) -> None:
    """The interval holds the truth in at least 93 of 100, the median is near it, and nothing is claimed of nothing."""
    found = saved(400, 5, truth)
    for column in range(1, len(BUDGETS)):
        here = [every[column] for every in found]
        assert np.mean([holds(one.saving, truth) for one in here]) >= binomial(400, 0.93)[0]
        assert abs(np.median([one.saving.value for one in here]) - truth) < 0.06
        if not truth:
            assert np.mean([one.shown for one in here]) <= binomial(400, 0.03)[1]
