"""What a benchmark compares: the arms and budgets that words name, and the metric."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from modelsgenesis.benchmarking.trial import ALL
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.evaluation.mask_comparison import METRICS as OF_MASKS
from modelsgenesis.evaluation.table_predictions import metrics_of
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.metrics.direction import NEITHER_IS_BETTER, more_is_better
from modelsgenesis.tasks import Task
from modelsgenesis.weights.lifting import Slices

LONGER = re.compile(r":(\d+)x$")
LIKE = "like:"
WAYS: tuple[Slices, ...] = get_args(Slices)


@dataclass(frozen=True)
class Arm:
    """An arm of a benchmark: a start to compare.

    Attributes:
        name: in tables.
        start: a run or weights file, or "scratch".
        times: the updates of the others that it gets.
        like: of scratch: the run or recipe whose kind of network it takes; None is that of the other scratch arms.
        slices: how a 2D network takes volumes; None leaves it to the network.
    """

    name: str
    start: str
    times: int = 1
    like: str | None = None
    slices: Slices | None = None


def arms_of(words: Sequence[str]) -> list[Arm]:
    """Understand `scratch`, `scratch:3x`, `runs/genesis`, `name=runs/genesis` and `name:3x=runs/genesis`.

    What follows a name may be `like:small-2d`, scratch by that network, and say how a 2D network takes volumes, as in
    `name=axial:weights/resnet18.pth` and `name=like:axial:small-2d`.

    Raises:
        GenesisError: two arms of one name, or no arm.
    """
    arms = [_arm(word) for word in words]
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) < len(names):
        raise GenesisError(f"arms need names of their own, got {', '.join(names) or 'none'}; write NAME=RUN")
    return arms


def _arm(word: str) -> Arm:
    name, equals, place = word.partition("=")
    if not equals and name.partition(":")[0] != SCRATCH:
        if word.startswith((LIKE, *(f"{way}:" for way in WAYS))):
            raise GenesisError(f"{word}: an arm of that kind needs a name; write NAME={word}")
        return Arm(Path(word).stem, word)
    kind = place.removeprefix(LIKE)
    slices = next((way for way in WAYS if kind.startswith(f"{way}:")), None)
    given = kind.removeprefix(f"{slices}:")
    start, like = (SCRATCH, given) if place.startswith(LIKE) else (given or SCRATCH, None)
    return Arm(name, start, _times(name), like, slices)


def _times(name: str) -> int:
    """The updates that an arm gets, from the end of its name: three times those of the others for `scratch:3x`."""
    factor = LONGER.search(name)
    if ":" in name and (factor is None or int(factor[1]) < 1):
        raise GenesisError(f"{name}: write scratch:3x, or NAME:3x=RUN, for an arm with three times the updates")
    return int(factor[1]) if factor else 1


def budgets_of(words: Sequence[str], num: int) -> list[int | None]:
    """Parse the budgets of labelled cases, in rising order; None is all.

    Args:
        words: numbers, and "all".
        num: how many cases there are to train on.
    Raises:
        DataError: a word that is neither, or more cases than there are.
    """
    budgets: set[int | None] = set()
    for word in words:
        if word != ALL and not word.isdecimal():
            raise DataError(f"a budget is a number of cases, or {ALL}, got {word!r}")
        if word != ALL and not 1 <= int(word) < num:
            raise DataError(f"{word} labelled cases wanted; {num} may be used, which is {ALL}")
        budgets.add(None if word == ALL else int(word))
    return sorted(budgets, key=lambda budget: num if budget is None else budget)


def metric_of(wanted: str | None, task: Task, patients: Sequence[str]) -> str:
    """The metric to compare by: the one given, the published task's, or the usual one of its kind.

    Args:
        wanted: its name, or None.
        task: what is learned.
        patients: of each test case.
    Raises:
        DataError: evaluate gives no such metric, or neither more nor less of it is better.
    """
    metric = wanted or (task.published.metric if task.published else task.target.metric)
    given = metrics_of(task.target, patients) if isinstance(task.target, TableTarget) else OF_MASKS
    if metric not in given:
        known = ", ".join(name for name in given if name not in NEITHER_IS_BETTER)
        raise DataError(f"there is no metric {metric} of these cases of {task.target.kind}; take one of: {known}")
    more_is_better(metric)
    return metric
