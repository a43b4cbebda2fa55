"""How far predicted numbers are from the true ones. torchmetrics computes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

METRICS = ("mae", "rmse", "r2", "pearson", "spearman")
UNDEFINED = float("nan")


def number_scores(predicted: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Scores of one number; NaN where undefined: R2 and the correlations need numbers that differ.

    Args:
        predicted: (N,).
        truth: (N,), in the same units.
    """
    from torchmetrics.functional import regression as tm  # here, since it takes a second

    predictions, true = (torch.as_tensor(np.ascontiguousarray(values, np.float64)) for values in (predicted, truth))
    if not len(true):
        return dict.fromkeys(METRICS, UNDEFINED)
    varied = len(true) > 1 and bool(true.min() < true.max())
    both = varied and bool(predictions.min() < predictions.max())
    return {
        "mae": float(tm.mean_absolute_error(predictions, true)),
        "rmse": float(tm.mean_squared_error(predictions, true, squared=False)),
        "r2": float(tm.r2_score(predictions, true)) if varied else UNDEFINED,
        "pearson": float(tm.pearson_corrcoef(predictions, true)) if both else UNDEFINED,
        "spearman": float(tm.spearman_corrcoef(predictions, true)) if both else UNDEFINED,
    }
