"""The page about an evaluation: one file, its pictures inside."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelsgenesis.core.provenance import lineage, package_version
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.evaluation.case_pictures import picture_of
from modelsgenesis.evaluation.mask_comparison import Compared, Rules, table_of
from modelsgenesis.evaluation.matching import Pair
from modelsgenesis.figures.overlay import Overlay, overlay_picture
from modelsgenesis.figures.page import Folded, Page, Paragraph, Part, Table, picture
from modelsgenesis.figures.scores import draw_strips
from modelsgenesis.metrics.bootstrap import FEWEST_PATIENTS
from modelsgenesis.metrics.summary import MEAN, Line, mean_defined

MOST_NAMED = 40  # cases in a list
TITLES = {
    "dice": "Dice", "iou": "IoU", "surface_dice": "surface Dice", "hd95_mm": "Hausdorff 95 %, mm",
    "truth_ml": "true volume, ml", "predicted_ml": "predicted volume, ml", "difference_ml": "volume difference, ml",
    "difference_percent": "volume difference, %", "auc": "AUC", "auc_patient": "AUC by patient",
    "average_precision": "average precision", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity", "specificity": "specificity", "brier": "Brier score",
    "calibration_error": "calibration error", "mae": "mean absolute error",
    "rmse": "root mean square error", "r2": "R²", "pearson": "Pearson's r", "spearman": "Spearman's ρ",
}  # fmt: skip
STRIPS = {"Dice": 1.0, "surface Dice": 1.0}


@dataclass(frozen=True)
class Origin:
    """What is compared with what, and how it is summed up.

    Attributes:
        predictions: the folder or table.
        truth: the file or folder.
        only_predicted: whether cases without a prediction are left out.
        resamples: of the intervals.
        seed: of the resamples.
        worst: how many cases are pictured.
        problems: what of the truth is no case.
        extra: names of predictions that are of no case.
        left_out: how many cases without a prediction were left out.
    """

    predictions: Path
    truth: Path
    only_predicted: bool
    resamples: int
    seed: int
    worst: int
    problems: Sequence[Problem] = ()
    extra: Sequence[str] = ()
    left_out: int = 0


def masks_page(
    path: Path, pairs: Sequence[Pair], compared: Sequence[Compared], lines: Sequence[Line], rules: Rules, origin: Origin
) -> Path:
    """Write the page of a segmentation.

    Args:
        path: of the HTML file.
        pairs: cases and their predictions, in the order of `compared`.
        compared: what came of each.
        lines: the summary.
        rules: they were compared by.
        origin: of both sides.
    """
    names = rules.target.names
    scored = [one for one in compared if one.status != "no truth"]
    page = Page("How good the predictions are", lead(len(scored), names, origin))
    page.headline(headline(lines, compared, names))
    page.section("Scores", Paragraph(spread_words(lines, origin.resamples), "caption"), summary_table(lines))
    scores = table_of(scored, rules.target)
    with tempfile.TemporaryDirectory() as folder:
        strips = {
            TITLES[metric]: {name: scores[metric][:, k] for k, name in enumerate(names)}
            for metric in ("dice", "surface_dice", "hd95_mm")
        }
        drawn = picture(draw_strips(Path(folder) / "strips.png", strips, STRIPS), "scores of all cases", narrow=True)
    page.section(
        "Every case", Paragraph("A point is a case; the bar is the median, the line the middle half.", "caption"), drawn
    )
    page.section("The worst cases", *worst(pairs, compared, rules, origin.worst))
    page.section("Cases that were not compared", *unanswered(compared, origin))
    page.section("Rules", *[Paragraph(rule) for rule in mask_rules(rules)])
    page.section("Where it comes from", origins(origin))
    return page.write(path, f"Made by genesis evaluate, modelsgenesis {package_version()}.")


def lead(num: int, names: Sequence[str], origin: Origin) -> str:
    """What was compared, in a sentence."""
    return f"{num} cases of {origin.truth} compared with the predictions in {origin.predictions}: {', '.join(names)}."


def headline(lines: Sequence[Line], compared: Sequence[Compared], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """The numbers on top."""
    whole = MEAN if len(names) > 1 else names[0]
    best = {line.metric: line for line in lines if line.label == whole}
    of_labels = f", mean of {len(names)} labels" if len(names) > 1 else ""
    lost = sum(one.status in ("missing", "unreadable") for one in compared)
    unknown = sum(one.status == "no truth" for one in compared)
    return [
        (number(best["dice"].value), f"mean Dice{of_labels}; {interval_words(best['dice'])}", ""),
        (
            number(best["surface_dice"].value),
            f"mean surface Dice{of_labels}; {interval_words(best['surface_dice'])}",
            "",
        ),
        (f"{number(best['hd95_mm'].median)} mm", f"median 95 % Hausdorff distance{of_labels}", ""),
        (str(len(compared) - unknown), "cases in these numbers", ""),
        (str(lost), "of them without a usable prediction, counted as empty", "bad" if lost else "good"),
        *([(str(unknown), "cases left out: their truth cannot be read", "bad")] if unknown else []),
    ]


def number(value: float) -> str:
    """Three digits, or a dash for what is undefined."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def interval_words(line: Line) -> str:
    """The interval, or why there is none."""
    if math.isfinite(line.low95):
        return f"95 % interval {number(line.low95)} to {number(line.high95)}"
    return "no interval: too few patients" if line.patients < FEWEST_PATIENTS else "no interval: often undefined"


def spread_words(lines: Sequence[Line], resamples: int) -> str:
    """How the intervals were made."""
    fewest, most = min(line.patients for line in lines), max(line.patients for line in lines)
    patients = f"{most}" if fewest == most else f"{fewest} to {most}"
    return (
        f"95 % intervals: percentiles of {resamples:,} resamples of {patients} patients, whose cases stay together. "
        f"Below {FEWEST_PATIENTS} patients there is none, as it would be too narrow. n: cases for which the number is "
        "defined."
    )


def summary_table(lines: Sequence[Line]) -> Table:
    """One row a label and metric."""
    spread = any(math.isfinite(line.median) for line in lines)
    head = ["label", "metric", "n", "mean" if spread else "value", "95 % interval"]
    head += ["sd", "median", "quartiles"] if spread else []
    rows = []
    for line in lines:
        interval = f"{number(line.low95)} to {number(line.high95)}" if math.isfinite(line.low95) else "–"
        row = [line.label, TITLES.get(line.metric, line.metric), str(line.n), number(line.value), interval]
        quartiles = f"{number(line.q1)} to {number(line.q3)}"
        rows.append([*row, *([number(line.sd), number(line.median), quartiles] if spread else [])])
    return Table(rows, head)


def worst(pairs: Sequence[Pair], compared: Sequence[Compared], rules: Rules, most: int) -> list[Part]:
    """Pictures of the cases of lowest Dice, mean over the labels, among those with a prediction."""
    means = np.array([mean_of([each.dice for each in one.agreements]) for one in compared])
    has_both = [math.isfinite(mean) and one.status == "compared" for mean, one in zip(means, compared, strict=True)]
    order = [int(at) for at in np.argsort(means, kind="stable") if has_both[at]][:most]
    rows: list[Overlay] = []
    for at in order:
        each = ", ".join(
            f"{name} {number(one.dice)}" for name, one in zip(rules.target.names, compared[at].agreements, strict=True)
        )
        try:
            rows.append(picture_of(pairs[at], rules, f"{compared[at].id}   Dice: {each}"))
        except UnreadableError:
            continue
    if not rows:
        return [Paragraph("No case with a defined Dice was to be pictured.", "caption")]
    words = (
        "Filled: the prediction. Line: the truth. Each plane goes where most is labelled; the patient's right is "
        "on the picture's left. Black where no image of the same grid is known."
    )
    return [
        Paragraph(words, "caption"),
        overlay_picture(rows, "truth and prediction of the worst cases", labels=rules.target.names),
    ]


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is defined; NaN without any."""
    return float(mean_defined(np.array([values], float))[0]) if values else math.nan


def unanswered(compared: Sequence[Any], origin: Origin) -> list[Part]:
    """Which cases had no usable prediction or truth, and which predictions are of no case."""
    parts: list[Part] = []
    rows = [(one.id, one.status, one.note or "no file of its name") for one in compared if one.status != "compared"]
    if rows:
        parts += listed(rows, ("case", "status", "why"))
    if origin.left_out:
        parts.append(Paragraph(f"Left out for want of a prediction, as --only-predicted asks: {origin.left_out}."))
    if origin.extra:
        many = [Table([(name,) for name in origin.extra[:MOST_NAMED]])]
        parts.append(Folded(f"Predictions of no case of the truth: {len(origin.extra)}", many))
    if origin.problems:
        rows = [(str(problem.path), problem.problem, problem.remedy) for problem in origin.problems]
        parts.append(
            Folded(f"Entries of the truth that are no case: {len(rows)}", listed(rows, ("file", "why", "what to do")))
        )
    return parts or [Paragraph("None: every case has a prediction and a truth.", "caption")]


def listed(rows: Sequence[Sequence[str]], head: Sequence[str]) -> list[Part]:
    """A table, and what is too long for it folded away."""
    if len(rows) <= MOST_NAMED:
        return [Table(rows, head)]
    more = Folded(f"{len(rows) - MOST_NAMED} more", [Table(rows[MOST_NAMED:], head)])
    return [Table(rows[:MOST_NAMED], head), more]


def mask_rules(rules: Rules) -> list[str]:
    """The rules in words."""
    empty = (
        "counts as agreement: overlaps 1, distance 0 mm (--empty perfect)."
        if rules.empty == "perfect"
        else "has no Dice, IoU, surface Dice or distance there; it is left out of the means, and n says so."
    )
    return [
        f"A label that neither truth nor prediction of a case holds {empty}",
        "A label that only one of them holds has Dice, IoU and surface Dice 0, and the diagonal of the image for its "
        "distance: no answer is never better than a bad one.",
        "A case without a prediction, or with one that cannot be read, lies on another grid or holds an unknown value, "
        "counts as an empty prediction and is listed.",
        f"Surface Dice is the share of both surfaces, by area, within {rules.tolerance_mm:g} mm of the other. The 95 % "
        "Hausdorff distance is the greater of the two 95th percentiles from surface to surface, in mm.",
        "Volume difference is predicted minus true; in per cent it is of the true volume, and undefined without one.",
        "The mean of labels is the mean of the labels' means.",
    ]


def origins(origin: Origin) -> Table:
    """The certificates behind the predictions, nearest first."""
    rows = []
    for folder in (origin.predictions, origin.truth):
        chain = lineage(folder) if folder.is_dir() else []
        rows += [
            (place, f"genesis {made.verb}", ", ".join(made.inputs), made.finished, made.version)
            for place, made in chain
        ]
        if not chain:
            rows.append((str(folder), "not made by genesis", "", "", ""))
    return Table(rows, ("folder or file", "made by", "from", "finished (UTC)", "version"))
