"""Scores of numbers, against their formulas written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelsgenesis.metrics.regression import METRICS, number_scores


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_are_their_formulas(seed: int) -> None:
    """Errors and R2 written out, the correlations as scipy has them, ties among the ranks included."""
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(5, 3, 30))
    predicted = np.round(truth + rng.normal(0, 2, 30))
    found, error = number_scores(predicted, truth), predicted - truth
    assert set(found) == set(METRICS)
    assert found["mae"] == pytest.approx(np.abs(error).mean())
    assert found["rmse"] == pytest.approx(math.sqrt(np.square(error).mean()))
    assert found["r2"] == pytest.approx(1 - np.square(error).sum() / np.square(truth - truth.mean()).sum())
    assert found["pearson"] == pytest.approx(stats.pearsonr(predicted, truth).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(predicted, truth).statistic)


def test_what_does_not_vary_has_no_correlation() -> None:
    """Equal true numbers have no R2 either; equal predictions do."""
    flat = number_scores(np.array([1.0, 2.0, 3.0]), np.full(3, 2.0))
    assert all(math.isnan(flat[name]) for name in ("r2", "pearson", "spearman"))
    dull = number_scores(np.full(3, 2.0), np.array([1.0, 2.0, 3.0]))
    assert dull["r2"] == 0
    assert math.isnan(dull["pearson"])


def test_one_case_has_an_error_and_none_has_nothing() -> None:
    """No warning either way."""
    assert number_scores(np.array([3.0]), np.array([1.0]))["mae"] == 2
    assert all(math.isnan(value) for value in number_scores(np.zeros(0), np.zeros(0)).values())
