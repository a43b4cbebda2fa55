"""How a task is fine-tuned, whole, as data: decided from the start, the cases and the options."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from modelsgenesis.core.errors import DataError, ShapeError, TrainingError
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import ImageSize, axes_of, image_size_of, middle_spacing, sizes_at
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth, Window
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of, spans_no_hu
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.data.sources import Source, reading_processes
from modelsgenesis.finetuning.augmentation import Augmentation
from modelsgenesis.finetuning.initialization import Initialization
from modelsgenesis.finetuning.layer_learning_rates import LayerLearningRates
from modelsgenesis.nets.centre_planes import CentrePlanes
from modelsgenesis.recipes import find_recipe
from modelsgenesis.tasks import Published, Task
from modelsgenesis.training.plan import Plan
from modelsgenesis.weights.transfer import ChannelAdaptation

FEWEST_STEPS, MOST_STEPS, STEPS_A_CASE = 1000, 20_000, 100
WHOLE = 80**3  # voxels up to which a case to classify is seen whole
MIXED = "some images are volumes and some are 2D pictures; make a task of each"
PICTURE = (224, 224)  # pixels that a picture is shrunk or enlarged to
SIDES = ("left", "right")
AXES = "xyz"

ImageSizes = Callable[[], list[ImageSize]]


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
        widen: how the first convolution is adapted to more input channels; the flag --widen.
        hidden: neurons between a classifier's features and its prediction; a probe has none.
    """

    reading: Reading
    size: tuple[int, ...]
    plan: Plan
    layer_rates: LayerLearningRates = field(default_factory=LayerLearningRates)
    augmentation: Augmentation = field(default_factory=Augmentation)
    foreground: float = 1 / 3
    widen: ChannelAdaptation = "mean"
    hidden: int = 1024


def make_config(
    task: Task, start: Initialization, cases: Sequence[Case], *, validates: bool, options: dict[str, dict[str, Any]]
) -> FineTuneConfig:
    """Choose every setting that the options leave open.

    Args:
        task: to be learned.
        start: what with.
        cases: training and validation cases.
        validates: whether there are validation cases.
        options: what the user gave of "reading", "plan", "layer_rates", "augmentation" and "config"; None is nothing.
    Raises:
        ShapeError: the patches do not fit the network.
        TrainingError: a number that makes no sense.
        DataError: a case's header cannot be read.
    """
    given = {name: {k: v for k, v in some.items() if v is not None} for name, some in options.items()}
    for name, usual in _published(task.published, len(cases), validates, given["plan"].get("batch_size")).items():
        given[name] = usual | given[name]
    image_sizes = functools.cache(lambda: _image_sizes(cases))  # read when first needed, and once
    size_given = given["config"].pop("size", None)
    if axes_of(cases[0].images[0]) == 2:
        size, reading = _of_pictures(task, start, cases, given["reading"], size_given)
    else:
        reading = _reading(task, start, cases, image_sizes, given["reading"])
        size = tuple(size_given or _size(task.target, start, image_sizes, reading))
    if task.target.dense and isinstance(start.backbone, CentrePlanes):
        raise ShapeError(
            f"{task.target.kind} needs a prediction for each voxel, and a {start.slices} gives one of the cube; "
            "use --slices axial"
        )
    start.backbone.check((1, start.backbone.in_channels, *size))
    steps = given["plan"].pop("steps", usual_steps(len(cases)))
    usual = {"warmup_steps": steps // 10, "validate_every": max(1, steps // 20)}
    plan = Plan(steps=steps, **{**usual, **given["plan"]})
    if plan.patience is not None and not validates:
        raise TrainingError(
            "--patience waits for a better validation, but no case validates; give --val or leave it out"
        )
    augmentation = Augmentation(**{"mirror": _mirror(task.target), **given["augmentation"]})
    if beyond := [AXES[axis] for axis in augmentation.mirror if axis >= len(size)]:
        raise TrainingError(f"--mirror names {', '.join(beyond)}, an axis that pictures do not have; they have x and y")
    layer_rates = LayerLearningRates(**given["layer_rates"])
    return FineTuneConfig(reading, size, plan, layer_rates, augmentation, **given["config"])


def _published(
    published: Published | None, num_cases: int, validates: bool, batch_size: int | None
) -> dict[str, dict[str, Any]]:
    """The settings of a paper; its patience counts epochs, and nothing but a validation can run out of it.

    An epoch is one of the user's batch size, if another was given.
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
    return {"plan": plan, "reading": reading, "config": {"size": published.size} if published.size else {}}


def usual_steps(num_cases: int) -> int:
    """The number of updates for so many cases."""
    return min(MOST_STEPS, max(FEWEST_STEPS, STEPS_A_CASE * num_cases))


def _reading(
    task: Task, start: Initialization, cases: Sequence[Case], image_sizes: ImageSizes, given: dict[str, Any]
) -> Reading:
    """Read images as the start was trained; at the middle spacing of the cases where theirs differ.

    Hounsfield units are those of CT alone: of anything else, whatever the start, each scan's own percentiles are taken.
    """
    anything = find_recipe("any").cubes.intensity
    known = start.reading or Reading(find_recipe("chest-ct").cubes.intensity if task.modality == "CT" else anything)
    if "intensity" not in given and isinstance(known.intensity, Window) and not _may_be_ct(task, cases[0]):
        known = replace(known, intensity=anything)
    if given.get("voi"):
        raise TrainingError("--voi is of DICOM radiographs, and these images are volumes; leave it out")
    intensity = given.get("intensity", known.intensity)
    if "spacing_mm" in given:
        return Reading(intensity, given["spacing_mm"])
    return Reading(intensity, known.spacing_mm or middle_spacing(image_sizes()))


def _may_be_ct(task: Task, case: Case) -> bool:
    """Whether all images of a task are CT, as declared or else as the values of a case look."""
    if task.modality:
        return task.modality == "CT"
    declared = {image.modality for image in case.images}
    if "CT" in declared and len(declared) > 1:  # who says so of one channel does not mean the others
        return False
    workers = reading_processes(case.images, much=False)
    # What cannot be read is named when the cases are read.
    return "MR" not in (modality for _, modality in work_through(_modality_of, case.images, workers))


def _modality_of(image: Source) -> str:
    """The modality of an image, declared or guessed; "" where it cannot be read, "MR" where no HU are so narrow."""
    try:
        volume = read_volume(image)
    except UnreadableError:
        return ""
    sample = sample_of(volume.values)
    guessed = "MR" if image.box is None and spans_no_hu(sample) else guess_modality(sample)
    return volume.modality or guessed


def _of_pictures(
    task: Task, start: Initialization, cases: Sequence[Case], given: dict[str, Any], size_given: Sequence[int] | None
) -> tuple[tuple[int, ...], Reading]:
    """The size of what the network sees, which is a whole picture, and how pictures come to it.

    Small pictures of one size stay as they are, padded to the network's stride where that adds less than there is; any
    others are shrunk or enlarged.
    """
    if task.target.dense and not isinstance(task.target, MaskTarget):
        what = task.target.kind
        raise DataError(f"{task.place}: {what} of 2D pictures is not learned here yet; masks, classes and numbers are")
    if given.get("spacing_mm"):
        raise TrainingError("pictures have no spacing; leave --spacing out: --size says how large they become")
    if size_given is not None and len(size_given) != 2:
        raise TrainingError(
            f"pictures have two sides, --size gives {len(size_given)}; {PICTURE[0]} {PICTURE[1]} is usual"
        )
    if len({axes_of(case.images[0]) for case in cases}) > 1:
        raise DataError(MIXED)
    stride = start.backbone.stride
    first = _image_sizes(cases[:1])[0].size
    own = rounded_up(first, stride)
    # The headers of all are read only where the first could stay: a large set has a hundred thousand.
    stay = math.prod(own) <= math.prod(PICTURE) and (size_given is None or tuple(size_given) == own)
    stay = stay and all(padded < 2 * side for padded, side in zip(own, first, strict=True))  # else mostly border
    stay = stay and len({each.size for each in _image_sizes(cases)}) == 1
    size = tuple(size_given or (own if stay else start.size or rounded_up(PICTURE, stride)))
    known = start.reading or Reading()
    known = Reading(BitDepth()) if isinstance(known.intensity, Window) else known
    intensity, voi = given.get("intensity", known.intensity), given.get("voi", known.voi)
    return size, Reading(intensity, fit=None if stay else size, voi=voi)


def _size(target: Target, start: Initialization, image_sizes: ImageSizes, reading: Reading) -> tuple[int, ...]:
    """The start's cubes, no longer than the cases are; the whole of a small case that has one prediction."""
    sizes = sizes_at(image_sizes(), reading.spacing_mm)
    stride = start.backbone.stride
    largest = rounded_up(sizes.max(axis=0), stride)
    if not target.dense and math.prod(largest) <= WHOLE:
        size = largest
    else:
        size = tuple(map(min, start.size or CubeSpec().size, rounded_up(np.median(sizes, axis=0), stride)))
    return (max(size),) * 3 if isinstance(start.backbone, CentrePlanes) else size


def rounded_up(size: Any, stride: Sequence[int]) -> tuple[int, ...]:
    """The least sides, no smaller than these, that divide by a network's stride."""
    return tuple(math.ceil(side / step) * step for side, step in zip(size, stride, strict=True))


def _image_sizes(cases: Sequence[Case]) -> list[ImageSize]:
    image_sizes = []
    for case in cases:
        try:
            image_sizes.append(image_size_of(case.images[0]))
        except UnreadableError as error:
            raise TrainingError(f"{case.images[0].path}: {error}") from error
    if len({len(each.size) for each in image_sizes}) > 1:
        raise DataError(MIXED)
    return image_sizes


def _mirror(target: Target) -> tuple[int, ...]:
    """Mirror from left to right alone, unless a label is of one side, since patients always lie alike."""
    sided = any(side in name.lower() for name in target.names for side in SIDES)
    return () if sided else (0,)
