"""Scores on resampled patients are those of the cases that were drawn, each as often."""

import numpy as np
import pytest
from benchmarks.intervals import auc_over_both, holds, with_patients
from tests.benchmarking.statistics.test_few_seeds import binomial

from modelsgenesis.benchmarking.statistics.bootstrap_scores import bootstrap_means, weighted_auc
from modelsgenesis.metrics.bootstrap import resample_patients
from modelsgenesis.metrics.classification import label_scores


@pytest.mark.parametrize("digits", [1, 6])
def test_weighted_auc_is_torchmetrics_of_the_cases_drawn(digits: int) -> None:
    """With many equal probabilities and with none."""
    rng = np.random.default_rng(digits)
    p, there = np.round(rng.random(30), digits), rng.random(30) < 0.4
    weights = resample_patients([f"{k // 2}" for k in range(30)], 40, 0)
    for row, found in zip(weights, weighted_auc(p, there, weights), strict=True):
        drawn = np.repeat(np.arange(30), row)
        assert found == pytest.approx(label_scores(p[drawn], there[drawn])["auc"])


def test_auc_of_one_kind_of_case_is_undefined() -> None:
    """A resample without any, and a table of such."""
    p, there = np.array([0.1, 0.9, 0.5]), np.array([False, True, False])
    found = weighted_auc(p, there, np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]]))
    assert found[0] == 1
    assert np.isnan(found[1:]).all()


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large table is looked at piece by piece."""
    rng = np.random.default_rng(0)
    p, there, weights = rng.random(20), rng.random(20) < 0.5, rng.integers(3, size=(50, 20))
    whole = weighted_auc(p, there, weights)
    monkeypatch.setattr("modelsgenesis.benchmarking.statistics.bootstrap_scores.BLOCK", 64)
    assert np.array_equal(weighted_auc(p, there, weights), whole)


def test_means_are_bootstrap_for_all_runs_alike() -> None:
    """As the mean of the cases drawn; a run that is not there stays a hole."""
    table = with_patients(np.random.default_rng(0), 3, 12, 0.4)
    table.case_values[1, 2, 0] = np.nan
    found = bootstrap_means(table, resamples=9, seed=0)
    assert found is not None
    weights = resample_patients(table.patients, 9, 0)
    for k, row in enumerate(weights):
        drawn = np.repeat(np.arange(12), row)
        assert found.values[..., k] == pytest.approx(table.case_values[..., drawn].mean(-1), nan_ok=True)
    assert found.whole == pytest.approx(table.case_values.mean(-1), nan_ok=True)
    assert found.num_patients == 12


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(0.3, 0.8), (0.0, 0.8)])
def test_coverage_of_a_difference_of_auc(spreads: tuple[float, float]) -> None:
    """At least 94 in 100, whether seeds spread or patients alone."""
    rng = np.random.default_rng(0)
    hits = [holds(auc_over_both(rng, 5, 40, *spreads), 0) for _ in range(300)]
    assert np.mean(hits) >= binomial(300, 0.94)[0]
