"""What a pre-training achieved, read off its log: the numbers on top of its page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from modelsgenesis.core.words import duration, many
from modelsgenesis.figures.curves import ERROR, IDENTITY_BASELINE, MEAN_BASELINE, VALIDATION, Log
from modelsgenesis.figures.page import Headline
from modelsgenesis.weights.loading import load

OF_SET = "val_loss "  # before the name of a set, of the column of its loss
HALF = 0.5  # of the error of the better way to know nothing: a network below it has learned to restore
ACCURACY, CHANCE = ("val_accuracy", "val_order_accuracy"), ("val_chance", "chance")


@dataclass(frozen=True)
class RunMetrics:
    """The results of a pre-training run.

    Attributes:
        parameters: of the network.
        steps: of the optimiser.
        time_s: spent training.
        cubes_per_s: median over the log.
        error: mean squared error on held-out patients at the best validation; NaN before the first.
        identity_baseline: the same of the deformed cubes left as they are.
        mean_baseline: the same of predicting each cube's own mean everywhere; NaN where the log does not hold it.
        best_step: when that was.
        accuracy: of a pretext task that classifies, or that tells the order of cells, the share of right predictions
            then; otherwise NaN.
        chance: the share that guessing gets right.
        restores: whether the pretext task is to restore a cube, whatever else it is.
        losses: of a run on labelled sets, the loss of each then.
    """

    parameters: int
    steps: int
    time_s: float
    cubes_per_s: float
    error: float
    identity_baseline: float
    mean_baseline: float
    best_step: int
    accuracy: float = float("nan")
    chance: float = float("nan")
    restores: bool = True
    losses: Mapping[str, float] = field(default_factory=dict)

    @property
    def classifies(self) -> bool:
        """Whether the pretext task is to classify what was done to a cube, not to restore it."""
        return not self.restores

    @property
    def unchanged_is_better(self) -> bool:
        """Whether the cubes left as they are have a smaller error than one grey value, or that is not known."""
        return not self.mean_baseline < self.identity_baseline

    @property
    def baseline(self) -> float:
        """The error of the better of the two ways to know nothing: the cubes left as they are, or one grey value."""
        return self.identity_baseline if self.unchanged_is_better else self.mean_baseline

    @property
    def ratio(self) -> float:
        """The share of that error that is left."""
        return self.error / self.baseline if self.baseline > 0 else float("nan")

    @property
    def ratio_to_grey(self) -> float:
        """The share of the error of one grey value everywhere that is left; NaN where that is not known."""
        return self.error / self.mean_baseline if self.mean_baseline > 0 else float("nan")


def measure(run: Path, log: Log) -> RunMetrics:
    """Read the results of a run from its log and its network."""
    step, loss = log.points(VALIDATION)
    error = log.points(ERROR)[1]
    identity, mean = log.points(IDENTITY_BASELINE)[1], log.points(MEAN_BASELINE)[1]
    accuracy, chance = log.points(ACCURACY)[1], log.points(CHANCE)[1]
    best = int(np.argmin(loss)) if len(error) else -1
    missing = float("nan")
    speed, time_s = log.points(("cubes_per_s",))[1], log.points(("time_s",))[1]
    of_sets = [name for name in log.columns if name.startswith(OF_SET)]
    at_best = {name.removeprefix(OF_SET): log.points((name,))[1] for name in of_sets}
    has_network = (run / "model.safetensors").is_file()
    return RunMetrics(
        parameters=sum(p.numel() for p in load(run).parameters()) if has_network else 0,
        steps=int(log.columns["step"].max()),
        time_s=float(time_s[-1]) if len(time_s) else missing,
        cubes_per_s=float(np.median(speed)) if len(speed) else missing,
        error=float(error[best]) if len(error) else missing,
        identity_baseline=float(identity[min(best, len(identity) - 1)]) if len(error) and len(identity) else missing,
        mean_baseline=float(mean[0]) if len(mean) else missing,
        best_step=int(step[best]) if len(error) else 0,
        accuracy=float(accuracy[min(best, len(accuracy) - 1)]) if len(error) and len(accuracy) else missing,
        chance=float(chance[-1]) if len(chance) else missing,
        restores=not of_sets and (not len(chance) or bool(len(identity))),
        losses={name: float(found[best]) for name, found in at_best.items() if len(found) > best >= 0},
    )


def headline(metrics: RunMetrics, noun: str = "cube") -> list[Headline]:
    """The large numbers at the top of the page."""
    if not np.isfinite(metrics.error):
        return [(f"{metrics.steps:,}", "steps, no validation yet", "")]
    return [
        *(restored if metrics.restores else predicted if metrics.classifies else labelled)(metrics, noun),
        (f"{metrics.parameters / 1e6:.1f} M", "parameters", ""),
        (duration(metrics.time_s), f"of training, {metrics.steps:,} steps", ""),
        (f"{metrics.cubes_per_s:.0f}", f"{noun}s a second, median", ""),
    ]


OF_GREYS = "(grey values in [0, 1])"


def restored(metrics: RunMetrics, noun: str) -> list[Headline]:
    """The large numbers of a method that restores."""
    mood = "good" if metrics.ratio < HALF else "bad" if metrics.ratio >= 1 else ""
    knowing_nothing = [
        (metrics.identity_baseline, f"leaving the deformed {noun}s as they are"),
        (metrics.mean_baseline, "one grey value everywhere"),
    ]
    knowing_nothing.sort(key=lambda one: one[0] if np.isfinite(one[0]) else np.inf)  # the harder to beat first
    shares = [
        (f"{100 * metrics.error / of:.0f} %", f"of the error of {what} is left", mood if at == 0 else "")
        for at, (of, what) in enumerate(knowing_nothing)
        if np.isfinite(of) and of > 0
    ]
    baseline = (f"{metrics.mean_baseline:.4f}", f"the same for each {noun}'s own mean grey everywhere", "")
    guessed = f"of the cells put out of order are told their place; guessing gets {100 * metrics.chance:.1f} %"
    order = (f"{100 * metrics.accuracy:.0f} %", guessed, "bad" if metrics.accuracy <= metrics.chance else "")
    return [
        *shares,
        (
            f"{metrics.error:.4f}",
            f"mean squared error {OF_GREYS} on held-out patients, best at step {metrics.best_step:,}",
            "",
        ),
        (f"{metrics.identity_baseline:.4f}", f"the same for the deformed {noun}s, left as they are", ""),
        *([baseline] if np.isfinite(metrics.mean_baseline) else []),
        *([order] if np.isfinite(metrics.accuracy) else []),
    ]


def labelled(metrics: RunMetrics, noun: str) -> list[Headline]:
    """The large numbers of a method that learns the labels of several sets."""
    best = f"mean loss of {many(len(metrics.losses), 'set')} on held-out patients, best at step {metrics.best_step:,}"
    return [(f"{metrics.error:.4f}", best, ""), *((f"{loss:.4f}", name, "") for name, loss in metrics.losses.items())]


def predicted(metrics: RunMetrics, noun: str) -> list[Headline]:
    """The large numbers of a pretext task that classifies."""
    mood = "bad" if metrics.accuracy <= metrics.chance else ""
    return [
        (f"{100 * metrics.accuracy:.0f} %", f"of the predictions for {noun}s of held-out patients are right", mood),
        (f"{100 * metrics.chance:.0f} %", "would be right by guessing", ""),
        (f"{metrics.error:.4f}", f"loss on held-out patients, best at step {metrics.best_step:,}", ""),
    ]
