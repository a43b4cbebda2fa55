"""What every kind of task obeys."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from modelsgenesis.core.labels import Label
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import describe, members, rebuild
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.table_target import TableTarget, recognise
from modelsgenesis.core.target import LearnerSettings, Target, find_target
from modelsgenesis.data.volume import Geometry
from modelsgenesis.data.writing import write_mask
from modelsgenesis.finetuning.augmentation import Augmentation
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.nets import UNet3D
from modelsgenesis.training.loop import make_optimizer
from modelsgenesis.training.plan import Plan

SIZE = (16, 16, 16)
GEOMETRY = Geometry((12, 10, 8), (1.0, 2.0, 1.5), (5.0, -3.0, 7.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
KINDS = members("targets")
MASKS = [name for name in KINDS if issubclass(find_target(name), MaskTarget)]
TABLES = [name for name in KINDS if issubclass(find_target(name), TableTarget)]


def make(name: str) -> Any:
    """A target of a kind, of two labels."""
    return find_target(name)((Label("one", (1,)), Label("two", (2,))))


def truth_of(target: TableTarget, num: int = 6) -> np.ndarray[Any, Any]:
    """True values of so many cases, as the target's `true_values` gives them."""
    rng = generator_for(0, 0, "truth")
    if len(target.value_columns) > len(target.labels):
        return rng.uniform(0, 8, (num, len(target.value_columns)))
    if len(target.label_columns) == 1:
        return np.arange(num)[:, None] % 2.0
    whole = rng.permuted(np.arange(num)[:, None] % np.array([2.0, 2.0]), axis=0)
    return whole if target.suspicion(whole, whole) is not None else whole + 0.5 + np.arange(num)[:, None]


def perfect(target: TableTarget, truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The predictions of one who knows the truth."""
    return np.eye(2)[truth[:, 0].astype(int)] if truth.shape[1] == 1 else truth


def batch_of(target: Target) -> Batch:
    """A batch that can be learned: bright where, or as, labelled."""
    rng = generator_for(0, 0, "batch")
    labels = target.voxel_labels
    if labels is None:
        assert isinstance(target, TableTarget)
        values = torch.from_numpy(truth_of(target, 4)).float()
        image = values.mean(1)[:, None, None, None, None].expand(4, 1, *SIZE) / values.max()
        return {"image": image.contiguous(), "values": values}
    balls = np.zeros((4, 2, *SIZE), np.uint8)
    for case, (first, second) in enumerate(rng.integers(3, 12, (4, 2, 3))):
        for k, (x, y, z) in enumerate((first, second)):
            balls[case, k, x - 2 : x + 2, y - 2 : y + 2, z - 2 : z + 2] = 1
    image = np.maximum(balls[:, :1] * 0.5, balls[:, 1:])
    heat = 255 if isinstance(target, TableTarget) else 1
    mask = np.stack([labels.merged(each) for each in balls]) * heat
    return {"image": torch.from_numpy(image).float(), "mask": torch.from_numpy(mask.astype(np.uint8))}


def learner_of(target: Target) -> Any:
    """A tiny learner, with the same weights each time."""
    torch.manual_seed(0)
    outputs, norm = (
        (target.num_outputs, "instance") if target.dense else (1, "batch")
    )  # instances are alike but for grey
    network = target.network(UNet3D(width=2, out_channels=outputs, activation="identity", norm=norm), hidden=8)
    values = truth_of(target, 4).tolist() if isinstance(target, TableTarget) and not target.dense else []
    return target.learner(network, LearnerSettings(values, Augmentation().views(SIZE), LayerLearningRates()))


@pytest.mark.parametrize("name", KINDS)
def test_described_and_rebuilt_targets_are_equal(name: str) -> None:
    """What the header of a weights file says is enough, through JSON and back."""
    target = make(name)
    assert rebuild(json.loads(json.dumps(describe(target)))) == target


@pytest.mark.parametrize("name", KINDS)
def test_every_target_says_how_it_is_called(name: str) -> None:
    """Words, and a metric of its own that a benchmark compares by."""
    target = make(name)
    assert all(
        (target.kind, target.noun, target.labels_per_case, target.metric, target.column, target.outputs_in_words)
    )
    assert 0 <= target.overlap < 1
    assert isinstance(target, TableTarget) != isinstance(target, MaskTarget)
    assert target.dense == (target.voxel_labels is not None)
    if isinstance(target, TableTarget):
        assert target.metric in target.metrics


@pytest.mark.parametrize("name", KINDS)
def test_network_has_the_outputs_of_its_target(name: str) -> None:
    """A prediction has a channel an output, and keeps the shape of the outputs."""
    target = make(name)
    learner = learner_of(target).eval()
    batch = batch_of(target)
    with torch.no_grad():
        predicted = learner.predict(batch)
    assert predicted.shape == (4, target.num_outputs, *(SIZE if target.dense else ()))


@pytest.mark.parametrize("name", KINDS)
def test_losses_are_finite_and_fall(name: str) -> None:
    """Sixty steps on one batch lower the total by a fifth at least; every part is a finite scalar."""
    target = make(name)
    learner, batch, totals = learner_of(target).train(), batch_of(target), []
    optimizer = make_optimizer(learner, Plan(steps=60, lr=0.01, weight_decay=0.0))
    for step in range(60):
        parts = learner(batch, step / 60)
        assert all(part.dim() == 0 and torch.isfinite(part) for part in parts.values())
        parts["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        totals.append(parts["total"].item())
    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.parametrize("name", KINDS)
def test_figures_of_a_validation_choose_a_network(name: str) -> None:
    """The selection score is a finite number of the metrics that a validation gives."""
    target = make(name)
    learner = learner_of(target).eval()
    with torch.no_grad():
        means = {part: float(value) for part, value in learner.losses(batch_of(target), 0.0).items()}
    assert np.isfinite(learner.selection_score(learner.metrics(means)))


@pytest.mark.parametrize("name", MASKS)
def test_decoded_masks_are_the_labels_of_certain_probabilities(name: str) -> None:
    """Whoever is certain, and right, gets the very classes."""
    target = make(name)
    labels = target.label_map
    classes = labels.merged(generator_for(0, 0).integers(0, 2, (2, *SIZE)).astype(np.uint8))
    parts = [labels.present(classes, k) for k in range(2)]
    p = np.stack([*([~np.any(parts, axis=0)] if labels.has_background else []), *parts]).astype(np.float32)
    np.testing.assert_array_equal(labels.decide(torch.from_numpy(p)).numpy(), classes)


@pytest.mark.parametrize("name", MASKS)
def test_written_masks_are_read_back_equal(name: str, tmp_path: Path) -> None:
    """By a reader that knows nothing of us: each label is where its file, or its value, says."""
    target = make(name)
    labels = target.label_map
    masks = generator_for(0, 0).integers(0, 2, (2, *GEOMETRY.size)).astype(np.uint8)
    classes = labels.merged(masks)
    found: list[np.ndarray[Any, Any]] = []
    for suffix, array in labels.files(classes):
        write_mask(tmp_path / f"a{suffix}.nii.gz", array, GEOMETRY)
        found.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"a{suffix}.nii.gz"))).T)
    for k in range(2):
        there = found[0] == k + 1 if len(found) == 1 else found[k] > 0
        np.testing.assert_array_equal(there, labels.present(classes, k))


@pytest.mark.parametrize("name", TABLES)
def test_rows_have_the_columns_that_were_announced(name: str) -> None:
    """And the numbers come back from their entries, to the digits that are written."""
    target = make(name)
    values = perfect(target, truth_of(target))[1]
    row = target.row(values)
    assert tuple(row) == target.columns
    assert set(target.value_columns) <= set(target.columns)
    np.testing.assert_allclose([float(row[column]) for column in target.value_columns], values, atol=1e-3)
    assert not target.refusal(values.tolist())


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_predictions_are_recognised(name: str) -> None:
    """By their columns alone, as a kind of the same word."""
    target = make(name)
    columns = ("id", "image", *target.columns)
    assert type(target).recognised(columns) == target.value_columns
    assert type(target).names_of(target.value_columns) == target.names
    found = recognise(columns)
    assert found is not None
    assert found.kind == target.kind
    assert recognise(("id", "image", "prediction", "status")) is None


@pytest.mark.parametrize("name", TABLES)
def test_perfect_predictions_score_best(name: str) -> None:
    """Better than any other by the target's own metric, and no case is wrong."""
    from modelsgenesis.metrics.direction import more_is_better

    target = make(name)
    truth = truth_of(target)
    best = perfect(target, truth)
    worse = target.scores(best[::-1], truth)
    for label, scores in target.scores(best, truth).items():
        assert set(scores) <= set(target.metrics)
        if target.metric in scores:
            sign = 1 if more_is_better(target.metric) else -1
            assert sign * scores[target.metric] >= sign * worse[label][target.metric]
    np.testing.assert_allclose(target.errors(best, truth), 0, atol=1e-9)
    label, metrics, _ = target.headline
    assert set(metrics) <= set(target.scores(best, truth)[label])


@pytest.mark.parametrize("name", TABLES)
def test_a_case_without_a_prediction_has_the_same_columns(name: str) -> None:
    """So a table of cases is whole, whatever became of each."""
    target = make(name)
    truth = truth_of(target)
    nothing = (float("nan"),) * len(target.value_columns)
    assert list(target.case_row(nothing, truth[0])) == list(target.case_row(perfect(target, truth)[0], truth[0]))
    assert target.verdict(perfect(target, truth)[0], truth[0])


@pytest.mark.parametrize("name", KINDS)
def test_labels_of_a_case_go_into_a_table_and_back(name: str) -> None:
    """One entry a column; masks are named by whoever knows their files."""
    target = make(name)
    if isinstance(target, TableTarget):
        truth = truth_of(target)[0]
        assert len(target.label_entries(truth.tolist())) == len(target.label_columns)
    assert len(set(target.label_columns)) == len(target.label_columns)
