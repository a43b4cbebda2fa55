"""Scores of probabilities, against their formulas written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.metrics.classification import OF_LABEL, OVERALL, label_scores, multiclass_scores, overlapping_scores

SEEDS = st.integers(0, 2**32 - 1)


def made_up(seed: int, classes: int, num: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with ties, and classes that they tell a little of; every class is there."""
    rng = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), rng.integers(0, classes, num - classes))
    logits = np.round(rng.normal(size=(num, classes)) + 1.2 * np.eye(classes)[truth], 1)
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True), truth


def auc(p: np.ndarray, there: np.ndarray) -> float:
    """How often a case with the label is rated above one without, a tie counting half."""
    pairs = p[there][:, None] - p[~there][None]
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def average_precision(p: np.ndarray, there: np.ndarray) -> float:
    """Precision at each threshold, weighted by the recall it adds."""
    found, before = 0.0, 0.0
    for threshold in np.unique(p)[::-1]:
        predicted = p >= threshold
        recall = (predicted & there).sum() / there.sum()
        found += (recall - before) * (predicted & there).sum() / predicted.sum()
        before = recall
    return found


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Distance of mean confidence and share right, over ten bins, weighted by their cases."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    parts = [(bins == k) for k in range(10) if (bins == k).any()]
    return float(sum(part.mean() * abs(confidence[part].mean() - right[part].mean()) for part in parts))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_scores_of_a_label_are_their_formulas(seed: int) -> None:
    """AUC by pairs, average precision by thresholds, the others by counting; to the float32 that is computed in."""
    p, truth = made_up(seed, 2)
    there = truth == 1
    found = label_scores(p[:, 1], there)
    assert set(found) == set(OF_LABEL)
    assert found["auc"] == pytest.approx(auc(p[:, 1], there), abs=1e-5)
    assert found["average_precision"] == pytest.approx(average_precision(p[:, 1], there), abs=1e-5)
    assert found["sensitivity"] == pytest.approx((p[there, 1] >= 0.5).mean())
    assert found["specificity"] == pytest.approx((p[~there, 1] < 0.5).mean())
    assert found["brier"] == pytest.approx(np.square(p[:, 1] - there).mean())
    assert found["calibration_error"] == pytest.approx(calibration_error(p[:, 1], there), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(3, 5))
def test_scores_of_several_classes_are_their_formulas(seed: int, classes: int) -> None:
    """AUC is the mean of each class against the rest, balanced accuracy the mean of what is found of each."""
    p, truth = made_up(seed, classes)
    found, predicted = multiclass_scores(p, truth), p.argmax(1)
    assert set(found) == set(OVERALL)
    assert found["auc"] == pytest.approx(np.mean([auc(p[:, k], truth == k) for k in range(classes)]), abs=1e-5)
    precisions = [average_precision(p[:, k], truth == k) for k in range(classes)]
    assert found["average_precision"] == pytest.approx(np.mean(precisions), abs=1e-5)
    assert found["accuracy"] == pytest.approx((predicted == truth).mean())
    recalls = [(predicted[truth == k] == k).mean() for k in range(classes)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["brier"] == pytest.approx(np.square(p - np.eye(classes)[truth]).sum(1).mean())
    assert found["calibration_error"] == pytest.approx(calibration_error(p.max(1), predicted == truth), abs=1e-5)


def test_of_two_classes_the_second_is_positive() -> None:
    """Average precision and Brier score are its, as for a disease that is there or not."""
    p, truth = made_up(5, 2)
    found, second = multiclass_scores(p, truth), label_scores(p[:, 1], truth == 1)
    for name in ("auc", "average_precision", "brier", "calibration_error"):
        assert found[name] == second[name]


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_order_of_the_cases_does_not_matter(seed: int) -> None:
    """Any permutation gives the same scores."""
    p, truth = made_up(seed, 3)
    order = np.random.default_rng(seed).permutation(len(truth))
    assert multiclass_scores(p[order], truth[order]) == pytest.approx(multiclass_scores(p, truth), abs=1e-6)


def test_a_perfect_prediction_scores_perfectly() -> None:
    """1 where more is better, 0 where less is."""
    truth = np.array([0, 1, 2, 1])
    found = multiclass_scores(np.eye(3)[truth], truth)
    assert [found[name] for name in OVERALL] == pytest.approx([1, 1, 1, 1, 0, 0])


def test_without_both_kinds_of_case_auc_is_undefined() -> None:
    """Not 0.5 and not 0; the same for what needs the kind that is missing."""
    p = np.array([0.2, 0.7])
    none, every = label_scores(p, np.zeros(2)), label_scores(p, np.ones(2))
    assert math.isnan(none["auc"])
    assert math.isnan(every["auc"])
    assert math.isnan(none["sensitivity"])
    assert math.isnan(none["average_precision"])
    assert math.isnan(every["specificity"])
    assert none["specificity"] == every["sensitivity"] == 0.5


def test_a_class_without_cases_is_left_out_of_means() -> None:
    """AUC is the mean over the classes that have it."""
    p, truth = made_up(1, 3)
    kept = truth != 2
    found = multiclass_scores(p[kept], truth[kept])
    there = [auc(p[kept][:, k], truth[kept] == k) for k in (0, 1)]
    assert found["auc"] == pytest.approx(np.mean(there), abs=1e-5)


def test_overlapping_labels_are_averaged() -> None:
    """Each label is its own task; all together are their mean, accuracy the share of right predictions."""
    rng = np.random.default_rng(0)
    p, there = rng.uniform(size=(30, 3)), rng.integers(0, 2, (30, 3))
    found, each = overlapping_scores(p, there), [label_scores(p[:, k], there[:, k]) for k in range(3)]
    for name in ("auc", "average_precision", "brier", "calibration_error"):
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]))
    assert found["accuracy"] == pytest.approx(((p >= 0.5) == there).mean())
    balanced = np.mean([(one["sensitivity"] + one["specificity"]) / 2 for one in each])
    assert found["balanced_accuracy"] == pytest.approx(balanced)


def test_no_case_at_all_is_undefined() -> None:
    """No number and no warning."""
    assert all(math.isnan(value) for value in multiclass_scores(np.zeros((0, 3)), np.zeros(0)).values())
    assert all(math.isnan(value) for value in label_scores(np.zeros(0), np.zeros(0)).values())
    assert all(math.isnan(value) for value in overlapping_scores(np.zeros((0, 2)), np.zeros((0, 2))).values())
