"""The verb evaluate: `genesis evaluate PREDICTIONS TRUTH SCORES`."""

from pathlib import Path

from modelsgenesis.core.options import verb
from modelsgenesis.evaluation import evaluate as room
from modelsgenesis.evaluation.options import EvaluateOptions


@verb(EvaluateOptions)
def evaluate(predictions: str | Path, truth: str | Path, into: str | Path, options: EvaluateOptions) -> Path:
    """Compare predictions with the truth, case by case and label by label.

    Args:
        predictions: The predictions: a folder made by predict, or any folder of masks named after their cases, or a CSV
            with the columns id and p_LABEL for each class, or the numbers' names.
        truth: The truth: a data set, a CSV of images and labels, or a folder of masks.
        into: The folder of cases.csv, summary.csv, summary.json and report.html.
    Returns:
        `into`.
    Raises:
        DataError: there is nothing to compare, or a setting is out of range.
    """
    return room.evaluate(Path(predictions), Path(truth), Path(into), options)
