"""How scores are spread over cases: strips of points, curves of decisions, predicted against true."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelsgenesis.core.labels import colour
from modelsgenesis.figures.curves import dress
from modelsgenesis.figures.drawing import INK, PALE, save
from modelsgenesis.figures.planes import Array

ROW = 0.55  # inches a label
SPREAD = 0.26  # of a label's row that its points take, either way
BINS = 10  # of the reliability


def draw_strips(path: Path | str, scores: Mapping[str, Mapping[str, Array]], limits: Mapping[str, float]) -> Path:
    """Draw every case as a point, with the median and the quartiles, a panel a metric and a row a label.

    Args:
        path: of the PNG.
        scores: {title of a metric: {label: (cases,), NaN undefined}}.
        limits: the right end of a metric's axis where it is fixed.
    """
    rows = max(len(labels) for labels in scores.values())
    height = 0.95 + ROW * rows
    figure = Figure((10.0, height), facecolor="white")
    names = list(next(iter(scores.values())))
    margin = min(0.3, 0.03 + 0.0078 * max(len(name) for name in names))
    wide = (0.98 - margin) / len(scores)
    for number, (title, labels) in enumerate(scores.items()):
        axes = figure.add_axes((margin + number * wide, 0.45 / height, wide - 0.035, (height - 0.85) / height))
        dress(axes, title)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color="#e6eaef", lw=0.8)
        for row, values in enumerate(labels.values()):
            draw_strip(axes, np.asarray(values, float), len(names) - 1 - row, colour(row))
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), names[::-1] if number == 0 else [""] * len(names), color=INK, size=8.5)
        right = limits.get(title)
        axes.set_xlim(-0.02 * (right or 1.0) if right else 0.0, 1.02 * right if right else None)
    return save(figure, path)


def draw_strip(axes: Axes, values: Array, row: float, shade: str) -> None:
    """Draw the points of one label, evenly spread across its row in the order of the cases, and its quartiles."""
    values = values[np.isfinite(values)]
    if not len(values):
        axes.text(0.02, row, "undefined in every case", color=PALE, size=8, va="center")
        return
    golden = (np.arange(len(values)) * 0.618034) % 1  # spreads points without a draw
    axes.scatter(values, row + SPREAD * (2 * golden - 1), s=16, color=shade, alpha=0.75, lw=0, zorder=2)
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    axes.plot([q1, q3], [row, row], color=INK, lw=1.4, zorder=3)
    axes.plot([median, median], [row - SPREAD, row + SPREAD], color=INK, lw=2.2, zorder=3)


def draw_decisions(path: Path | str, p: Mapping[str, tuple[Array, Array]]) -> Path:
    """Draw for each label the ROC curve and the calibration of its probability.

    Args:
        path: of the PNG.
        p: {label: (probabilities (cases,), whether the case has the label (cases,))}.
    """
    figure = Figure((10.0, 4.3), facecolor="white")
    left, right = figure.add_axes((0.07, 0.13, 0.4, 0.76)), figure.add_axes((0.57, 0.13, 0.4, 0.76))
    dress(left, "sensitivity against false alarms (ROC)")
    dress(right, "how often it is true, by predicted probability")
    for number, (label, (scores, there)) in enumerate(p.items()):
        x, y = roc(np.asarray(scores, float), np.asarray(there, bool))
        left.plot(x, y, color=colour(number), lw=1.8, label=label)
        predicted, true, counts = reliability(np.asarray(scores, float), np.asarray(there, bool))
        right.plot(predicted, true, color=colour(number), lw=1.2)
        for x, y, count in zip(predicted, true, counts, strict=True):
            right.annotate(str(count), (x, y), (5, 5), textcoords="offset points", size=6.5, color=colour(number))
        right.scatter(
            predicted, true, s=12 + 90 * np.sqrt(counts / max(counts.max(initial=1), 1)), color=colour(number), lw=0
        )
    for axes, across, up in (
        (left, "1 - specificity", "sensitivity"),
        (
            right,
            "predicted probability (a number says how many cases a point is of)",
            "share of the cases that have the label",
        ),
    ):
        axes.plot([0, 1], [0, 1], color=PALE, lw=1, ls=(0, (4, 3)))
        axes.set_xlabel(across, color=PALE, size=8)
        axes.set_ylabel(up, color=PALE, size=8)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
    left.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    return save(figure, path)


def roc(scores: Array, there: Array) -> tuple[Array, Array]:
    """False alarms and sensitivity at every threshold, from (0, 0) to (1, 1); nothing without both kinds of case."""
    if there.all() or not there.any():
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # ties are one threshold
    hits, alarms = np.cumsum(there[order])[last], np.cumsum(~there[order])[last]
    return np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])


def reliability(scores: Array, there: Array) -> tuple[Array, Array, Array]:
    """Mean predicted probability, share true, and cases, of each tenth of the probabilities that has cases."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts > 0
    predicted, true = (np.bincount(bins, weights=values.astype(float), minlength=BINS) for values in (scores, there))
    return predicted[kept] / counts[kept], true[kept] / counts[kept], counts[kept]


def draw_numbers(path: Path | str, numbers: Mapping[str, tuple[Array, Array]]) -> Path:
    """Draw predicted against true numbers, with a panel for each number.

    Args:
        path: of the PNG.
        numbers: {name: (predicted (cases,), true (cases,))}.
    """
    figure = Figure((min(10.0, 4.4 * len(numbers)), 4.2), facecolor="white")
    wide = 1.0 / len(numbers)
    for number, (name, (predicted, true)) in enumerate(numbers.items()):
        axes = figure.add_axes((wide * (number + 0.16), 0.14, wide * 0.8, 0.76))
        dress(axes, name)
        axes.scatter(true, predicted, s=20, color=colour(number), alpha=0.75, lw=0)
        ends = bounds((predicted, true))
        axes.plot(ends, ends, color=PALE, lw=1, ls=(0, (4, 3)))
        axes.set_xlabel("true", color=PALE, size=8)
        axes.set_ylabel("predicted", color=PALE, size=8)
    return save(figure, path)


def bounds(values: Sequence[Array]) -> tuple[float, float]:
    """The least and the greatest of some values."""
    together: Any = np.concatenate([np.ravel(each) for each in values])
    return float(together.min()), float(together.max())
