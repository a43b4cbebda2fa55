"""Fine-tuning learners: losses re-derived, figures that add up over batches, and what learns how fast."""

import numpy as np
import pytest
import torch
from monai.data import get_track_meta
from torch.nn import functional

from modelsgenesis.core.errors import DataError, ShapeError, TrainingError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.target import LearnerSettings
from modelsgenesis.finetuning.augmentation import Augmentation, augmented
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.nets import ResidualUNet, UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.targets.base.mask_learner import MaskLearner
from modelsgenesis.targets.base.value_learner import ValueLearner
from modelsgenesis.targets.classification import Classification, class_weights
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.regression import Regression
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.training.loop import make_optimizer
from modelsgenesis.training.plan import Plan

SIZE = (16, 16, 16)
ORGANS = Segmentation((Label("liver", (1,)), Label("spleen", (2,))))
REGIONS = MultilabelSegmentation((Label("whole", (1, 2)), Label("core", (2,))))
CLASSES = Classification((Label("a"), Label("b"), Label("c")))
FINDINGS = MultilabelClassification((Label("nodule"), Label("fluid")))
VOLUMES = Regression((Label("ml"),))
VALUES = {
    "CLASSES": [[0.0], [1], [2], [0]],
    "FINDINGS": [[0.0, 1], [1, 0], [0, 0], [1, 1]],
    "VOLUMES": [[5.0], [9], [1], [3]],
}


def settings_of(values: list[list[float]], layer_rates: LayerLearningRates | None = None) -> LearnerSettings:
    """What a learner is made with."""
    return LearnerSettings(values, Augmentation().views(SIZE), layer_rates or LayerLearningRates())


def segmenter(target: MaskTarget, *, net: str = "unet", layer_rates: LayerLearningRates | None = None) -> MaskLearner:
    """A tiny learner of masks, with the same weights each time."""
    torch.manual_seed(0)
    if net == "residual":
        network = ResidualUNet(
            out_channels=target.num_outputs, width=2, strides=(1, 2, 2), blocks=(1, 1, 1), activation="identity",
            deep_supervision=True,
        )  # fmt: skip
    else:
        network = UNet3D(width=2, out_channels=target.num_outputs, activation="identity")
    return target.learner(network, settings_of([], layer_rates))


def classifier(
    target: TableTarget, values: list[list[float]], layer_rates: LayerLearningRates | None = None
) -> ValueLearner:
    """A tiny learner of classes or numbers."""
    torch.manual_seed(0)
    network = Classifier(UNet3D(width=2), target.num_outputs, hidden=8)
    return target.learner(network, settings_of(values, layer_rates))


def masks(target: MaskTarget) -> Batch:
    """Four images whose masks can be seen in them."""
    rng = generator_for(0, 1, "masks")
    label = rng.integers(0, 3, (4, 1, 4, 4, 4)).repeat(4, 2).repeat(4, 3).repeat(4, 4)
    image = torch.from_numpy(label / 2 + rng.normal(0, 0.05, label.shape)).float()
    if target.label_map.has_background:
        return {"image": image, "mask": torch.from_numpy(label).byte()}
    parts = np.concatenate([label > 0, label > 1], axis=1)
    return {"image": image, "mask": torch.from_numpy(parts).byte()}


def values_of(values: list[list[float]]) -> Batch:
    """Four images as bright as their values."""
    known = torch.tensor(values)
    return {"image": known.mean(1)[:, None, None, None, None].expand(4, 1, *SIZE) / known.max(), "values": known}


CASES = {
    "organs": (lambda: segmenter(ORGANS), lambda: masks(ORGANS)),
    "organs-deep": (lambda: segmenter(ORGANS, net="residual"), lambda: masks(ORGANS)),
    "regions": (lambda: segmenter(REGIONS), lambda: masks(REGIONS)),
    "classes": (lambda: classifier(CLASSES, VALUES["CLASSES"]), lambda: values_of(VALUES["CLASSES"])),
    "findings": (lambda: classifier(FINDINGS, VALUES["FINDINGS"]), lambda: values_of(VALUES["FINDINGS"])),
    "volumes": (lambda: classifier(VOLUMES, VALUES["VOLUMES"]), lambda: values_of(VALUES["VOLUMES"])),
}


def test_unknown_labels_teach_nothing() -> None:
    """Every known label counts by the formula, in the loss and in the weights; an unknown one adds nothing."""
    nan = float("nan")
    values = [[0.0, 1], [1, nan], [nan, 0], [1, 1]]
    learner = classifier(FINDINGS, values).train()
    batch = {**values_of(VALUES["FINDINGS"]), "values": torch.tensor(values)}
    np.testing.assert_allclose(learner.weights, [1 / 2, 1 / 2])  # absent against present, of the known
    parts = learner(batch, 0.0)
    p = learner.predict(batch).detach().double().numpy()
    each = [-np.log(p[n, k]) / 2 if values[n][k] else -np.log(1 - p[n, k]) for n, k in np.argwhere(~np.isnan(values))]
    np.testing.assert_allclose(parts["total"].item(), sum(each) / 8, rtol=1e-5)
    right = [(p[n, k] > 0.5) == values[n][k] for n, k in np.argwhere(~np.isnan(values))]
    assert parts["accuracy"].item() == np.mean(right)
    assert FINDINGS.label_entries(values[1]) == ("1", "")
    assert FINDINGS.each_once(values[1]) == (0,)


@pytest.mark.parametrize("case", CASES)
def test_losses_are_finite_and_fall(case: str) -> None:
    """Forty steps on one batch lower the total by a quarter at least; every part is a finite scalar."""
    make, given = CASES[case]
    learner: Learner = make().train()
    batch, totals = given(), []
    optimizer = make_optimizer(learner, Plan(steps=40, lr=0.01, weight_decay=0.0))
    for step in range(40):
        parts = learner(batch, step / 40)
        assert all(part.dim() == 0 and torch.isfinite(part) for part in parts.values())
        parts["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        totals.append(parts["total"].item())
    assert totals[-1] < 0.75 * totals[0]


@pytest.mark.parametrize("case", CASES)
def test_predictions_are_probabilities_or_numbers(case: str) -> None:
    """Of labels that exclude each other they add up to one; all lie in [0, 1]; numbers are not squeezed."""
    make, given = CASES[case]
    learner = make().eval()
    with torch.no_grad():
        prediction = learner.predict(given())
    assert prediction.shape[:2] == (4, learner.target.num_outputs)
    if learner.target == VOLUMES:
        return
    assert 0 <= float(prediction.min()) <= float(prediction.max()) <= 1
    if learner.target in (ORGANS, CLASSES):
        torch.testing.assert_close(prediction.sum(dim=1), torch.ones_like(prediction[:, 0]))


def test_reach_is_whole_voxels_but_for_the_last_digits() -> None:
    """A tenth of twenty voxels more is one at either border, though 1.1 - 1 is a little more than a tenth."""
    assert Augmentation(rotation_degrees=0.0, scale=0.15).reach((20, 20, 20)) == (22, 22, 22)


def test_segmentation_loss_is_dice_plus_cross_entropy() -> None:
    """Re-derived: soft Dice of each label over the whole batch, background left out, and the mean cross-entropy."""
    learner, batch = segmenter(ORGANS).eval(), masks(ORGANS)
    with torch.no_grad():
        logits = learner.backbone(batch["image"])
        parts = learner.losses(batch, 0.0)
    p, truth = logits.softmax(1), functional.one_hot(batch["mask"][:, 0].long(), 3).movedim(-1, 1)
    axes = (0, 2, 3, 4)
    dice = (2 * (p * truth).sum(axes) + 1e-5) / (p.sum(axes) + truth.sum(axes) + 1e-5)
    assert parts["dice_loss"].item() == pytest.approx(1 - dice[1:].mean().item(), abs=1e-5)
    cross = functional.nll_loss(logits.log_softmax(1), batch["mask"][:, 0].long())
    assert parts["cross_entropy"].item() == pytest.approx(cross.item(), abs=1e-5)
    assert parts["total"].item() == pytest.approx(1 - dice[1:].mean().item() + cross.item(), abs=1e-5)


@pytest.mark.parametrize("target", [ORGANS, REGIONS])
def test_dice_of_two_batches_is_that_of_all(target: MaskTarget) -> None:
    """Validation pools voxels over all patches; it does not average scores of batches."""
    learner, batch = segmenter(target).eval(), masks(target)
    halves = [{name: part[half] for name, part in batch.items()} for half in (slice(0, 1), slice(1, 4))]
    with torch.no_grad():
        logits = learner.backbone(batch["image"])
        means = [learner.losses(half, 0.0) for half in halves]
    figures = learner.metrics({name: float((means[0][name] + 3 * means[1][name]) / 4) for name in means[0]})
    for k, name in enumerate(target.names):
        found = (logits.argmax(1) == k + 1) if target.label_map.has_background else logits[:, k] > 0
        truth = (batch["mask"][:, 0] == k + 1) if target.label_map.has_background else batch["mask"][:, k] > 0
        dice = 2 * (found & truth).sum().item() / (found.sum().item() + truth.sum().item())
        assert figures[f"dice_{name}"] == pytest.approx(dice)
    assert learner.selection_score(figures) == -figures["dice"]


def test_deep_supervision_weighs_coarser_scales_less() -> None:
    """In training the total is the mean over scales, each weighing half as much as the one before."""
    learner, batch = segmenter(ORGANS, net="residual").train(), masks(ORGANS)
    with torch.no_grad():
        total = learner.losses(batch, 0.0)["total"].item()
        parts = []
        for prediction in learner.backbone.predict_scales(batch["image"]):
            step = 16 // prediction.shape[2]
            mask = batch["mask"][:, :, ::step, ::step, ::step]
            parts.append(sum(part.item() for part in learner.losses_at(prediction, mask)))
    weights = np.array([1, 0.5, 0.25][: len(parts)])
    assert len(parts) == 2
    assert total == pytest.approx(float((weights / weights.sum()) @ parts), abs=1e-4)


def test_rare_classes_weigh_as_much_as_frequent_ones() -> None:
    """Three of one and one of another: the sums of weights are equal, and their mean over cases is one."""
    values = np.array([[0.0], [0], [0], [1]])
    weights = class_weights(values, ("a", "b"))
    assert weights[0] * 3 == pytest.approx(weights[1] * 1)
    assert (weights[0] * 3 + weights[1]) / 4 == pytest.approx(1)


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    """A learner that always says the first class tells one class in three."""
    learner, batch = classifier(CLASSES, VALUES["CLASSES"]).eval(), values_of(VALUES["CLASSES"])
    with torch.no_grad():
        learner.classifier.head[-1].weight.zero_()
        learner.classifier.head[-1].bias.copy_(torch.tensor([1.0, 0, 0]))
        means = {name: float(part) for name, part in learner.losses(batch, 0.0).items()}
    figures = learner.metrics(means)
    assert figures["accuracy"] == pytest.approx(0.5)
    assert figures["balanced_accuracy"] == pytest.approx(1 / 3)
    assert not any(name.startswith(("right", "seen")) for name in figures)


def test_paces_divide_every_parameter_once() -> None:
    """Whatever the layer_rates, no parameter is trained twice; earlier stages never learn faster than later ones."""
    for layer_rates in (
        LayerLearningRates(),
        LayerLearningRates("layer_decay", decay=0.5),
        LayerLearningRates("head_first", rest=0.3),
        LayerLearningRates("probe"),
    ):
        learner = segmenter(ORGANS, layer_rates=layer_rates)
        groups = learner.groups()
        every = [id(parameter) for group in groups for parameter in group.parameters]
        assert len(every) == len(set(every)) == len(list(learner.parameters()))
        scales = [group.scale for group in groups]
        assert scales == sorted(scales)
        optimizer = make_optimizer(learner, Plan(steps=1))
        trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
        assert trained == sum(p.numel() for p in learner.parameters() if p.requires_grad)
        assert (trained < 60) == (layer_rates.how == "probe")


def test_augmentation_hangs_on_the_generator_alone_and_moves_mask_with_image() -> None:
    """Same generator, same result; an image that is its mask stays so, but for interpolated borders and grey levels."""
    settings = Augmentation(p_intensity=0.0, p_spatial=1.0)
    transform, reach = settings.make(SIZE), settings.reach(SIZE)
    mask = np.zeros((1, *reach), np.uint8)
    mask[:, 4:13, 6:15, 5:12] = 1
    sample = {"image": mask.astype(np.float32), "mask": mask}
    for index in range(5):
        one, two = (augmented(transform, sample, generator_for(0, index)) for _ in range(2))
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert one["image"].shape == one["mask"].shape == (1, *SIZE)
        assert np.mean((one["image"] > 0.5) != one["mask"]) < 0.01
    assert settings.reach(SIZE) > SIZE
    assert Augmentation(p_spatial=0.0).reach(SIZE) == SIZE


@pytest.mark.parametrize("size", [(16, 16, 16), (32, 32, 32), (32, 40, 32), (64, 64, 32), (8, 24, 48)])
def test_what_is_not_turned_is_not_touched(size: tuple[int, ...]) -> None:
    """A sample that draws no change is its middle, voxel for voxel: not half a voxel aside, not blurred."""
    settings = Augmentation(p_spatial=1e-9, p_intensity=0.0, mirror=())
    reach = settings.reach(size)
    rng = generator_for(0, 0)
    sample = {
        "image": rng.random((1, *reach), dtype=np.float32),
        "mask": rng.integers(0, 3, (1, *reach)).astype(np.uint8),
    }
    middle = (
        slice(None),
        *(slice((far - side) // 2, (far + side) // 2) for far, side in zip(reach, size, strict=True)),
    )
    result = augmented(settings.make(size), sample, generator_for(0, 1))
    assert np.abs(result["image"] - sample["image"][middle]).max() < 1e-4
    assert np.array_equal(result["mask"], sample["mask"][middle])


def test_augmented_images_stay_in_range() -> None:
    """[0, 1], float32, and the sample untouched."""
    settings = Augmentation(p_intensity=1.0)
    transform, reach = settings.make(SIZE), settings.reach(SIZE)
    image = generator_for(0, 0).random((2, *reach), dtype=np.float32)
    before = image.copy()
    result = augmented(transform, {"image": image, "values": np.ones(1, np.float32)}, generator_for(0, 1))
    assert result["image"].dtype == np.float32
    assert 0 <= result["image"].min() <= result["image"].max() <= 1
    assert result["values"] == 1
    assert np.array_equal(image, before)


def test_what_makes_no_sense_is_refused() -> None:
    """Each in one line."""
    with pytest.raises(ShapeError, match="the task needs 3 outputs, the network has 1"):
        ORGANS.learner(UNet3D(width=2), settings_of([]))
    with pytest.raises(DataError, match=r"2 training cases cannot separate c from the rest; use more --cases"):
        classifier(CLASSES, [[0.0], [1.0]])
    with pytest.raises(DataError, match="cannot separate fluid from the rest"):
        classifier(FINDINGS, [[0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(TrainingError, match=r"decay from stage to stage must be in \(0, 1\]"):
        LayerLearningRates(decay=0.0)
    with pytest.raises(TrainingError, match="mirrored axes are 0, 1 and 2"):
        Augmentation(mirror=(3,))


def test_patches_are_augmented_without_records_and_as_with_them() -> None:
    """MONAI's records of what was done cost time and change no value; the caller's own setting is left as it was."""
    transform = Augmentation(p_spatial=1.0, mirror=(0, 1)).make((8, 8, 8))
    arrays = {"image": generator_for(0, 0, "patch").random((1, 12, 12, 12), dtype=np.float32)}
    quick = augmented(transform, arrays, generator_for(1, 0))
    assert get_track_meta()
    transform.set_random_state(seed=int(generator_for(1, 0).integers(2**32)))
    kept = np.clip(np.asarray(transform({"image": torch.from_numpy(arrays["image"])})["image"]), 0, 1)
    np.testing.assert_array_equal(quick["image"], kept)
