"""The page about predicted classes or numbers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsgenesis.core.provenance import package_version
from modelsgenesis.core.table_target import Numbers, TableTarget
from modelsgenesis.core.words import short_number
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.evaluation.case_pictures import case_picture
from modelsgenesis.evaluation.page_parts import (
    Origin,
    interval_words,
    lead,
    not_compared,
    origins,
    spread_words,
    summary_table,
)
from modelsgenesis.evaluation.table_predictions import TablePrediction
from modelsgenesis.figures.overlay import Overlay, overlay_picture
from modelsgenesis.figures.page import Page, Paragraph, Part, Table, picture, viewer_beside
from modelsgenesis.metrics.summary import Line
from modelsgenesis.metrics.titles import title_of

MISSING = "A case without a prediction, or with one that cannot be used, is in no number; it is listed and counted."


def table_page(
    path: Path,
    predictions: Sequence[TablePrediction],
    predicted: Numbers,
    truth: Numbers,
    lines: Sequence[Line],
    target: TableTarget,
    origin: Origin,
) -> Path:
    """Write the page about predicted classes or numbers.

    Args:
        path: of the HTML file.
        predictions: of all cases.
        predicted: (N, value columns), of those compared, in their order.
        truth: (N, values), likewise.
        lines: the summary.
        target: of the network.
        origin: of both sides.
    """
    page = Page("How good the predictions are", lead(len(predicted), target.names, origin))
    page.headline(headline(lines, predictions, target))
    page.section("Scores", Paragraph(spread_words(lines, origin.resamples), "caption"), summary_table(lines))
    with tempfile.TemporaryDirectory() as folder:
        drawn, words = target.curves(Path(folder) / "cases.png", predicted, truth)
        page.section("Every case", picture(drawn, words, narrow=True))
    for counts in target.counts(predicted, truth):
        page.section(counts.title, Paragraph(counts.words, "caption"), Table(counts.rows, counts.head))
    compared = [one for one in predictions if one.status == "compared"]
    shown = worst(compared, predicted, truth, target, origin.worst)
    page.section("The worst cases", *shown, viewer_beside(path, path.parent))
    page.section("Cases that were not compared", *not_compared(predictions, origin))
    whole, *others = target.rules()
    page.section("Rules", *[Paragraph(rule) for rule in (whole, MISSING, *others)])
    page.section("Where it comes from", origins(origin))
    return page.write(path, f"Made by genesis evaluate, modelsgenesis {package_version()}.")


def headline(
    lines: Sequence[Line], predictions: Sequence[TablePrediction], target: TableTarget
) -> list[tuple[str, str, str]]:
    """The large numbers at the top of the page."""
    first, metrics, of_label = target.headline
    best = {line.metric: line for line in lines if line.label == first}
    lost = sum(one.status != "compared" for one in predictions)
    return [
        *(
            (short_number(best[name].value), f"{title_of(name)}{of_label}; {interval_words(best[name])}", "")
            for name in metrics
        ),
        (str(len(predictions) - lost), "cases in these numbers", ""),
        (str(lost), "cases without a usable prediction, in no number", "bad" if lost else "good"),
    ]


def worst(
    compared: Sequence[TablePrediction], predicted: Numbers, truth: Numbers, target: TableTarget, most: int
) -> list[Part]:
    """Pictures of the cases that were predicted worst."""
    rows: list[Overlay] = []
    for at in np.argsort(-target.errors(predicted, truth), kind="stable")[:most]:
        one = compared[int(at)]
        try:
            caption = f"{one.id}   {target.verdict(one.values, truth[at])}"
            rows.append(case_picture(one.case, caption, target, predicted[at], truth[at]))
        except UnreadableError:
            continue
    if not rows:
        return [Paragraph("No image was to be pictured, or none can be read.", "caption")]
    words = "The middle of the image in three planes; the patient's right is on the picture's left."
    if any(mask.any() for row in rows for mask in row.masks):
        words = "Filled: the prediction. Line: the truth. The patient's right is on the picture's left."
    if all(len(row.planes) == 1 for row in rows):
        words = "The images as their files have them."
    return [Paragraph(words, "caption"), overlay_picture(rows, "the cases predicted worst", labels=target.names)]
