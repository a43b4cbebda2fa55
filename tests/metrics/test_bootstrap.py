"""Intervals are of patients, and honest about too few."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.metrics.bootstrap import (
    FEWEST_PATIENTS,
    interval,
    resample_patients,
    resampled,
    weighted_means,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=20), st.integers(0, 2**31))
def test_cases_of_a_patient_stay_together(patients: list[str], seed: int) -> None:
    """In each resample they are in equally often, and as many patients are drawn as there are."""
    weights = resample_patients(patients, 20, seed)
    names = sorted(set(patients))
    of_patient = np.array([[row[patients.index(name)] for name in names] for row in weights])
    for row in weights:
        assert all(row[k] == row[patients.index(name)] for k, name in enumerate(patients))
    assert (of_patient.sum(1) == len(names)).all()


def test_order_of_cases_does_not_matter() -> None:
    """A case has the same weights wherever it stands."""
    patients = ["d", "a", "c", "a", "b", "d"]
    order = np.random.default_rng(0).permutation(len(patients))
    shuffled = resample_patients([patients[at] for at in order], 50, 7)
    np.testing.assert_array_equal(shuffled, resample_patients(patients, 50, 7)[:, order])


def test_seed_decides() -> None:
    """One seed gives the same draws, another gives others."""
    patients = [str(number) for number in range(12)]
    once, again, other = (resample_patients(patients, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_interval_of_a_mean_is_that_of_theory() -> None:
    """For 400 normal numbers it is the mean give or take 1.96 standard errors, to a tenth of one."""
    values = np.random.default_rng(3).normal(5, 2, 400)
    means = weighted_means(values, resample_patients([str(k) for k in range(400)], 4000, 0))
    low, high = interval(means, 400)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_weighted_means_are_means_of_the_drawn_cases() -> None:
    """The fast way and the plain way agree, undefined cases left out of both."""
    values = np.array([1.0, np.nan, 3.0, 7.0, 2.0])
    weights = resample_patients(list("abcde"), 200, 0)
    plain = resampled(lambda rows: np.nanmean(values[rows]) if np.isfinite(values[rows]).any() else np.nan, weights)
    np.testing.assert_allclose(weighted_means(values, weights), plain)


def test_resamples_that_are_the_same_are_computed_once() -> None:
    """Three patients can be drawn in ten ways; the numbers are those of computing each of two thousand."""
    asked: list[tuple[int, ...]] = []

    def statistic(rows: np.ndarray) -> list[float]:
        asked.append(tuple(rows.tolist()))
        return [math.sin(rows.sum()), math.nan if 2 in rows else len(rows)]

    weights = resample_patients(["a", "b", "c", "a"], 2000, 1)
    found = resampled(statistic, weights)
    assert len(asked) == len(set(asked)) == 10
    each = [statistic(np.repeat(np.arange(4), row)) for row in weights]
    np.testing.assert_array_equal(found, np.array(each, np.float64))


def test_too_few_patients_have_no_interval() -> None:
    """Nine have none, ten have one."""
    values = np.linspace(0, 1, 100)
    assert all(math.isnan(end) for end in interval(values, FEWEST_PATIENTS - 1))
    assert all(math.isfinite(end) for end in interval(values, FEWEST_PATIENTS))


def test_often_undefined_has_no_interval() -> None:
    """One resample in twenty may be undefined, not more."""
    values = np.linspace(0, 1, 100)
    values[:5] = np.nan
    assert math.isfinite(interval(values, 50)[0])
    values[5] = np.nan
    assert math.isnan(interval(values, 50)[0])
