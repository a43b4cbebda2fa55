"""The page about an evaluation: one file, its pictures inside."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsgenesis.core.provenance import package_version
from modelsgenesis.core.words import short_number
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.evaluation.case_pictures import picture_of
from modelsgenesis.evaluation.mask_comparison import Compared, Rules, table_of
from modelsgenesis.evaluation.matching import Pair
from modelsgenesis.evaluation.page_parts import (
    Origin,
    interval_words,
    lead,
    not_compared,
    origins,
    spread_words,
    summary_table,
)
from modelsgenesis.figures.overlay import Overlay, overlay_picture
from modelsgenesis.figures.page import Page, Paragraph, Part, picture, viewer_beside
from modelsgenesis.figures.scores import draw_strips
from modelsgenesis.metrics.summary import MEAN, Line, mean_defined
from modelsgenesis.metrics.titles import title_of

STRIPS = {"Dice": 1.0, "surface Dice": 1.0}


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
    page.headline(headline(lines, compared, names, "pixels" if rules.in_pixels else "mm"))
    page.section(
        "Scores",
        Paragraph(spread_words(lines, origin.resamples), "caption"),
        summary_table(lines, pictures=rules.in_pixels),
    )
    scores = table_of(scored, rules.target)
    with tempfile.TemporaryDirectory() as folder:
        strips = {
            title_of(metric, pictures=rules.in_pixels): {name: scores[metric][:, k] for k, name in enumerate(names)}
            for metric in ("dice", "surface_dice", "hd95_mm")
        }
        drawn = picture(draw_strips(Path(folder) / "strips.png", strips, STRIPS), "scores of all cases", narrow=True)
    page.section(
        "Every case", Paragraph("A point is a case; the bar is the median, the line the middle half.", "caption"), drawn
    )
    shown = worst(pairs, compared, rules, origin.worst)
    page.section("The worst cases", *shown, viewer_beside(path, path.parent))
    page.section("Cases that were not compared", *not_compared(compared, origin))
    page.section("Rules", *[Paragraph(rule) for rule in mask_rules(rules)])
    page.section("Where it comes from", origins(origin))
    return page.write(path, f"Made by genesis evaluate, modelsgenesis {package_version()}.")


def headline(
    lines: Sequence[Line], compared: Sequence[Compared], names: Sequence[str], unit: str
) -> list[tuple[str, str, str]]:
    """The large numbers at the top of the page; distances in that unit."""
    whole = MEAN if len(names) > 1 else names[0]
    best = {line.metric: line for line in lines if line.label == whole}
    of_labels = f", mean of {len(names)} labels" if len(names) > 1 else ""
    lost = sum(one.status in ("missing", "unreadable") for one in compared)
    unknown = sum(one.status == "no truth" for one in compared)
    return [
        (short_number(best["dice"].value), f"mean Dice{of_labels}; {interval_words(best['dice'])}", ""),
        (
            short_number(best["surface_dice"].value),
            f"mean surface Dice{of_labels}; {interval_words(best['surface_dice'])}",
            "",
        ),
        (f"{short_number(best['hd95_mm'].median)} {unit}", f"median 95 % Hausdorff distance{of_labels}", ""),
        (str(len(compared) - unknown), "cases in these numbers", ""),
        (str(lost), "of them without a usable prediction, counted as empty", "bad" if lost else "good"),
        *([(str(unknown), "cases left out: their truth cannot be read", "bad")] if unknown else []),
    ]


def worst(pairs: Sequence[Pair], compared: Sequence[Compared], rules: Rules, most: int) -> list[Part]:
    """Pictures of the cases of lowest Dice, mean over the labels, among those with a prediction."""
    means = np.array([mean_of([each.dice for each in one.agreements]) for one in compared])
    has_both = [math.isfinite(mean) and one.status == "compared" for mean, one in zip(means, compared, strict=True)]
    order = [int(at) for at in np.argsort(means, kind="stable") if has_both[at]][:most]
    rows: list[Overlay] = []
    for at in order:
        each = ", ".join(
            f"{name} {short_number(one.dice)}"
            for name, one in zip(rules.target.names, compared[at].agreements, strict=True)
        )
        try:
            rows.append(picture_of(pairs[at], rules, f"{compared[at].id}   Dice: {each}"))
        except UnreadableError:
            continue
    if not rows:
        return [Paragraph("No case with a defined Dice was to be pictured.", "caption")]
    planes = "Each plane goes where most is labelled; the patient's right is on the picture's left."
    shown = "The surroundings of what is labelled." if rules.pictures else planes
    words = f"Filled: the prediction. Line: the truth. {shown} Black where no image of the same grid is known."
    return [
        Paragraph(words, "caption"),
        overlay_picture(rows, "truth and prediction of the worst cases", labels=rules.target.names),
    ]


def mean_of(values: Sequence[float]) -> float:
    """The mean of the defined values; NaN where there is none."""
    return float(mean_defined(np.array([values], float))[0]) if values else math.nan


def mask_rules(rules: Rules) -> list[str]:
    """The rules of the comparison, in words."""
    unit = "pixels" if rules.in_pixels else "mm"
    surface, size = ("outlines, by length", "Area") if rules.pictures else ("surfaces, by area", "Volume")
    near = unit.removesuffix("s") if rules.tolerance_mm == 1 else unit
    empty = (
        f"counts as agreement: overlaps 1, distance 0 {unit} (--empty perfect)."
        if rules.empty == "perfect"
        else "has no Dice, IoU, surface Dice or distance there; it is left out of the means, and n says so."
    )
    in_pixels = (
        "Not all pictures say how large a pixel is: distances are in pixels, areas in thousands. "
        "The names in the tables stay: there a pixel counts as 1 mm, and a thousand as 1 ml."
    )
    flat = "A picture's volume is its area, in thousands of square millimetres."
    return [
        *([in_pixels if rules.in_pixels else flat] if rules.pictures else []),
        f"A label that neither truth nor prediction of a case holds {empty}",
        "A label that only one of them holds has Dice, IoU and surface Dice 0, and the diagonal of the image for its "
        "distance: no prediction is never better than a bad one.",
        "A case without a prediction, or with one that cannot be read, lies on another grid or holds an unknown value, "
        "counts as an empty prediction and is listed.",
        f"Surface Dice is the share of both {surface}, within {rules.tolerance_mm:g} {near} of the other. The 95 % "
        f"Hausdorff distance is the greater of the two 95th percentiles from one to the other, in {unit}.",
        f"{size} difference is predicted minus true; in per cent it is of what is true, and undefined without one.",
        "The mean of labels is the mean of the labels' means.",
    ]
