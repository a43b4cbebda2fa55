"""Which way a metric is better: more, less, or neither."""

from modelsgenesis.core.errors import DataError

MORE_IS_BETTER = (
    "dice", "iou", "surface_dice",
    "auc", "auc_patient", "average_precision", "accuracy", "balanced_accuracy", "sensitivity", "specificity",
    "r2", "pearson", "spearman", "within_2mm", "within_4mm", "within_8mm",
)  # fmt: skip
LESS_IS_BETTER = ("hd95_mm", "brier", "calibration_error", "mae", "rmse", "mean_radial_error_mm")
NEITHER_IS_BETTER = ("truth_ml", "predicted_ml", "difference_ml", "difference_percent")


def more_is_better(metric: str) -> bool:
    """Return whether a larger score of a metric is the better one.

    Args:
        metric: as `genesis evaluate` calls it.
    Raises:
        DataError: neither is, as of a difference of volumes, whose best is 0; or nobody knows.
    """
    if metric in NEITHER_IS_BETTER:
        raise DataError(f"of {metric} neither more nor less is better, so no arm is; take another metric")
    if metric not in (*MORE_IS_BETTER, *LESS_IS_BETTER):
        known = ", ".join((*MORE_IS_BETTER, *LESS_IS_BETTER))
        raise DataError(f"nobody knows whether more of {metric} is better; known are {known}")
    return metric in MORE_IS_BETTER
