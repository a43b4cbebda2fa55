"""How far predicted points are from the true ones."""

import numpy as np
from numpy.typing import NDArray

MEAN_ERROR = "mean_radial_error_mm"
WITHIN_MM = (2, 4, 8)
METRICS = (MEAN_ERROR, *(f"within_{most}mm" for most in WITHIN_MM))


def radial_errors(predicted_mm: NDArray[np.float64], true_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each point from its true place in mm; NaN where one of them is unknown.

    Args:
        predicted_mm: (N, 3 * points): x, y and z of one point after the other.
        true_mm: the true places, of the same shape.
    Returns:
        (N, points).
    """
    steps = (np.asarray(predicted_mm) - np.asarray(true_mm)).reshape(len(predicted_mm), -1, 3)
    return np.asarray(np.sqrt(np.square(steps).sum(axis=2)))


def error_scores(errors_mm: NDArray[np.float64]) -> dict[str, float]:
    """The mean error, and the share of the points within some millimetres; NaN without a known point.

    Args:
        errors_mm: of any shape; NaN is left out.
    """
    known = errors_mm[np.isfinite(errors_mm)]
    if not known.size:
        return dict.fromkeys(METRICS, float("nan"))
    return {MEAN_ERROR: float(known.mean())} | {f"within_{most}mm": float((known <= most).mean()) for most in WITHIN_MM}
