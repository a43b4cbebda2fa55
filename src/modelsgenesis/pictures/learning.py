"""Learning curves of the arms of a benchmark, and what each run differs from its pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from modelsgenesis.pictures.curves import dress
from modelsgenesis.pictures.drawing import INK, PALE, save

SHADES = ("#667384", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b2430")
APART = 0.035  # of the picture's width, between the arms at one budget


def draw_learning(
    path: Path | str, metric: str, budgets: Sequence[int], values: Mapping[str, NDArray[np.float64]], reference: str
) -> Path:
    """Draw mean and range of every arm over the budgets, and beside it each run's difference from the reference.

    Args:
        path: of the PNG.
        metric: its name.
        budgets: labelled cases, rising.
        values: of each arm, (budgets, seeds); NaN where there is no run.
        reference: the arm that differences are from.
    """
    figure = Figure(figsize=(11.0, 3.9), facecolor="white")
    left, right = figure.add_axes((0.06, 0.14, 0.42, 0.76)), figure.add_axes((0.56, 0.14, 0.42, 0.76))
    shades = dict(zip(values, SHADES * (1 + len(values) // len(SHADES)), strict=False))
    dress(left, f"{metric}: mean of the seeds, and their range")
    for arm, each in values.items():
        run = np.isfinite(each).any(axis=1)
        x, y = np.array(budgets)[run], each[run]
        left.plot(x, np.nanmean(y, axis=1), color=shades[arm], lw=1.6, marker="o", ms=3.5, label=arm)
        left.fill_between(x, np.nanmin(y, axis=1), np.nanmax(y, axis=1), color=shades[arm], alpha=0.12, lw=0)
    left.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    dress(right, f"difference from {reference}, a dot a seed")
    right.axhline(0, color=PALE, lw=0.9)
    others = [arm for arm in values if arm != reference]
    for place, arm in enumerate(others):
        differences = values[arm] - values[reference]
        shift = np.exp((place - (len(others) - 1) / 2) * APART * np.log(max(budgets[-1] / budgets[0], 2)))
        for budget, some in zip(budgets, differences, strict=True):
            known = some[np.isfinite(some)]
            right.scatter([budget * shift] * len(known), known, s=14, color=shades[arm], alpha=0.75, lw=0)
    for axes in (left, right):
        _mark_budgets(axes, budgets)
    return save(figure, path)


def _mark_budgets(axes: Axes, budgets: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(budgets)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("labelled cases", color=PALE, size=8)
