"""The worst and the best test cases of a benchmark, pictured: what each arm made of them."""

import tempfile
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from modelsgenesis.benchmarking.findings import Findings
from modelsgenesis.benchmarking.run_record import place_of
from modelsgenesis.benchmarking.trial import TEST
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.table_target import Numbers, TableTarget
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many, short_number
from modelsgenesis.data.case import Case
from modelsgenesis.evaluation.case_pictures import case_pictures, pictures_of
from modelsgenesis.evaluation.mask_comparison import Rules
from modelsgenesis.evaluation.matching import find_predictions, match, predicted_target, read_truth
from modelsgenesis.evaluation.table_predictions import (
    TablePrediction,
    match_rows,
    read_predictions,
)
from modelsgenesis.figures.overlay import Overlay, overlay_sheet
from modelsgenesis.figures.page import webp
from modelsgenesis.tasks import Task

Ranked = TypeVar("Ranked")

PICTURED = 2  # worst, and as many best, of segmentation
IN_ROW = 4  # of classification, in a row
MOST_ARMS = 6  # beside each other
INCHES = 2.1  # of a picture
LONGEST = 32  # letters above it
FLAT = "image"  # the one plane of a 2D picture

CONTOURS = (
    "Filled: the prediction of the run of seed {seed}. Line: the truth. Of each case {shown}. Cases are ranked by "
    "their {metric} over all arms and seeds at that number of labelled cases."
)
SLICE = "the slice on which most is labelled, the same for all arms; the patient's right is on the picture's left"
AROUND = "the surroundings of what is labelled, the same for all arms"
PREDICTIONS = (
    "{shown} of each case, what is true, and what the run of seed {seed} of each arm predicted, a class with the "
    "probability it gave. Cases are ranked by the error of all arms' predictions at that number of labelled cases."
)


@dataclass(frozen=True)
class Sheet:
    """A picture of cases.

    Attributes:
        path: of the picture.
        title: in a few words.
        caption: what is to be seen.
    """

    path: Path
    title: str
    caption: str


def case_sheets(folder: Path, found: Findings, into: Path, name: str) -> tuple[list[Sheet], str]:
    """Draw the worst and the best cases with the fewest and with the most labels that all arms were trained on.

    Args:
        folder: of the benchmark.
        found: of a task and metric.
        into: where the pictures go.
        name: that their names begin with.
    Returns:
        The sheets; and why there are none, if there are none.
    """
    sheets: list[Sheet] = []
    complete = complete_budgets(found)
    for which, budget in {"fewest": complete[:1], "most": complete[1:][-1:]}.items():
        for cases in budget:
            title = f"{found.table.task}, {cases} labelled cases"
            try:
                rows, labels, caption = rows_of_cases(folder, found, cases)
                path = _write(into / f"{name}cases-{which}.webp", rows, labels, title)
            except GenesisError as error:
                return sheets, f"No cases are pictured: {error}"
            sheets.append(Sheet(path, title, caption))
    return sheets, "" if sheets else "No cases are pictured: there is no number of cases that every arm was trained on."


def _write(path: Path, rows: Sequence[Overlay], labels: Sequence[str], title: str) -> Path:
    """Draw a sheet and write it as WebP, which takes a fifth of a PNG."""
    with tempfile.TemporaryDirectory() as folder, written_aside(path) as aside:
        drawn = overlay_sheet(Path(folder) / "cases.png", rows, labels=labels, title=title, panel_inches=INCHES)
        aside.write_bytes(webp(drawn))
    return path


def rows_of_cases(folder: Path, found: Findings, cases: int) -> tuple[list[Overlay], Sequence[str], str]:
    """Make the rows of a sheet, the names of its labels, and its caption.

    Raises:
        GenesisError: a run's folder is not here, or what it was tested on.
    """
    tested = tested_at(folder, found, cases)
    seed, places, task, target = tested.seed, tested.places, tested.task, tested.target
    if isinstance(target, MaskTarget):
        rows = _contours(found, cases, seed, places, task, target)
        shown = AROUND if _flat(rows) else SLICE
        return rows, target.names, CONTOURS.format(seed=seed, metric=found.title, shown=shown)
    if not isinstance(target, TableTarget) or not isinstance(task.target, TableTarget):
        raise DataError(f"cases of {target.kind} cannot be pictured")
    rows = _predictions(places, task.cases, task.target, target)
    return rows, (), PREDICTIONS.format(seed=seed, shown="The picture" if _flat(rows) else "The middle slice")


@dataclass(frozen=True)
class Tested:
    """The runs of one seed that were all tested on the same cases.

    Attributes:
        seed: the first that every arm was run with.
        places: the folder of each arm's run.
        task: what they were tested on.
        target: of their networks.
    """

    seed: int
    places: dict[str, Path]
    task: Task
    target: Target


def tested_at(folder: Path, found: Findings, cases: int) -> Tested:
    """Find the runs of one seed at a number of labelled cases, and what they were tested on.

    Raises:
        GenesisError: a run's folder is not here, or what it was tested on.
    """
    at, arms = found.table.budgets.index(cases), found.table.arms[:MOST_ARMS]
    there = np.all([np.isfinite(found.table.of(arm)[at]) for arm in arms], axis=0)
    if not there.any():
        raise DataError(f"no seed was run by every arm with {cases} cases")
    seed = found.table.seeds[int(np.argmax(there))]
    places = {arm: place_of(folder, arm, cases, seed) for arm in arms}
    if missing := [place for place in places.values() if not (place / "run" / TEST).is_file()]:
        raise DataError(f"the folder of a run is not here ({missing[0].relative_to(folder)})")
    first = places[arms[0]]
    of_network = predicted_target(first / "predictions")
    kind = of_network.kind if of_network else None
    task = read_truth(first / "run" / TEST, first / "predictions", of_network, kind=kind)
    return Tested(seed, places, task, of_network or task.target)


def complete_budgets(found: Findings) -> list[int]:
    """The numbers of labelled cases that every arm was trained on at least once, in rising order."""
    return [
        budget
        for at, budget in enumerate(found.table.budgets)
        if all(np.isfinite(found.table.of(arm)[at]).any() for arm in found.table.arms)
    ]


def _flat(rows: Sequence[Overlay]) -> bool:
    """Whether all images are pictures."""
    return all(plane.name == FLAT for row in rows for plane in row.planes)


def _contours(
    found: Findings, cases: int, seed: int, places: Mapping[str, Path], task: Task, target: MaskTarget
) -> list[Overlay]:
    by_id = {case.id: case for case in task.cases}
    ranked, scores, own = ranked_cases(found, cases, seed, by_id)
    rules = Rules(target, 0.0, "undefined")
    predicted = {arm: find_predictions(place / "predictions") for arm, place in places.items()}
    rows = []
    for which, some in _ends(ranked, PICTURED):
        for name in some:
            pairs = [match([by_id[name]], each, target)[0][0] for each in predicted.values()]
            titles = [f"{arm}   {short_number(own.get((name, arm), np.nan))}" for arm in places]
            mean = short_number(float(np.mean(scores[name])))
            caption = f"{which}: {name}   {found.title} {mean}, mean of {many(len(scores[name]), 'run')}"
            rows.append(pictures_of(pairs, rules, titles, caption))
    if not rows:
        raise DataError(f"no test case has a {found.title} of its own")
    return rows


def ranked_cases(
    found: Findings, cases: int, seed: int, known: Container[str]
) -> tuple[list[str], dict[str, list[float]], dict[tuple[str, str], float]]:
    """Rank the test cases by their score over all arms and seeds, the worst first.

    Args:
        found: of a task and metric.
        cases: labelled, that the runs were trained on.
        seed: whose scores are wanted one by one.
        known: the cases that are there.
    Returns:
        The cases in order; all scores of each; and the scores of that seed, by case and arm.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    own: dict[tuple[str, str], float] = {}
    for one in found.by_case:
        if one.cases == cases and np.isfinite(one.value):
            scores[one.case].append(one.value)
            if one.seed == seed:
                own[one.case, one.arm] = one.value
    some = (each for each in scores if each in known)
    return sorted(some, key=lambda each: found.sign * float(np.mean(scores[each]))), scores, own


def _predictions(
    places: Mapping[str, Path], cases: Sequence[Case], of_truth: TableTarget, target: TableTarget
) -> list[Overlay]:
    by_arm = {arm: predictions_of(place, cases, target) for arm, place in places.items()}
    there = [k for k in range(len(cases)) if all(some[k].status == "compared" for some in by_arm.values())]
    if not there:
        raise DataError("no test case was predicted by every arm")
    truth = np.array([target.true_values(cases[k].values, of_truth) for k in there])
    errors = np.mean([target.errors(_values(some, there), truth) for some in by_arm.values()], axis=0)
    rows = []
    for which, some in _ends([int(k) for k in np.argsort(-errors, kind="stable")], IN_ROW):
        titles = []
        for k in some:
            lines = [shortened(cases[there[k]].id), f"true: {target.true_words(truth[k])}"]
            lines += [f"{arm}: {target.predicted_words(by_arm[arm][there[k]].values)}" for arm in places]
            titles.append("\n".join(lines))
        rows.append(case_pictures([cases[there[k]] for k in some], titles, f"{which} predictions"))
    return rows


def predictions_of(place: Path, cases: Sequence[Case], target: TableTarget) -> list[TablePrediction]:
    """The predictions that one run made of its test cases, in their order."""
    table = read_predictions(place / "predictions", type(target))
    if table is None:
        raise DataError(f"{place / 'predictions'} holds no table of predictions")
    return match_rows(cases, table, target)[0]


def shortened(name: str) -> str:
    """The end of a name that is too long for a picture: there names of cases differ."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def _values(predictions: Sequence[TablePrediction], rows: Sequence[int]) -> Numbers:
    return np.array([predictions[k].values for k in rows], np.float64)


def _ends(ranked: Sequence[Ranked], num: int) -> list[tuple[str, Sequence[Ranked]]]:
    """The first so many, the worst, and the last, the best one first; never one in both."""
    num = min(num, (len(ranked) + 1) // 2)
    best = ranked[max(num, len(ranked) - num) :][::-1]
    return [(which, some) for which, some in (("worst", ranked[:num]), ("best", best)) if some]
