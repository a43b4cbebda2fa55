"""What metrics are called in pages and tables."""

TITLES = {
    "dice": "Dice", "iou": "IoU", "surface_dice": "surface Dice", "hd95_mm": "Hausdorff 95 %, mm",
    "truth_ml": "true volume, ml", "predicted_ml": "predicted volume, ml", "difference_ml": "volume difference, ml",
    "difference_percent": "volume difference, %", "auc": "AUC", "auc_patient": "AUC by patient",
    "average_precision": "average precision", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity", "specificity": "specificity", "brier": "Brier score",
    "calibration_error": "calibration error", "mae": "mean absolute error",
    "rmse": "root mean square error", "r2": "R²", "pearson": "Pearson's r", "spearman": "Spearman's ρ",
    "mean_radial_error_mm": "mean radial error, mm", "within_2mm": "share within 2 mm",
    "within_4mm": "share within 4 mm", "within_8mm": "share within 8 mm",
}  # fmt: skip

OF_PICTURES = {  # where a pixel, whose size is not known, counts as 1 mm
    "hd95_mm": "Hausdorff 95 %, pixels", "truth_ml": "true area, 1000 pixels",
    "predicted_ml": "predicted area, 1000 pixels", "difference_ml": "area difference, 1000 pixels",
    "difference_percent": "area difference, %", "mean_radial_error_mm": "mean radial error, pixels",
    "within_2mm": "share within 2 pixels", "within_4mm": "share within 4 pixels", "within_8mm": "share within 8 pixels",
}  # fmt: skip


def title_of(metric: str, *, pictures: bool = False) -> str:
    """The title of a metric in pages and tables; its own name if it has none.

    Args:
        metric: as files call it.
        pictures: it is of pictures, and counts pixels.
    """
    known = TITLES | OF_PICTURES if pictures else TITLES
    return known.get(metric, metric.replace("_", " "))
