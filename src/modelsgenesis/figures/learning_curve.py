"""Learning curves of the arms of a benchmark, and each run beside its pair."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from modelsgenesis.figures.curves import dress
from modelsgenesis.figures.drawing import INK, PALE, place, save, text

# Okabe and Ito 2008, for the colour-blind, the reference grey; shapes and strokes distinguish arms in print, too.
SHADES = ("#4b5563", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#000000")
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
STROKES: tuple[object, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
LEFT, RIGHT = 0.75, 0.25  # inches
PANELS = 4  # in a row
HALF = 0.2  # between a budget and the two runs of a pair
WIDEST = 4.6  # inches, of a panel
ROOM = 1.3  # of the farthest difference, for the intervals
FAR = 3.0  # times the range of the middle half: what lies farther out is off the axis, by Tukey's rule, and is named

Values = Mapping[str, NDArray[np.float64]]
Intervals = Mapping[tuple[str, int], tuple[float, float]]


def draw_learning(path: Path | str, metric: str, budgets: Sequence[int], values: Values) -> Path:
    """Draw mean and range of every arm over the budgets; single runs far from all others are off the axis, and named.

    Args:
        path: of the PNG.
        metric: its name.
        budgets: labelled cases, rising.
        values: of each arm, (budgets, seeds), the reference first; NaN where there is no run.
    """
    figure = Figure(figsize=(10.0, 4.3), facecolor="white")
    axes = place(figure, LEFT, 0.35, 6.9, 3.35)
    axes.set_axis_on()
    dress(axes, f"{metric}: mean of the seeds, and their range")
    for number, (arm, each) in enumerate(values.items()):
        run = np.isfinite(each).any(axis=1)
        x, y = np.array(budgets)[run], each[run]
        shade, shape, stroke = style(number)
        axes.plot(x, np.nanmean(y, axis=1), color=shade, lw=1.8, ls=stroke, marker=shape, ms=5.5, label=arm)
        axes.fill_between(x, np.nanmin(y, axis=1), np.nanmax(y, axis=1), color=shade, alpha=0.13, lw=0)
    axes.set_ylim(*_limits(list(values.values())))
    _name_beyond(axes, budgets, values)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(budgets)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("labelled cases (logarithmic)", color=INK, size=8.5)
    axes.set_ylabel(metric, color=INK, size=8.5)
    axes.legend(
        frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.01, 1.0), handlelength=3.2
    )
    return save(figure, path)


def draw_pairs(
    path: Path | str, metric: str, budgets: Sequence[int], values: Values, intervals: Intervals | None = None
) -> Path:
    """Draw each run of the reference joined to its pair, an arm a panel, and below it how much they differ.

    Args:
        path: of the PNG.
        metric: its name.
        budgets: labelled cases, rising.
        values: of each arm, (budgets, seeds), the reference first, and one more at least; NaN where there is no run.
        intervals: of the mean difference, by arm and budget.
    """
    reference, *others = values
    panels, rows = min(PANELS, len(others)), ceil(len(others) / PANELS)
    width, upper, lower, row = min(WIDEST, (10.0 - LEFT - RIGHT) / panels), 1.9, 1.35, 4.17
    figure = Figure(figsize=(LEFT + panels * width + RIGHT, rows * row + 0.3), facecolor="white")
    scores, gaps = _limits(list(values.values())), _limits([_gaps(values[arm] - values[reference]) for arm in others])
    for number, arm in enumerate(others):
        shade, shape, _ = style(number + 1)
        left, top = LEFT + width * (number % panels), 0.35 + row * (number // panels)
        above = place(figure, left, top, width - 0.15, upper)
        below = place(figure, left, top + upper + 0.22, width - 0.15, lower)
        _join(above, values[reference], values[arm], shade, shape)
        _differ(below, budgets, arm, values[arm] - values[reference], intervals or {}, (shade, shape))
        for axes, limits in ((above, scores), (below, gaps)):
            axes.set_axis_on()
            dress(axes, arm if axes is above else "")
            axes.set_ylim(*limits)
            axes.set_xlim(-0.5, len(budgets) - 0.5)
            axes.xaxis.set_major_locator(FixedLocator(list(range(len(budgets)))))
            axes.set_xticklabels([f"{budget}" for budget in budgets])
            axes.tick_params(labelleft=number % panels == 0, labelbottom=axes is below)
        below.set_xlabel("labelled cases", color=INK, size=8)
        if number % panels == 0:
            above.set_ylabel(metric, color=INK, size=8)
            below.set_ylabel("difference", color=INK, size=8)
    words = f"above: the two runs of a seed, joined; grey is {reference}. below: arm minus {reference}"
    every = _known(list(values.values()))
    if beyond := int(((every < scores[0]) | (every > scores[1])).sum()):
        words += f". off the axes: {beyond} far from all others"
    text(figure, LEFT, rows * row + 0.17, words, size=7.5, color=PALE)
    return save(figure, path)


def style(number: int) -> tuple[str, str, object]:
    """The colour, shape and stroke of an arm; where colours come round again, they have other shapes and strokes."""
    again = number // len(SHADES)
    shape, stroke = SHAPES[(number + 3 * again) % len(SHAPES)], STROKES[(number + again) % len(STROKES)]
    return SHADES[number % len(SHADES)], shape, stroke


def _join(axes: Axes, theirs: NDArray[np.float64], ours: NDArray[np.float64], shade: str, shape: str) -> None:
    for at, (before, after) in enumerate(zip(theirs, ours, strict=True)):
        for one, other in zip(before, after, strict=True):
            axes.plot([at - HALF, at + HALF], [one, other], color=shade, alpha=0.55, lw=0.9)
        axes.scatter([at - HALF] * len(before), before, s=13, color=SHADES[0], lw=0, zorder=3)
        axes.scatter([at + HALF] * len(after), after, s=15, color=shade, marker=shape, lw=0, zorder=3)


def _differ(
    axes: Axes,
    budgets: Sequence[int],
    arm: str,
    differences: NDArray[np.float64],
    intervals: Intervals,
    look: tuple[str, str],
) -> None:
    """Draw the difference of each seed as a point, and beside the points their mean with its interval."""
    shade, shape = look
    axes.axhline(0, color=INK, lw=0.8)
    for at, (budget, some) in enumerate(zip(budgets, differences, strict=True)):
        known = some[np.isfinite(some)]
        axes.scatter([at - 0.12] * len(known), known, s=13, color=shade, marker=shape, alpha=0.6, lw=0)
        if not len(known):
            continue
        axes.plot([at + 0.06, at + 0.3], [known.mean()] * 2, color=INK, lw=1.6)
        low, high = intervals.get((arm, budget), (np.nan, np.nan))
        axes.plot([at + 0.18] * 2, [low, high], color=INK, lw=1.0)


def _gaps(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences with room around them for their interval; one that is much longer is cut."""
    known = differences[np.isfinite(differences)]
    return np.append(ROOM * known, 0.0)


def _name_beyond(axes: Axes, budgets: Sequence[int], values: Values) -> None:
    """Write values that lie off the axis at the edge where they would be."""
    low, high = axes.get_ylim()
    for number, each in enumerate(values.values()):
        for budget, some in zip(budgets, each, strict=True):
            for value in some[(some < low) | (some > high)]:
                below = bool(value < low)
                axes.annotate(
                    f"{'↓' if below else '↑'} {value:.3g}", (budget, low if below else high), (6, 3 if below else -9),
                    textcoords="offset points", color=style(number)[0], fontsize=8, annotation_clip=False,
                )  # fmt: skip


def _limits(values: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """The limits of the axis: the range of the values without those that lie far out."""
    every = _known(values)
    first, third = np.percentile(every, [25, 75])
    far = FAR * (third - first) or np.inf
    near = every[(every >= first - far) & (every <= third + far)]
    low, high = float(near.min()), float(near.max())
    more = 0.06 * (high - low or 1.0)
    return low - more, high + more


def _known(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([each[np.isfinite(each)] for each in values])
