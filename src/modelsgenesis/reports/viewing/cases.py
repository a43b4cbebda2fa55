"""Scenes of cases whose truth is known: those of an evaluation and of a benchmark, the worst first."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.findings import Findings, read_findings
from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.labels import LabelMap
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import short_number
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import check_same_grid
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.volume import Geometry, Volume
from modelsgenesis.evaluation.evaluate import CASES
from modelsgenesis.evaluation.mask_comparison import prediction_of, spacing_of, truth_of
from modelsgenesis.evaluation.matching import find_predictions, match, predicted_target, read_truth
from modelsgenesis.evaluation.table_predictions import TablePrediction, match_rows, read_predictions
from modelsgenesis.figures.viewer import LabelEntry, Layer, Scene
from modelsgenesis.reports.benchmark_cases import Tested, complete_budgets, predictions_of, ranked_cases, tested_at
from modelsgenesis.reports.viewing.scans import amount_in_words, layers_of, marked, volume_scene
from modelsgenesis.tasks import Task

MISSED, ADDED, OTHER = "#ff4a3d", "#40e0ff", "#fff3a0"  # told apart by lightness too, and unlike the labels
TRUTH, PREDICTION, DIFFERENCE = "truth", "prediction", "difference"

Scenes = tuple[list[Scene], int]  # and how many cases there are


def evaluation_scenes(folder: Path, most: int) -> Scenes:
    """The cases of an evaluation, the worst first: truth, prediction and difference of each.

    Args:
        folder: made by `genesis evaluate`.
        most: cases.
    Raises:
        DataError: the predictions or the truth are not where they were, or no case can be shown.
    """
    made = read_provenance(folder, "evaluate")
    predictions, truth = map(Path, made.inputs)
    asked = {name: made.arguments.get(name) for name in ("kind", "label", "classes", "columns")}
    of_network = predicted_target(predictions)
    meant = asked.pop("kind") or (of_network.kind if of_network else None)
    task = read_truth(truth, predictions, of_network, kind=meant, **asked)
    with blamed_on(folder / PROVENANCE, DataError, "its target is none of this version; evaluate again"):
        target = rebuild(made.arguments["target"])
    if isinstance(target, MaskTarget):
        return mask_scenes(folder, predictions, task, target, most)
    table = read_predictions(predictions, type(target))
    if table is None or not isinstance(target, TableTarget) or not isinstance(task.target, TableTarget):
        raise DataError(f"{predictions}: holds neither masks nor a table of predictions")
    compared = [one for one in match_rows(task.cases, table, target)[0] if one.status == "compared"]
    return table_scenes([("", compared)], task, target, most)


def mask_scenes(folder: Path, predictions: Path, task: Task, target: MaskTarget, most: int) -> Scenes:
    """The cases of a segmentation by their mean Dice, the lowest first."""
    dice: dict[str, list[str]] = defaultdict(list)
    for row in read_table(folder / CASES).rows:
        if row["status"] == "compared":
            dice[row["id"]].append(
                f"{row['label']} {(row['dice'] and short_number(float(row['dice']))) or 'undefined'}"
            )
    by_id = {pair.case.id: pair for pair in match(task.cases, find_predictions(predictions), target)[0]}
    ranked = sorted((each for each in dice if each in by_id), key=lambda each: (worth(dice[each]), each))
    scenes, first = [], ""
    for name in ranked:
        try:
            truth, geometry = truth_of(by_id[name].case, target.label_map)
            predicted = prediction_of(by_id[name], target.label_map, geometry)
            panes = compared_panes(truth, {PREDICTION: predicted}, target.label_map, geometry)
            volume = background_of(by_id[name].case, geometry)
            scenes.append(volume_scene(volume, name, panes, f"Dice: {', '.join(dice[name])}."))
        except UnreadableError as error:
            first = first or f"{name}: {error}"
        if len(scenes) == most:
            break
    return found_some(scenes, len(ranked), first, folder)


def worth(words: Sequence[str]) -> float:
    """The mean of the defined numbers at the ends of some words; the best there is where none is defined."""
    numbers = [float(each.rpartition(" ")[2]) for each in words if not each.endswith("undefined")]
    return float(np.mean(numbers)) if numbers else math.inf


def found_some(scenes: list[Scene], num: int, first: str, folder: Path) -> Scenes:
    """The scenes, unless there is none.

    Raises:
        DataError: there is none; the message says why not the first.
    """
    if not scenes:
        why = f"; the first: {first}" if first else ""
        raise DataError(f"{folder}: none of its cases can be shown{why}")
    return scenes, num


def compared_panes(
    truth: NDArray[np.uint8], predicted: Mapping[str, NDArray[np.uint8]], label_map: LabelMap, geometry: Geometry
) -> list[tuple[str, tuple[Layer, ...]]]:
    """The layers of the truth, of each prediction, and of a single prediction's difference from the truth."""
    panes = [(TRUTH, layers_of(truth, label_map, geometry))]
    panes += [(title, layers_of(classes, label_map, geometry)) for title, classes in predicted.items()]
    if len(predicted) == 1:
        (only,) = predicted.values()
        panes.append((DIFFERENCE, (difference(truth, only, label_map, geometry),)))
    return panes


def difference(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], label_map: LabelMap, geometry: Geometry
) -> Layer:
    """Where truth and prediction differ: 1 missed, 2 added, 3 another label than the true one."""
    found = np.zeros(truth.shape[1:], np.uint8)
    for k in range(len(label_map.labels)):
        true, ours = label_map.present(truth, k), label_map.present(predicted, k)
        found[true & ~ours] |= 1
        found[ours & ~true] |= 2
    names = {1: ("missed: true, not predicted", MISSED), 2: ("added: predicted, not true", ADDED),
             3: ("another label than the true one", OTHER)}  # fmt: skip
    counts = np.bincount(found.ravel(), minlength=4)
    entries = [
        LabelEntry(value, name, colour, amount_in_words(int(counts[value]), geometry))
        for value, (name, colour) in names.items()
        if counts[value]
    ]
    return Layer(found, tuple(entries))


def background_of(case: Case, geometry: Geometry) -> Volume:
    """The first image of a case on the grid of its truth; black where there is none that fits."""
    try:
        volume = read_volume(case.images[0]) if case.images else None
        if volume is not None:
            check_same_grid(volume.geometry, geometry, "image and truth")
    except UnreadableError:
        volume = None
    if volume is not None:
        return volume
    shape = tuple(geometry.size[axis] for axis in geometry.order)
    notes = ("no image of the grid of the truth is known: its place is black",)
    return Volume(np.zeros((1, *shape), np.uint8), spacing_of(geometry), "", geometry, notes)


def table_scenes(
    predicted: Sequence[tuple[str, Sequence[TablePrediction]]], task: Task, target: TableTarget, most: int
) -> Scenes:
    """The cases of a classification, regression or landmarks, the worst predicted first.

    Args:
        predicted: of each arm, its name and its predictions, all of the same cases in one order.
        task: of the truth.
        target: of the networks.
        most: cases.
    """
    of_truth = task.target
    if not isinstance(of_truth, TableTarget):
        raise DataError(f"the truth is a task of {of_truth.kind}, and the predictions are numbers")
    cases = [one.case for one in predicted[0][1]]
    truth = np.array([target.true_values(case.values, of_truth) for case in cases])
    values = {arm: np.array([one.values for one in some], np.float64) for arm, some in predicted}
    errors = np.mean([target.errors(numbers, truth) for numbers in values.values()], axis=0)
    scenes, first = [], ""
    for at in np.argsort(-errors, kind="stable"):
        try:
            said = [f"True: {target.true_words(truth[at])}."]
            said += [f"{arm or 'Predicted'}: {target.predicted_words(each[at])}." for arm, each in values.items()]
            if not cases[at].images:
                raise UnreadableError("it has no image", "name one in the truth's table")
            volume = read_volume(cases[at].images[0])
            panes = [(TRUTH, marked(target, truth[at].tolist(), volume))]
            panes += [(arm or PREDICTION, marked(target, each[at].tolist(), volume)) for arm, each in values.items()]
            drawn = panes if any(layers for _, layers in panes) else [("", ())]
            scenes.append(volume_scene(volume, cases[at].id, drawn, " ".join(said)))
        except UnreadableError as error:
            first = first or f"{cases[at].id}: {error}"
        if len(scenes) == most:
            break
    return found_some(scenes, len(cases), first, Path(task.name))


def benchmark_scenes(folder: Path, most: int) -> Scenes:
    """The test cases of a benchmark, the worst first: the truth, and what each arm made of it.

    The arms are those of one seed, trained on the most labelled cases that every arm was trained on.

    Raises:
        DataError: the folders of its runs are not here, or no case can be shown.
    """
    found = read_findings(folder)[0]
    budgets = complete_budgets(found)
    if not budgets:
        raise DataError(f"{folder}: there is no number of cases that every arm was trained on; let it run on")
    tested = tested_at(folder, found, budgets[-1])
    if isinstance(tested.target, MaskTarget):
        return arms_scenes(folder, found, budgets[-1], tested, tested.target, most)
    if not isinstance(tested.target, TableTarget):
        raise DataError(f"cases of {tested.target.kind} cannot be shown")
    target = tested.target
    by_arm = {arm: predictions_of(place, tested.task.cases, target) for arm, place in tested.places.items()}
    there = [k for k in range(len(tested.task.cases)) if all(some[k].status == "compared" for some in by_arm.values())]
    if not there:
        raise DataError(f"{folder}: no test case was predicted by every arm")
    return table_scenes([(arm, [some[k] for k in there]) for arm, some in by_arm.items()], tested.task, target, most)


def arms_scenes(folder: Path, found: Findings, budget: int, tested: Tested, target: MaskTarget, most: int) -> Scenes:
    """The test cases of a benchmark of segmentation."""
    by_id = {case.id: case for case in tested.task.cases}
    label_map = target.label_map
    ranked, _, own = ranked_cases(found, budget, tested.seed, by_id)
    predicted = {arm: find_predictions(place / "predictions") for arm, place in tested.places.items()}
    scenes, first = [], ""
    for name in ranked:
        try:
            truth, geometry = truth_of(by_id[name], label_map)
            masks = {
                f"{arm}: {found.title} {short_number(own.get((name, arm), math.nan))}": prediction_of(
                    match([by_id[name]], some, target)[0][0], label_map, geometry
                )
                for arm, some in predicted.items()
            }
            volume = background_of(by_id[name], geometry)
            note = f"Runs of seed {tested.seed}, trained on {budget} labelled cases."
            scenes.append(volume_scene(volume, name, compared_panes(truth, masks, label_map, geometry), note))
        except UnreadableError as error:
            first = first or f"{name}: {error}"
        if len(scenes) == most:
            break
    return found_some(scenes, len(ranked), first, folder)
