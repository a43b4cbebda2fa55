"""Scores of class probabilities: discrimination and calibration, computed by torchmetrics."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

THRESHOLD = 0.5
BINS = 10  # of the calibration error
UNDEFINED = float("nan")
OF_LABEL = ("auc", "average_precision", "sensitivity", "specificity", "brier", "calibration_error")
OVERALL = ("auc", "average_precision", "accuracy", "balanced_accuracy", "brier", "calibration_error")

Probabilities = NDArray[np.floating[Any]]


def label_scores(p: Probabilities, there: NDArray[Any]) -> dict[str, float]:
    """Scores of one label against the rest; NaN where a score is undefined, as AUC is without both kinds of case.

    Args:
        p: (N,), of the label.
        there: (N,), whether the case has it.
    Returns:
        `OF_LABEL`; sensitivity and specificity are of p at 0.5 and above, the calibration error is expected, over ten
        bins.
    """
    from torchmetrics.functional import classification as tm  # here, since it takes a second

    scores, truth = torch.as_tensor(np.ascontiguousarray(p, np.float64)), torch.as_tensor(np.asarray(there, np.int64))
    positive, negative = int(truth.sum()), int((1 - truth).sum())
    both = bool(positive and negative)
    predicted = scores >= THRESHOLD
    return {
        "auc": float(tm.binary_auroc(scores, truth, validate_args=False)) if both else UNDEFINED,
        "average_precision": float(tm.binary_average_precision(scores, truth, validate_args=False))
        if positive
        else UNDEFINED,
        "sensitivity": float(predicted[truth == 1].double().mean()) if positive else UNDEFINED,
        "specificity": float((~predicted)[truth == 0].double().mean()) if negative else UNDEFINED,
        "brier": float((scores - truth).square().mean()) if len(truth) else UNDEFINED,
        "calibration_error": float(tm.binary_calibration_error(scores, truth, n_bins=BINS, validate_args=False))
        if len(truth)
        else UNDEFINED,
    }


def multiclass_scores(p: Probabilities, truth: NDArray[Any]) -> dict[str, float]:
    """Scores of all classes together, of which a case has one.

    Of two classes the second is the positive one: AUC, average precision, Brier score and calibration error are its.
    Of more, AUC and average precision are the mean over the classes for which they are defined, each against the rest;
    the Brier score is the sum over the classes, the calibration error that of the predicted class.

    Args:
        p: (N, classes), rows that sum to 1.
        truth: (N,), the class's number.
    Returns:
        `OVERALL`; the predicted class is the most probable one, the balanced accuracy the mean of the sensitivities of
        the classes that are there.
    """
    from torchmetrics.functional import classification as tm

    scores, classes = torch.as_tensor(np.ascontiguousarray(p, np.float64)), torch.as_tensor(np.asarray(truth, np.int64))
    if not len(classes):
        return dict.fromkeys(OVERALL, UNDEFINED)
    predicted = scores.argmax(1)
    right = (predicted == classes).double()
    accuracies = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([float(right[classes == k].mean()) for k in np.unique(truth)])),
    }
    if scores.shape[1] == 2:
        positive = label_scores(np.asarray(p)[:, 1], np.asarray(truth) == 1)
        return {name: accuracies.get(name, positive.get(name, UNDEFINED)) for name in OVERALL}
    num = scores.shape[1]
    one_hot = torch.nn.functional.one_hot(classes, num)
    each = [label_scores(np.asarray(p)[:, k], one_hot[:, k].numpy()) for k in range(num)]
    return {
        **{name: _mean([one[name] for one in each]) for name in ("auc", "average_precision")},
        **accuracies,
        "brier": float((scores - one_hot).square().sum(1).mean()),
        "calibration_error": float(
            tm.multiclass_calibration_error(scores, classes, num_classes=num, n_bins=BINS, validate_args=False)
        ),
    }


def overlapping_scores(p: Probabilities, there: NDArray[Any]) -> dict[str, float]:
    """Scores of all labels together, of which a case has any number: the mean over the labels of each label's own.

    Args:
        p: (N, labels).
        there: (N, labels), 0 or 1.
    Returns:
        `OVERALL`; accuracy is the share of all predictions that are right, at 0.5.
    """
    each = [label_scores(p[:, k], there[:, k]) for k in range(p.shape[1])]
    means = {name: _mean([one[name] for one in each]) for name in OF_LABEL}
    balanced = [0.5 * (one["sensitivity"] + one["specificity"]) for one in each]
    right = (np.asarray(p) >= THRESHOLD) == (np.asarray(there) > 0)
    own = {"accuracy": float(right.mean()) if right.size else UNDEFINED, "balanced_accuracy": _mean(balanced)}
    return {name: own.get(name, means.get(name, UNDEFINED)) for name in OVERALL}


def _mean(values: list[float]) -> float:
    """The mean of the values that are defined."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else UNDEFINED
