"""A case's masks as classes on the grid of its image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from modelsgenesis.core.image_format import MAX_VOXELS
from modelsgenesis.core.labels import LabelMap, planes_of
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import Image, Reading, check_same_grid
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.resampling import resample
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry

MOST_CLASSES = 256  # that a mask of bytes can distinguish, the background among them
WIDEST = 2**16  # between the least and greatest value of a label map; more is an image
NEARLY = 1e-3  # by which a stored number may miss the whole number it stands for


def read_mask(case: Case, label_map: LabelMap, image: Image, reading: Reading) -> NDArray[np.uint8]:
    """Read the labels of each voxel of a case's image from its masks, with the same `reading`.

    Resampling is label by label and linear, the greatest share wins: no stair of the coarser grid, no mixed labels.

    Args:
        case: of a segmentation task.
        label_map: what its masks mean.
        image: of the case.
        reading: that the image was read with.
    Returns:
        (channels, X, Y, Z), or (channels, X, Y) of a picture, classes as the label map has them.
    Raises:
        UnreadableError: a mask is missing or cannot be read, lies on another grid than the image, or holds a value
            that no label stands for.
    """
    classes = read_classes(case, label_map, image.geometry)
    spacing_mm = image.spacing_mm if reading.fit else reading.spacing_mm
    if spacing_mm is None:
        return classes
    return label_map.resampled(classes, lambda part: _share(part, image.geometry, spacing_mm))


def read_classes(case: Case, label_map: LabelMap, geometry: Geometry) -> NDArray[np.uint8]:
    """Read a case's masks voxel by voxel as the files have them; otherwise as `read_mask`.

    Args:
        case: of a segmentation task.
        label_map: what its masks mean.
        geometry: of the image's file.
    """
    wanted = 1 if label_map.one_file else len(label_map.labels)
    if len(case.masks) != wanted:
        what = f"{len(case.masks)} masks where {wanted} are wanted" if case.masks else "it has no mask"
        raise UnreadableError(what, "add what is missing, or leave the case out")
    if label_map.one_file:
        values = read_on_grid(case.masks[0], geometry, "mask and image")
        check_declared(count_values(values), label_map)
        return classes_of(values, label_map)
    parts = []
    for source, label in zip(case.masks, label_map.labels, strict=True):
        try:
            parts.append(_binary(read_on_grid(source, geometry, "mask and image")))
        except UnreadableError as error:
            raise UnreadableError(f"its mask of {label.name}: {error.problem}", error.remedy) from error
    return np.stack(parts)


def read_on_grid(source: Source, geometry: Geometry, what: str) -> NDArray[Any]:
    """Read a map of whole numbers that lies on a grid, (X, Y, Z) in LPS.

    Args:
        source: of the map.
        geometry: of the grid.
        what: lies on one grid, for the message: "mask and image".
    Raises:
        UnreadableError: it cannot be read, lies elsewhere, or holds anything but whole numbers.
    """
    values, own = read_label_map(source, geometry)
    check_same_grid(geometry, own, what)
    return values


def grid_notes(masks: Sequence[Source], geometry: Geometry, what: str) -> list[str]:
    """What is to be said of masks whose headers place them a little beside a grid; no voxel is read.

    Args:
        masks: of one case, which `read_classes` takes.
        geometry: of the grid.
        what: lies on it, for the note: "mask and image".
    """
    headers = [mask.format.read_header(mask) for mask in masks if mask.box is None and geometry.oriented]
    compared = [header.geometry for header in headers if header.upright and header.oriented]
    return sorted({note for each in compared for note in check_same_grid(geometry, each, what)})


def read_label_map(source: Source, like: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
    """Read a map of whole numbers, (X, Y, Z) in LPS, as small integers where the file has such.

    Args:
        source: of the map.
        like: of its image, as for `read_volume`.
    Raises:
        UnreadableError: it cannot be read, or holds anything but whole numbers.
    """
    volume = read_volume(source, like=like, labels=True)
    values = volume.values[0]
    if values.dtype.kind == "f":
        whole = np.rint(values)
        if not np.isfinite(whole).all() or np.abs(values - whole).max() > NEARLY:
            raise UnreadableError(
                "a mask of numbers that are not whole", "write whole numbers; resample masks by nearest neighbour"
            )
        if max(abs(float(whole.min())), abs(float(whole.max()))) >= 2**31:
            raise UnreadableError("a mask of enormous values", "write one small whole number for each label")
        values = whole.astype(np.int32)
    return values, volume.geometry


def count_values(values: NDArray[Any]) -> dict[int, int]:
    """How many voxels hold each value, {value: voxels} in rising order.

    Raises:
        UnreadableError: the values spread wider than any label map's.
    """
    low, high = int(values.min()), int(values.max())
    if high - low >= WIDEST:
        raise UnreadableError(
            f"a mask of values from {low} to {high}: more like an image", "is it the mask? Name image and mask anew"
        )
    counts = np.zeros(high - low + 1, np.int64)
    for plane in planes_of(values):
        counts += np.bincount(plane.ravel(order="K").astype(np.int64) - low, minlength=counts.size)
    return {int(place) + low: int(counts[place]) for place in np.flatnonzero(counts)}


def check_declared(counts: dict[int, int], label_map: LabelMap) -> None:
    """Refuse values that no label stands for.

    Args:
        counts: of the voxels of each value.
        label_map: whose labels are meant.
    Raises:
        UnreadableError: there are some.
    """
    declared = {0}.union(*(label.values for label in label_map.labels))
    strange = [value for value in counts if value not in declared]
    if strange:
        known = ", ".join(map(str, sorted(declared)[:8])) + (", ..." if len(declared) > 8 else "")
        named = ", ".join(f"{value} ({counts[value]} voxels)" for value in strange[:3])
        more = f" and {len(strange) - 3} other values" if len(strange) > 3 else ""
        raise UnreadableError(
            f"the mask holds {named}{more}; declared are {known}", "declare a label for it, or correct the mask"
        )


def classes_of(values: NDArray[Any], label_map: LabelMap) -> NDArray[np.uint8]:
    """Turn a map of declared values into classes, as `read_mask` does; (X, Y, Z) -> (channels, X, Y, Z).

    Raises:
        UnreadableError: there are more labels than a byte can distinguish.
    """
    if label_map.greatest_class >= MOST_CLASSES:
        raise UnreadableError(f"{len(label_map.labels)} labels in one task", f"keep fewer than {MOST_CLASSES}")
    return label_map.classes_of(values)


def _binary(values: NDArray[Any]) -> NDArray[np.uint8]:
    beside = [value for value in count_values(values) if value]
    if len(beside) > 1:
        few = ", ".join(map(str, beside[:3])) + (", ..." if len(beside) > 3 else "")
        raise UnreadableError(f"the mask holds {few} beside 0", "write one value beside 0, or one map for all labels")
    return np.asarray(values != 0, np.uint8)


def _share(part: NDArray[Any], geometry: Geometry, spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Resample a binary mask, (X, Y, Z) in LPS, just as `read_volume` resamples the image: the grids are the same."""
    own_axes = np.ascontiguousarray(geometry.from_lps(part).T, np.float32)
    image = sitk.GetImageFromArray(own_axes)
    image.SetSpacing(geometry.spacing_mm)  # where the axes begin and point makes no difference along them
    image = resample(image, tuple(spacing_mm[geometry.order.index(axis)] for axis in range(part.ndim)), MAX_VOXELS)
    return np.array(geometry.to_lps(sitk.GetArrayViewFromImage(image).T))
