"""One line a label and metric, and the mean of labels."""

import math

import numpy as np
import pytest

from modelsgenesis.metrics.summary import MEAN, mean_defined, summarise

PATIENTS = [str(number) for number in range(12)]


def scores(seed: int = 0) -> dict[str, np.ndarray]:
    """Two metrics of twelve cases and two labels, some undefined."""
    values = np.random.default_rng(seed).uniform(size=(2, 12, 2))
    values[0, :3, 1] = np.nan
    return {"dice": values[0], "hd95_mm": values[1]}


def test_a_line_sums_up_what_is_defined() -> None:
    """Mean, spread and counts of the label's own cases; the rest is counted too."""
    line = next(x for x in summarise(scores(), ("a", "b"), PATIENTS, resamples=50, seed=0) if x.label == "b")
    values = scores()["dice"][3:, 1]
    assert (line.metric, line.n, line.undefined, line.patients) == ("dice", 9, 3, 9)
    assert line.value == pytest.approx(values.mean())
    assert line.sd == pytest.approx(values.std(ddof=1))
    assert (line.q1, line.median, line.q3) == pytest.approx(tuple(np.percentile(values, (25, 50, 75))))
    assert math.isnan(line.low95)


def test_mean_of_labels_is_the_mean_of_their_means() -> None:
    """Not of all scores: a label that is seldom there counts as much as the others."""
    lines = summarise(scores(), ("a", "b"), PATIENTS, resamples=200, seed=0)
    of = {line.label: line.value for line in lines if line.metric == "dice"}
    assert of[MEAN] == pytest.approx((of["a"] + of["b"]) / 2)
    whole = next(line for line in lines if line.label == MEAN and line.metric == "dice")
    assert whole.low95 < whole.value < whole.high95
    assert (whole.n, whole.patients) == (12, 12)


def test_order_of_the_cases_changes_nothing() -> None:
    """The same cases in another order give the same lines, intervals included."""
    order = np.random.default_rng(1).permutation(12)
    shuffled = {name: values[order] for name, values in scores().items()}
    one = summarise(scores(), ("a", "b"), PATIENTS, resamples=100, seed=0)
    other = summarise(shuffled, ("a", "b"), [PATIENTS[at] for at in order], resamples=100, seed=0)
    for here, there in zip(one, other, strict=True):
        assert vars(here) == pytest.approx(vars(there), nan_ok=True)


def test_a_single_case_has_a_value_and_no_spread() -> None:
    """Its mean is its score; standard deviation and interval are undefined. One label needs no mean of labels."""
    (line,) = summarise({"dice": np.array([[0.5]])}, ("a",), ["p"], resamples=10, seed=0)
    assert (line.n, line.value, line.median) == (1, 0.5, 0.5)
    assert math.isnan(line.sd)
    assert math.isnan(line.low95)


def test_a_label_that_is_never_there_is_undefined() -> None:
    """It has no value, and does not touch the mean of labels."""
    values = np.array([[0.25, np.nan], [0.75, np.nan]])
    lines = {line.label: line for line in summarise({"dice": values}, ("a", "b"), ["p", "q"], resamples=10, seed=0)}
    assert math.isnan(lines["b"].value)
    assert (lines["b"].n, lines["b"].undefined) == (0, 2)
    assert lines[MEAN].value == 0.5


def test_mean_of_nothing_is_undefined() -> None:
    """No warning, just NaN."""
    np.testing.assert_array_equal(mean_defined(np.array([[1.0, np.nan], [np.nan, np.nan]])), [1.0, np.nan])
