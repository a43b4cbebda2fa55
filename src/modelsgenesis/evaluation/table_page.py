"""The page about predicted classes or numbers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.provenance import package_version
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import short_number
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.evaluation.case_pictures import case_picture
from modelsgenesis.evaluation.page_parts import (
    Origin,
    interval_words,
    lead,
    origins,
    spread_words,
    summary_table,
    unanswered,
)
from modelsgenesis.evaluation.table_predictions import ALL, Answer, class_words, error_of, presence, said_words
from modelsgenesis.figures.overlay import Overlay, overlay_picture
from modelsgenesis.figures.page import Page, Paragraph, Part, Picture, picture
from modelsgenesis.figures.scores import draw_decisions, draw_numbers
from modelsgenesis.metrics.summary import Line
from modelsgenesis.metrics.titles import TITLES

MOST_TOLD = 4  # probabilities in the caption of a picture
FIRST = {"classification": ("auc", "balanced_accuracy", "brier"), "regression": ("mae", "r2", "spearman")}


def answers_page(
    path: Path,
    answers: Sequence[Answer],
    said: NDArray[np.float64],
    truth: NDArray[np.float64],
    lines: Sequence[Line],
    target: Target,
    origin: Origin,
) -> Path:
    """Write the page of a classification or regression.

    Args:
        path: of the HTML file.
        answers: of all cases.
        said: (N, labels), of those compared, in their order.
        truth: (N, 1) or (N, labels), likewise.
        lines: the summary.
        target: of the network.
        origin: of both sides.
    """
    page = Page("How good the predictions are", lead(len(said), target.names, origin))
    page.headline(headline(lines, answers, target))
    page.section("Scores", Paragraph(spread_words(lines, origin.resamples), "caption"), summary_table(lines))
    with tempfile.TemporaryDirectory() as folder:
        page.section("Every case", curves(said, truth, target, Path(folder) / "cases.png"))
    compared = [answer for answer in answers if answer.status == "compared"]
    page.section("The worst cases", *worst(compared, said, truth, target, origin.worst))
    page.section("Cases that were not compared", *unanswered(answers, origin))
    page.section("Rules", *[Paragraph(rule) for rule in rules(target)])
    page.section("Where it comes from", origins(origin))
    return page.write(path, f"Made by genesis evaluate, modelsgenesis {package_version()}.")


def headline(lines: Sequence[Line], answers: Sequence[Answer], target: Target) -> list[tuple[str, str, str]]:
    """The numbers on top."""
    first = ALL if target.kind == "classification" else target.names[0]
    best = {line.metric: line for line in lines if line.label == first}
    of_label = f" of {first}" if target.kind == "regression" and len(target.names) > 1 else ""
    lost = sum(answer.status != "compared" for answer in answers)
    return [
        *(
            (short_number(best[name].value), f"{TITLES[name]}{of_label}; {interval_words(best[name])}", "")
            for name in FIRST[target.kind]
        ),
        (str(len(answers) - lost), "cases in these numbers", ""),
        (str(lost), "cases without a usable answer, in no number", "bad" if lost else "good"),
    ]


def curves(said: NDArray[Any], truth: NDArray[Any], target: Target, path: Path) -> Picture:
    """Decisions and their reliability, or predicted against true."""
    if target.kind == "regression":
        numbers = {name: (said[:, k], truth[:, k]) for k, name in enumerate(target.names)}
        return picture(draw_numbers(path, numbers), "predicted against true numbers", narrow=True)
    there = presence(truth, target)
    shown = range(1, 2) if target.exclusive and len(target.labels) == 2 else range(len(target.labels))
    decisions = {target.names[k]: (said[:, k], there[:, k]) for k in shown}
    return picture(draw_decisions(path, decisions), "ROC curves and reliability", narrow=True)


def worst(compared: Sequence[Answer], said: NDArray[Any], truth: NDArray[Any], target: Target, most: int) -> list[Part]:
    """Pictures of the cases that were answered worst."""
    rows: list[Overlay] = []
    for at in np.argsort(-error_of(said, truth, target), kind="stable")[:most]:
        answer = compared[int(at)]
        try:
            rows.append(case_picture(answer.case, f"{answer.id}   {verdict(answer, truth[at], target)}"))
        except UnreadableError:
            continue
    if not rows:
        return [Paragraph("No image was to be pictured, or none can be read.", "caption")]
    words = "The middle of the image in three planes; the patient's right is on the picture's left."
    if all(len(row.planes) == 1 for row in rows):
        words = "The images as their files have them."
    return [Paragraph(words, "caption"), overlay_picture(rows, "the cases answered worst", labels=())]


def verdict(answer: Answer, true: Sequence[float], target: Target) -> str:
    """What is true and what was said, in a line."""
    if target.kind == "regression":
        each = zip(target.names, true, answer.said, strict=True)
        return ", ".join(f"{name}: true {short_number(float(t))}, predicted {short_number(s)}" for name, t, s in each)
    told = list(zip(target.names, answer.said, strict=True))
    if len(told) > MOST_TOLD:
        there = set(class_words(true, target).split(" | "))
        told = sorted((each for each in told if each[1] >= 0.5 or each[0] in there), key=lambda each: -each[1])
    more = ", ..." if len(told) > MOST_TOLD else ""
    p = ", ".join(f"{name} {value:.2f}" for name, value in told[:MOST_TOLD]) + more
    return f"true: {class_words(true, target) or 'none'}; said: {said_words(answer, target) or 'none'} ({p})"


def rules(target: Target) -> list[str]:
    """The rules in words."""
    missing = "A case without an answer, or with one that cannot be used, is in no number; it is listed and counted."
    if target.kind == "regression":
        return [missing, "R² and the correlations are undefined where all true numbers are equal."]
    one_kind = (
        "AUC is undefined, not 0.5, where all cases or none have a label; so are sensitivity without a case that has "
        "it and specificity without one that has not."
    )
    calibration = "Calibration error: expected, over ten bins of equal width. Brier score: mean squared error of p."
    if not target.exclusive:
        whole = "Labels may overlap: each is said at p of 0.5 and above, and all labels together are their mean."
    elif len(target.labels) == 2:
        whole = f"Two classes: {target.names[1]} is the positive one in the line of all labels."
    else:
        whole = (
            "The class said is the most probable. AUC and average precision of all labels are the mean over the "
            "classes, each against the rest; the Brier score is their sum."
        )
    patients = (
        "AUC by patient, where patients have several cases: the greatest p of a patient's cases is the patient's, who "
        "has what any of them has."
    )
    return [whole, missing, one_kind, patients, calibration]
