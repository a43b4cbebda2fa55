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


def title_of(metric: str) -> str:
    """The title of a metric in pages and tables; its own name if it has none."""
    return TITLES.get(metric, metric.replace("_", " "))
