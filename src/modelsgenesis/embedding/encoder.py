"""The network whose features are the embedding: how it is opened, what it is shown, what it says of windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.device import EngineName, Machine
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import rebuild
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth, Window
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.embedding.options import EmbedOptions
from modelsgenesis.finetuning.config import PICTURE, rounded_up
from modelsgenesis.finetuning.initialization import Initialization, start_from_recipe, start_of
from modelsgenesis.inference.engines import Engine, make_engines
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.nets.centre_planes import CentrePlanes
from modelsgenesis.nets.network import Encoding
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.weights.files import network_file
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.lifting import SLICING
from modelsgenesis.weights.loading import load_weights
from modelsgenesis.weights.registry import resolve
from modelsgenesis.weights.transfer import network_for, transfer

LIKE = "like:"
SLICES = 8  # of a window for a network of pictures on slices of volumes


@dataclass(frozen=True)
class Opened:
    """A network as it was given, before it is known what images it is to see.

    Attributes:
        given: what the user called it.
        recipe: of a network at random by a recipe.
        loaded: of a network from a file.
    """

    given: str
    recipe: Recipe | None = None
    loaded: LoadedWeights | None = None

    @property
    def at_random(self) -> bool:
        """Whether only the kind of network is taken, as a baseline that has learned nothing."""
        return self.given.startswith(LIKE)

    @property
    def axes(self) -> int:
        """Of the images that it was made for."""
        return self.loaded.network.axes if self.loaded else len(self.recipe.cubes.size) if self.recipe else 0

    @property
    def channels(self) -> int:
        """Of the images that it was made for."""
        return self.loaded.network.in_channels if self.loaded else 1

    def start(self, axes: int, options: EmbedOptions) -> Initialization:
        """Turn it into a network for images of so many axes."""
        slices = options.slices
        if slices is None and axes > self.axes and not (self.loaded and SLICING in self.loaded.notes):
            slices = "axial"
        if self.loaded:
            return start_of(self.loaded, self.given, axes, slices, pretrained=not self.at_random)
        return start_from_recipe(self.recipe or find_recipe("any"), axes, slices)


def open_network(given: str, *, trust: bool = False) -> Opened:
    """Open a run, a weights file of any known format, a network of the package, or like:RECIPE, one at random.

    Raises:
        WeightsError: there are no such weights.
        GenesisError: there is no such recipe.
    """
    kind = given.removeprefix(LIKE)
    if kind == given or resolve(kind).exists():
        return Opened(given, loaded=load_weights(kind, trust=trust))
    return Opened(given, recipe=find_recipe(kind))


@dataclass(frozen=True)
class Encoder:
    """A network that says what it sees in windows, and how it reads the scans that they are cut from.

    Attributes:
        network: whose encoder is used.
        size: of the windows.
        reading: of the scans.
        own_units: the intensities are those that it was taught a task in, whatever a scan is; otherwise scans that are
            no CT are read by percentiles where a network was pre-trained on Hounsfield units.
        engine: computes its features.
        engine_name: of it.
        machine: to compute on.
    """

    network: Backbone
    size: tuple[int, ...]
    reading: Reading
    own_units: bool
    engine: Engine
    engine_name: EngineName
    machine: Machine

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> list[Tensor]:
        """Encode windows, float32 (B, C, *space) in [0, 1] -> float32 (B, channels, *coarser) of each scale wanted."""
        return list(self.engine(windows.to(self.machine.device)))


def make_encoder(
    opened: Opened,
    axes: int,
    channels: int,
    machine: Machine,
    options: EmbedOptions,
    *,
    say: Callable[[str], object],
) -> Encoder:
    """Make the encoder for images of so many axes and channels.

    Args:
        opened: the network.
        axes: of the images.
        channels: of the images.
        machine: to compute on.
        options: of the verb.
        say: tells the user that the engine had to fall back.
    Raises:
        WeightsError: the network cannot take them.
        ShapeError: the windows do not divide as it needs.
    """
    start = opened.start(axes, options)
    network = start.backbone
    if opened.at_random or network.in_channels != channels:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            network = network_for(start.backbone, in_channels=channels, out_channels=1)
        if not opened.at_random:
            transfer(start.backbone, network, loading=start.loaded.report if start.loaded else None)
    network = network.eval()
    size = tuple(options.size or start.size or _usual_size(opened, network))
    if len(size) != network.axes:
        given = " ".join(map(str, size))
        raise GenesisError(
            f"--size {given}: the windows of these scans have {network.axes} sides; give as many numbers"
        )
    network.check((1, channels, *size))
    reading = start.reading or Reading(BitDepth() if axes == 2 else find_recipe("chest-ct").cubes.intensity)
    if isinstance(reading.intensity, Window) and axes == 2:
        reading = replace(reading, intensity=BitDepth())
    reading = replace(reading, fit=size, spacing_mm=None) if axes == 2 else replace(reading, fit=None)
    if options.spacing:
        if axes == 2:
            raise GenesisError("pictures have no spacing; leave --spacing out: --size says how large they become")
        reading = replace(reading, spacing_mm=options.spacing)
    tuned = opened.loaded is not None and bool({"target", "targets"} & set(opened.loaded.notes))
    name, (engine,) = make_engines(
        [Encoding(network, options.features == "deepest")], (channels, *size), machine, options.engine,
        folders=[None if opened.at_random else network_file(opened.given).parent], say=say,
    )  # fmt: skip
    return Encoder(network, size, reading, tuned, engine, name, machine)


def _usual_size(opened: Opened, network: Backbone) -> tuple[int, ...]:
    """The size of windows where the network's own is not known, or is of images of other axes."""
    recipe = opened.recipe or (rebuild(opened.loaded.notes.get("recipe")) if opened.loaded else None)
    flat: Sequence[int] = recipe.cubes.size if isinstance(recipe, Recipe) else PICTURE
    if network.axes == 2:
        return rounded_up(flat if len(flat) == 2 else PICTURE, network.stride)
    if isinstance(network, CentrePlanes):
        return rounded_up((max(flat),) * 3, network.stride)
    if isinstance(network, FlatOnVolumes) and len(flat) == 2:
        across = network.stride.index(1) if 1 in network.stride else 2
        return rounded_up((*flat[:across], SLICES, *flat[across:]), network.stride)
    return rounded_up(CubeSpec().size, network.stride)


def place_of_network(opened: Opened) -> Path:
    """What provenance calls the network: its run or file, or the words that it was given by."""
    return Path(opened.given) if opened.at_random else resolve(opened.given)
