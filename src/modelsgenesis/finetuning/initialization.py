"""Where a fine-tuning begins: pre-trained weights, or a kind of network with weights at random."""

from dataclasses import dataclass
from pathlib import Path

import torch

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import GenesisError, WeightsError, blamed_on
from modelsgenesis.core.naming import find_class, rebuild
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.images import Reading
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.nets.norms import Norm
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.recipes.recipe import check_backbone_args
from modelsgenesis.tasks import Task
from modelsgenesis.training.run_folder import SETTINGS
from modelsgenesis.weights.lifting import SLICING, Slices, check_unneeded, lifted, on_slices
from modelsgenesis.weights.loading import OURS, LoadedWeights, load_weights
from modelsgenesis.weights.registry import resolve
from modelsgenesis.weights.transfer import network_with

SCRATCH = "scratch"


@dataclass(frozen=True)
class Initialization:
    """The network, or none, that a fine-tuning begins with, and what is known of it.

    Attributes:
        backbone: pre-trained, or of the kind and size to begin with at random.
        pretrained: whether its weights are taken.
        size: of the cubes that it was trained on, if that is known.
        reading: how their images were read, if that is known.
        given: what the user called it.
        loaded: of another program's file, or one of ours of which a part was never trained: its format, and how the
            network came from it.
    """

    backbone: Backbone
    pretrained: bool
    size: tuple[int, ...] | None
    reading: Reading | None
    given: str
    loaded: LoadedWeights | None = None

    @property
    def unfinished(self) -> bool:
        """Whether its weights are the best so far of a run that is not at its end."""
        home = self.place if self.place.is_dir() else self.place.parent
        return self.pretrained and (home / SETTINGS).is_file() and not (home / PROVENANCE).is_file()

    @property
    def place(self) -> Path:
        """The run or file that its weights come from; of weights of the package, their file there."""
        return resolve(self.given)

    @property
    def slices(self) -> str:
        """How a network of pictures takes volumes, in words; empty for any other."""
        return self.backbone.in_words() if isinstance(self.backbone, FlatOnVolumes) else ""


def choose_initialization(
    given: str | Path,
    task: Task,
    *,
    like: str | Path | None,
    backbone: str | None = None,
    width: int | None = None,
    norm: Norm | None = None,
    trust: bool = False,
    slices: Slices | None = None,
    neighbours: int | None = None,
) -> Initialization:
    """Open the network that a fine-tuning begins with.

    Args:
        given: a run, a weights file of any known format, or "scratch".
        task: to be learned.
        like: of a start from scratch: the run or recipe whose kind of network is taken; by default chest-ct for CT, and
            any for the rest.
        backbone: of a start from scratch: another kind of network.
        width: of a start from scratch: another width.
        norm: of a start from scratch: another norm.
        trust: unpickle a file that needs more than tensors, in a process of its own.
        slices: how a 2D network takes volumes; by default as the slices were cut that it was trained on, inflated if it
            was trained on others; from scratch by a recipe of pictures on axial slices.
        neighbours: on either side of a slice, as further channels; by default as it was trained.
    Raises:
        WeightsError: there are no such weights, or they do not fit the images.
        GenesisError: options that contradict each other, or an unknown network.
    """
    axes = axes_of(task.cases[0].images[0])
    network_options = {"--backbone": backbone, "--width": width, "--norm": norm}
    if str(given) != SCRATCH:
        options = {"--like": like, **network_options}
        if wrong := [option for option, value in options.items() if value is not None]:
            raise GenesisError(f"{', '.join(wrong)}: {given} decides the network; this is for --from scratch")
        return start_of(load_weights(given, trust=trust), given, axes, slices, neighbours, pretrained=True)
    if like is not None and resolve(like).exists():
        if wrong := [option for option, value in network_options.items() if value is not None]:
            raise GenesisError(f"{like} decides the network; leave {', '.join(wrong)} out, or --like")
        return start_of(load_weights(like, trust=trust), like, axes, slices, neighbours, pretrained=False)
    recipe = find_recipe(str(like) if like is not None else "chest-ct" if task.modality == "CT" else "any")
    recipe = recipe.but(backbone=backbone, backbone_args={"width": width, "norm": norm})
    return start_from_recipe(recipe, axes, slices, neighbours)


def start_from_recipe(
    recipe: Recipe, axes: int, slices: Slices | None = None, neighbours: int | None = None
) -> Initialization:
    """Make the kind of network that a recipe trains, for images of so many axes; its weights mean nothing yet."""
    kind, own_axes = find_class("nets", recipe.backbone, Backbone), len(recipe.cubes.size)
    check_backbone_args(kind, recipe)
    if axes == 2:
        check_unneeded(slices, neighbours)
    way = slices or ("axial" if own_axes < axes else "inflated")
    with torch.random.fork_rng():  # its weights are never used: only its kind and size
        try:
            network = kind(**recipe.backbone_args)
        except TypeError as error:
            what = f"--backbone {recipe.backbone}: it is not made of numbers alone ({error})"
            raise GenesisError(
                f"{what}; give --like RUN of that kind, or --slices for a 2D network on volumes"
            ) from error
        if axes == 3 and way != "inflated":
            channels = 3 if way == "orthogonal" else 2 * (neighbours or 0) + 1
            network = on_slices(network_with(network, axes=2, in_channels=channels), way, neighbours)
        elif network.axes != axes:
            network = network_with(network, axes=axes)
    if isinstance(network, FlatOnVolumes):
        size = recipe.cubes.size if own_axes == axes else None
        return Initialization(network, False, size, Reading(recipe.cubes.intensity), SCRATCH)
    check_unneeded(None, neighbours)
    if axes != own_axes:  # cubes of volumes have no meaning for pictures
        return Initialization(network, False, None, None, SCRATCH)
    return Initialization(network, False, recipe.view_size(network), Reading(recipe.cubes.intensity), SCRATCH)


def start_of(
    opened: LoadedWeights,
    given: str | Path,
    axes: int,
    slices: Slices | None = None,
    neighbours: int | None = None,
    *,
    pretrained: bool,
) -> Initialization:
    """Make a start of opened weights, with what is known of how its images were read.

    Args:
        opened: of a run or file.
        given: what the user called it.
        axes: of the images.
        slices: as of `choose_initialization`.
        neighbours: likewise.
        pretrained: whether its weights are taken.
    """
    loaded = lifted(opened, axes, slices, neighbours)
    ours = loaded.format == OURS
    complete = all(row.how == "taken" for row in loaded.report.rows)
    notes = loaded.notes if ours else {}
    with blamed_on(Path(given), WeightsError, "its notes make no sense for fine-tuning; use another network"):
        recipe, reading, size = (rebuild(notes.get(name)) for name in ("recipe", "reading", "patch"))
    reading, size = reading or loaded.reading, size or loaded.size
    if isinstance(recipe, Recipe):
        spacing_mm = recipe.plans.spacing_mm if recipe.plans else None
        reading, size = Reading(recipe.cubes.intensity, spacing_mm), recipe.view_size(opened.network)
    known = reading if isinstance(reading, Reading) else None
    if loaded.network.axes != opened.network.axes:  # squares are no cubes, and only slices are read as volumes are
        size, known = None, known if SLICING in opened.notes else None
    if not pretrained:
        return Initialization(loaded.network, False, size, known, SCRATCH)
    return Initialization(loaded.network, True, size, known, str(Path(given)), None if ours and complete else loaded)
