"""From a network of pictures to one of volumes: at work on slices, or with its weights repeated along Z."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import ShapeError, WeightsError
from modelsgenesis.core.naming import rebuild
from modelsgenesis.data.store.slicing import ACROSS, OrthogonalSlicing, Slicing
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.nets.centre_planes import CentrePlanes
from modelsgenesis.nets.slice_wise import SliceWise
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.transfer import LoadingMap, Row, network_with

Slices = Literal["axial", "coronal", "sagittal", "orthogonal", "inflated"]  # how a network of pictures takes volumes
SLICING = "slicing"  # the note of a network that was trained on slices of volumes
INSIDE = "network."  # begins the names of its tensors when it is at work on volumes


def lifted(
    loaded: LoadedWeights, axes: int, slices: Slices | None = None, neighbours: int | None = None
) -> LoadedWeights:
    """Turn a loaded network into one for images of so many axes of space.

    Args:
        loaded: of a network of pictures or of volumes; one of pictures at work on volumes goes back to pictures.
        axes: of the images.
        slices: on which slices a network of pictures works on volumes, or that it is inflated; by default as the slices
            were cut that it was trained on, and inflated if it was trained on others.
        neighbours: on either side of a slice, as further channels; by default as it was trained.
    Raises:
        WeightsError: the network does not fit the images, or the options do not fit the two.
    """
    network, slicing = loaded.network, rebuild(loaded.notes.get(SLICING))
    if axes == 2 or network.axes == axes:
        check_unneeded(slices, neighbours)
        if axes == 2 and isinstance(network, FlatOnVolumes):
            return _renamed(loaded, network.network, lambda name: name.removeprefix(INSIDE))
        return inflated(loaded, axes)
    if slices is None:
        slices = slicing.direction if isinstance(slicing, (Slicing, OrthogonalSlicing)) else "inflated"
    if neighbours is None and slices in ACROSS and isinstance(slicing, Slicing):
        neighbours = slicing.neighbours
    if slices == "inflated":
        check_unneeded(None, neighbours)
        return inflated(loaded, axes)
    return _renamed(loaded, on_slices(network, slices, neighbours), lambda name: INSIDE + name)


def on_slices(network: Backbone, slices: Slices, neighbours: int | None) -> FlatOnVolumes:
    """Let a network of pictures work on slices of volumes, or on the three planes through a cube's centre.

    Raises:
        WeightsError: its channels are others, or neighbours are asked for where there are none.
    """
    try:
        if slices in ACROSS:
            return SliceWise(network, ACROSS[slices], neighbours or 0)
        check_unneeded(None, neighbours)
        return CentrePlanes(network)
    except ShapeError as error:
        raise WeightsError(f"--slices {slices}: {error}") from error


def check_unneeded(slices: Slices | None, neighbours: int | None) -> None:
    """Raise WeightsError if an option is given that says nothing here."""
    given = {"--slices": slices, "--neighbours": neighbours}
    if wrong := [flag for flag, value in given.items() if value is not None]:
        raise WeightsError(
            f"{' and '.join(wrong)}: of a 2D network on volumes alone, and neighbours of axial, coronal or sagittal "
            "slices alone; leave it out"
        )


def _renamed(loaded: LoadedWeights, network: Backbone, rename: Callable[[str], str]) -> LoadedWeights:
    """The same weights under the names that they have in another network."""
    rows = tuple(replace(row, tensor=rename(row.tensor)) for row in loaded.report.rows)
    return replace(loaded, network=network.eval(), report=replace(loaded.report, rows=rows), size=None)


def inflated(loaded: LoadedWeights, axes: int) -> LoadedWeights:
    """Turn a loaded network into one for images of so many axes of space.

    Each kernel is repeated along the new axis and divided by the number of its copies that meet in a voxel, so that a
    volume that is constant along Z gets the predictions of its slices, away from its ends, where zeros are padded.

    Args:
        loaded: of a 2D or 3D network.
        axes: of the images.
    Returns:
        The same where the axes agree; else a network of 3 axes, and a report of what was repeated. How the images were
        read that it was trained on, and their size, are then forgotten: they are of pictures.
    Raises:
        WeightsError: a network of volumes would have to take pictures, or its kind cannot be inflated.
    Source: Carreira and Zisserman 2017, Quo Vadis, Action Recognition?, section 2.4.
    """
    network = loaded.network
    if network.axes == axes:
        return loaded
    if network.axes > axes:
        raise WeightsError(
            f"the network is of volumes, {network.axes} axes, and the images are 2D pictures; start from a network of "
            "pictures, such as a ResNet of ImageNet (genesis weights list)"
        )
    with torch.random.fork_rng(devices=[]):
        larger = network_with(network, axes=axes).eval()
    flat, before, rows = distinct(network), {row.tensor: row for row in loaded.report.rows}, []
    with torch.no_grad():
        for name, tensor in distinct(larger).items():
            value, row = flat[name].detach(), before[name]
            if value.shape != tensor.shape:
                value, row = _repeated(larger, name, value, tensor, row)
            tensor.copy_(value)
            rows.append(row)
    notes = {"inflated": axes, "flat": loaded.notes}
    return replace(
        loaded,
        network=larger,
        report=LoadingMap(tuple(rows), loaded.report.unused),
        reading=None,
        size=None,
        notes=notes,
    )


def _repeated(network: nn.Module, name: str, value: Tensor, tensor: Tensor, row: Row) -> tuple[Tensor, Row]:
    """Repeat a kernel along one more axis; return it with the words for the report."""
    if value.shape != tensor.shape[:-1]:
        raise WeightsError(
            f"{name} is {tuple(value.shape)} in 2D and {tuple(tensor.shape)} in 3D; it cannot be repeated"
        )
    module, count = network.get_submodule(name.rpartition(".")[0]), tensor.shape[-1]
    # Of a transposed convolution, only every stride-th plane of its kernel meets in a voxel.
    meeting = count / int(module.stride[-1]) if isinstance(module, nn.ConvTranspose3d) else count
    row = replace(row, shape=tuple(tensor.shape))
    if row.how != "random":
        what = f"repeated along Z, each / {meeting:g}"
        row = replace(row, how="adapted", why=f"{row.why}; {what}" if row.why else what)
    return value.unsqueeze(-1).expand_as(tensor) / meeting, row
