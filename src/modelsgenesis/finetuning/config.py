"""How a task is fine-tuned, whole, as data: decided from the start, the cases and the options."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelsgenesis.core.backbone import Backbone, check_divides
from modelsgenesis.core.errors import DataError, GenesisError, TrainingError
from modelsgenesis.core.naming import find, rebuild
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import ImageSize, axes_of, image_size_of, middle_spacing, sizes_at
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.finetuning.augmentation import Augmentation
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.nets.norms import Norm
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes import find as find_recipe
from modelsgenesis.recipes.recipe import check_backbone_args
from modelsgenesis.tasks import Published, Task
from modelsgenesis.training.plan import Plan
from modelsgenesis.weights.inflating import inflated
from modelsgenesis.weights.loading import OURS, LoadedWeights, load_weights
from modelsgenesis.weights.registry import resolve
from modelsgenesis.weights.transfer import ChannelAdaptation, network_with

SCRATCH = "scratch"
FEWEST_STEPS, MOST_STEPS, STEPS_A_CASE = 1000, 20_000, 100
WHOLE = 80**3  # voxels up to which a case to classify is seen whole
MIXED = "some images are volumes and some are 2D pictures; make a task of each"
PICTURE = (224, 224)  # pixels that a picture is shrunk or enlarged to
SIDES = ("left", "right")
AXES = "xyz"

ImageSizes = Callable[[], list[ImageSize]]


@dataclass(frozen=True)
class Initialization:
    """Where a fine-tuning begins.

    Attributes:
        backbone: pre-trained, or of the kind and size to begin with at random.
        pretrained: whether its weights are taken.
        size: of the cubes that it was taught on, if that is known.
        reading: how their images were read, if that is known.
        said: what the user called it.
        opened: of another program's file, or one of ours of which a part was never taught: its format, and how the
            network came from it.
    """

    backbone: Backbone
    pretrained: bool
    size: tuple[int, ...] | None
    reading: Reading | None
    said: str
    opened: LoadedWeights | None = None

    @property
    def place(self) -> Path:
        """The run or file that its weights come from; of weights of the package, their file there."""
        return resolve(self.said)


@dataclass(frozen=True)
class FineTuneConfig:
    """Everything that decides a fine-tuning but the cases, the first weights and the seed.

    Attributes:
        reading: how images are read.
        size: of the patches or cubes that the network sees, in voxels.
        plan: how it is trained.
        layer_rates: how fast each part of it learns.
        augmentation: of what it is trained on.
        foreground: share of the patches that are centred on a label.
        widen: what the first convolution does with further channels.
        hidden: neurons between a classifier's features and its answer; a probe has none.
    """

    reading: Reading
    size: tuple[int, ...]
    plan: Plan
    layer_rates: LayerLearningRates = field(default_factory=LayerLearningRates)
    augmentation: Augmentation = field(default_factory=Augmentation)
    foreground: float = 1 / 3
    widen: ChannelAdaptation = "mean"
    hidden: int = 1024


def choose_initialization(
    said: str | Path,
    task: Task,
    *,
    like: str | Path | None,
    backbone: str | None = None,
    width: int | None = None,
    norm: Norm | None = None,
    trust: bool = False,
) -> Initialization:
    """Open what a fine-tuning begins with.

    Args:
        said: a run, a weights file of any known format, or "scratch".
        task: to be learned.
        like: of a start from scratch: the run or recipe whose kind of network is taken; by default chest-ct for CT, and
            any for the rest.
        backbone: of a start from scratch: another kind of network.
        width: of a start from scratch: another width.
        norm: of a start from scratch: another norm.
        trust: unpickle a file that needs more than tensors, in a process of its own.
    Raises:
        WeightsError: there are no such weights.
        GenesisError: options that contradict each other, or an unknown network.
    """
    network_said = {"--backbone": backbone, "--width": width, "--norm": norm}
    if str(said) != SCRATCH:
        given = {"--like": like, **network_said}
        if wrong := [option for option, value in given.items() if value is not None]:
            raise GenesisError(f"{', '.join(wrong)}: {said} decides the network; this is for --from scratch")
        return _opened(Path(said), task, pretrained=True, trust=trust)
    if like is not None and resolve(like).exists():
        if wrong := [option for option, value in network_said.items() if value is not None]:
            raise GenesisError(f"{like} decides the network; leave {', '.join(wrong)} out, or --like")
        return _opened(Path(like), task, pretrained=False, trust=trust)
    recipe = find_recipe(str(like) if like is not None else "chest-ct" if task.modality == "CT" else "any")
    recipe = recipe.but(backbone=backbone, backbone_args={"width": width, "norm": norm})
    kind, axes = find("nets", recipe.backbone, Backbone), axes_of(task.cases[0].images[0])
    check_backbone_args(kind, recipe)
    with torch.random.fork_rng():  # its weights are never used: only its kind and size
        network = kind(**recipe.backbone_args)
        network = network if network.axes == axes else network_with(network, axes=axes)
    if axes != len(recipe.cubes.size):  # its cubes say nothing of pictures
        return Initialization(network, False, None, None, SCRATCH)
    return Initialization(network, False, recipe.cubes.size, Reading(recipe.cubes.intensity), SCRATCH)


def _opened(path: Path, task: Task, *, pretrained: bool, trust: bool) -> Initialization:
    opened = inflated(load_weights(path, trust=trust), axes_of(task.cases[0].images[0]))
    ours = opened.format == OURS
    complete = all(row.how == "taken" for row in opened.report.rows)
    notes = opened.notes if ours else {}
    recipe, reading, size = (rebuild(notes.get(name)) for name in ("recipe", "reading", "patch"))
    reading, size = reading or opened.reading, size or opened.size
    if isinstance(recipe, Recipe):
        spacing_mm = recipe.plans.spacing_mm if recipe.plans else None
        reading, size = Reading(recipe.cubes.intensity, spacing_mm), recipe.cubes.size
    known = reading if isinstance(reading, Reading) else None
    if not pretrained:
        return Initialization(opened.network, False, size, known, SCRATCH)
    return Initialization(opened.network, True, size, known, str(path), None if ours and complete else opened)


def make_config(
    task: Task, start: Initialization, cases: Sequence[Case], *, validates: bool, options: dict[str, dict[str, Any]]
) -> FineTuneConfig:
    """Decide all that the options leave open.

    Args:
        task: to be learned.
        start: what with.
        cases: training and validation cases.
        validates: whether there are validation cases.
        options: what the user said of "reading", "plan", "layer_rates", "augmentation" and "approach"; None is nothing.
    Raises:
        ShapeError: the patches do not fit the network.
        TrainingError: a number that makes no sense.
        DataError: a case's header cannot be read.
    """
    said = {name: {k: v for k, v in some.items() if v is not None} for name, some in options.items()}
    for name, usual in _published(task.published, len(cases), validates, said["plan"].get("batch_size")).items():
        said[name] = usual | said[name]
    extents = functools.cache(lambda: _extents(cases))  # read when first needed, and once
    asked = said["approach"].pop("size", None)
    if axes_of(cases[0].images[0]) == 2:
        size, reading = _of_pictures(task, start, cases, said["reading"], asked)
    else:
        reading = _reading(task, start, extents, said["reading"])
        size = tuple(asked or _size(task.target, start, extents, reading))
    check_divides(size, start.backbone.stride, type(start.backbone).__name__)
    steps = said["plan"].pop("steps", usual_steps(len(cases)))
    usual = {"warmup_steps": steps // 10, "validate_every": max(1, steps // 20)}
    plan = Plan(steps=steps, **{**usual, **said["plan"]})
    if plan.patience is not None and not validates:
        raise TrainingError(
            "--patience waits for a better validation, but no case validates; give --val or leave it out"
        )
    augmentation = Augmentation(**{"mirror": _mirror(task.target), **said["augmentation"]})
    if beyond := [AXES[axis] for axis in augmentation.mirror if axis >= len(size)]:
        raise TrainingError(f"--mirror names {', '.join(beyond)}, an axis that pictures do not have; they have x and y")
    return FineTuneConfig(
        reading, size, plan, LayerLearningRates(**said["layer_rates"]), augmentation, **said["approach"]
    )


def _published(
    published: Published | None, num_cases: int, validates: bool, batch_size: int | None
) -> dict[str, dict[str, Any]]:
    """The settings of a paper; its patience counts epochs, and nothing but a validation can run out of it.

    An epoch is one of the user's batch size, if he asked for another.
    """
    if published is None:
        return {}
    plan: dict[str, Any] = {
        "batch_size": published.batch_size, "lr": published.lr, "weight_decay": published.weight_decay
    }  # fmt: skip
    if published.patience and validates:
        epoch = math.ceil(num_cases / (batch_size or published.batch_size or Plan(1).batch_size))
        plan |= {"patience": published.patience, "validate_every": epoch}
    plan = {name: value for name, value in plan.items() if value is not None}
    reading: dict[str, Any] = {"spacing_mm": published.spacing_mm}  # None says: each scan's own
    if published.intensity:
        reading["intensity"] = published.intensity
    return {"plan": plan, "reading": reading, "approach": {"size": published.size} if published.size else {}}


def usual_steps(num_cases: int) -> int:
    """The updates that so many cases get."""
    return min(MOST_STEPS, max(FEWEST_STEPS, STEPS_A_CASE * num_cases))


def _reading(task: Task, start: Initialization, extents: ImageSizes, said: dict[str, Any]) -> Reading:
    """As the start was taught; at the middle spacing of the cases where theirs differ."""
    usual = find_recipe("chest-ct" if task.modality == "CT" else "any").cubes
    known = start.reading or Reading(usual.intensity)
    intensity = said.get("intensity", known.intensity)
    if "spacing_mm" in said:
        return Reading(intensity, said["spacing_mm"])
    return Reading(intensity, known.spacing_mm or middle_spacing(extents()))


def _of_pictures(
    task: Task, start: Initialization, cases: Sequence[Case], said: dict[str, Any], asked: Sequence[int] | None
) -> tuple[tuple[int, ...], Reading]:
    """The size of what the network sees, which is a whole picture, and how pictures come to it.

    Small pictures of one size stay as they are, padded to the network's stride; any others are shrunk or enlarged.
    """
    if task.target.kind == "segmentation":
        raise DataError(f"{task.place}: masks of 2D pictures are not learned here yet; classes and numbers are")
    if said.get("spacing_mm"):
        raise TrainingError("pictures have no spacing; leave --spacing out: --size says how large they become")
    if asked is not None and len(asked) != 2:
        raise TrainingError(f"pictures have two sides, --size gives {len(asked)}; {PICTURE[0]} {PICTURE[1]} is usual")
    if len({axes_of(case.images[0]) for case in cases}) > 1:
        raise DataError(MIXED)
    stride = start.backbone.stride
    own = _rounded_up(_extents(cases[:1])[0].size, stride)
    # The headers of all are read only where the first could stay: a large set has a hundred thousand.
    stay = math.prod(own) <= math.prod(PICTURE) and (asked is None or tuple(asked) == own)
    stay = stay and len({extent.size for extent in _extents(cases)}) == 1
    size = tuple(asked or (own if stay else start.size or _rounded_up(PICTURE, stride)))
    known = start.reading or Reading(BitDepth())
    return size, Reading(said.get("intensity", known.intensity), fit=None if stay else size)


def _size(target: Target, start: Initialization, extents: ImageSizes, reading: Reading) -> tuple[int, ...]:
    """The start's cubes, no longer than the cases are; for a whole answer, the whole of a small case."""
    sizes = sizes_at(extents(), reading.spacing_mm)
    stride = start.backbone.stride
    largest = _rounded_up(sizes.max(axis=0), stride)
    if target.kind != "segmentation" and math.prod(largest) <= WHOLE:
        return largest
    return tuple(map(min, start.size or CubeSpec().size, _rounded_up(np.median(sizes, axis=0), stride)))


def _rounded_up(size: Any, stride: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.ceil(side / step) * step for side, step in zip(size, stride, strict=True))


def _extents(cases: Sequence[Case]) -> list[ImageSize]:
    extents = []
    for case in cases:
        try:
            extents.append(image_size_of(case.images[0]))
        except UnreadableError as error:
            raise TrainingError(f"{case.images[0].path}: {error}") from error
    if len({len(extent.size) for extent in extents}) > 1:
        raise DataError(MIXED)
    return extents


def _mirror(target: Target) -> tuple[int, ...]:
    """From left to right, unless a label is of one side; patients lie straight, and front and back are not alike."""
    sided = any(side in name.lower() for name in target.names for side in SIDES)
    return () if sided else (0,)
