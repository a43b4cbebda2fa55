"""How a run went: its errors, learning rate and speed against the steps, from its log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_rows
from modelsgenesis.figures.drawing import INK, PALE, save

BLUE, RUST, TEAL = "#1f6fb4", "#c2502e", "#3a8f7d"
MEAN_BASELINE = ("val_mean_baseline",)
IDENTITY_BASELINE = ("val_identity_baseline", "val_baseline", "identity_baseline")
EARLIER = {  # names of earlier versions; a run that goes on under a later one has columns of both
    "grey": "mean_baseline",
    "spread": "std_ratio",
    "unchanged": "identity_baseline",
    "unchanged_mae": "identity_baseline_mae",
}
RENAMED = EARLIER | {f"val_{name}": f"val_{now}" for name, now in EARLIER.items()}
VALIDATION = ("val_total", "val_loss")
ERROR = ("val_restoration", *VALIDATION)  # of methods that do more than restore, this part of the loss


@dataclass(frozen=True)
class Log:
    """The log of a run, column by column.

    Attributes:
        columns: numbers by column, NaN where a line has none.
    """

    columns: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]

    @classmethod
    def read(cls, path: Path | str) -> "Log":
        """Read log.csv; columns are taken as they come, those of earlier versions by their names of today.

        Raises:
            DataError: the file is missing, empty or has no column `step`.
        """
        if not Path(path).exists():
            raise DataError(
                f"{path}: not there, so the run has not come to its first steps; go on with genesis pretrain first, "
                "or with genesis finetune"
            )
        rows = [_named_as_today(row) for row in read_rows(Path(path))]
        names = {name for row in rows for name in row if name}
        if "step" not in names:
            raise DataError(f"{path}: no column `step`, so this is no log of a run; was the run stopped before a step?")
        return cls({name: np.array([number(row.get(name)) for row in rows]) for name in sorted(names)})

    def points(self, names: Iterable[str]) -> tuple[Any, Any]:
        """Steps and values of the first of these columns that is there, without the empty lines; else none."""
        for name in names:
            values = self.columns.get(name)
            if values is not None and (there := np.isfinite(values)).any():
                return self.columns["step"][there], values[there]
        return np.zeros(0), np.zeros(0)


def _named_as_today(row: Mapping[str, str]) -> dict[str, str]:
    """A line whose entries stand under the names of today; of a column under both names, what is not empty."""
    earlier = {RENAMED[name]: entry for name, entry in row.items() if name in RENAMED}
    return earlier | {
        name: entry for name, entry in row.items() if name not in RENAMED and (entry or name not in earlier)
    }


def number(text: str | None) -> float:
    """Read a number; NaN for what is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def draw_curves(log: Log, path: Path | str, noun: str = "cube") -> Path:
    """Draw the errors (logarithmic), the learning rate and the speed of a run.

    Args:
        log: of the run.
        path: of the PNG.
        noun: what a sample is called.
    """
    figure = Figure(figsize=(10.0, 3.3), facecolor="white")
    wide, upper, lower = (
        figure.add_axes((0.065, 0.16, 0.56, 0.72)),
        figure.add_axes((0.715, 0.585, 0.27, 0.295)),
        figure.add_axes((0.715, 0.16, 0.27, 0.295)),
    )
    draw_errors(wide, log, noun)
    draw_line(upper, log, ("lr",), "learning rate", TEAL)
    draw_line(lower, log, ("cubes_per_s",), f"{noun}s a second", TEAL)
    upper.tick_params(labelbottom=False)
    for axes in (wide, lower):
        axes.set_xlabel("step", color=PALE, size=8)
    return save(figure, path)


def draw_errors(axes: Axes, log: Log, noun: str = "cube") -> None:
    """Draw training and validation error, and, of a restoration, the errors of two trivial predictions.

    They are the input, and one grey.
    """
    unchanged = log.points(IDENTITY_BASELINE)
    dress(axes, "mean squared error" if len(unchanged[1]) else "loss")
    steps, values = log.points(("restoration", "loss"))
    axes.plot(steps, values, color=BLUE, alpha=0.25, lw=0.8)
    axes.plot(steps, smooth(values), color=BLUE, lw=1.4, label="training")
    steps, values = log.points(ERROR)
    axes.plot(steps, values, color=RUST, lw=1.6, marker="o", ms=3.5, label="held-out patients")
    steps, values = unchanged
    label = f"deformed {noun} left as it is" if len(values) else None
    axes.plot(steps, values, color=INK, lw=1.1, ls=(0, (4, 3)), label=label)
    steps, values = log.points(MEAN_BASELINE)
    label = f"each {noun}'s own mean" if len(values) else None
    axes.plot(steps, values, color=PALE, lw=1.1, ls=(0, (1, 2)), label=label)
    if any(np.any(line.get_ydata() > 0) for line in axes.lines):  # type: ignore[operator]
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")


def draw_line(axes: Axes, log: Log, names: tuple[str, ...], title: str, colour: str) -> None:
    """Draw one column of a log."""
    dress(axes, title)
    steps, values = log.points(names)
    axes.plot(steps, values, color=colour, lw=1.3)
    if len(values):
        axes.set_ylim(0, 1.15 * max(float(values.max()), 1e-12))
    else:
        axes.text(0.5, 0.5, "not in the log", transform=axes.transAxes, ha="center", va="center", color=PALE, size=8)


def dress(axes: Axes, title: str) -> None:
    """Set up axes with few lines and small, pale labels."""
    axes.set_title(title, loc="left", size=9, color=INK, weight="bold")
    axes.tick_params(colors=PALE, labelsize=7.5, length=2.5)
    axes.grid(axis="y", color="#e6eaef", lw=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#c5ccd6")


def smooth(values: Any) -> Any:
    """A running mean over a twentieth of the line, centred, shorter at its ends."""
    half = len(values) // 40
    if half < 1:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)
