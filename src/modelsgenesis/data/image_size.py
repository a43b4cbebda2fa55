"""How large scans are and how fine, from their headers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.image_format import Geometry
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source

ALIKE = 0.05  # by which a spacing may differ from the middle one and count as the same


@dataclass(frozen=True)
class ImageSize:
    """Voxels along X, Y, Z, and the millimetres from one to the next."""

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]


def axes_of(source: Source) -> int:
    """How many axes of space an image has: 3, or 2 of a picture."""
    return source.format.axes_of(source)


def image_size_of(source: Source) -> ImageSize:
    """Read how large a scan is, in LPS, or a picture; no voxel is read.

    Raises:
        UnreadableError: its header cannot be read.
    """
    geometry = source.format.read_header(source).geometry
    axes = len(geometry.size)
    if axes < axes_of(source):
        raise UnreadableError(f"an image of {axes} axes", "3D volumes are wanted here")
    whole = tuple(geometry.size[axis] for axis in geometry.order)
    spacing_mm = tuple(geometry.spacing_mm[axis] for axis in geometry.order)
    return ImageSize(source.box.size if source.box else whole, spacing_mm)


def geometry_from_header(source: Source) -> Geometry | None:
    """Where the voxels of a whole scan lie; None where the header alone is not enough: 4D images, a tilted gantry.

    Raises:
        UnreadableError: its header cannot be read.
    """
    header = source.format.read_header(source)
    return header.geometry if header.upright and len(header.size) == 3 else None


def middle_spacing(sizes: Sequence[ImageSize]) -> tuple[float, ...] | None:
    """The median spacing, to which all are best resampled; None when all have it already, to a twentieth."""
    spacings = np.array([one.spacing_mm for one in sizes])
    middle = np.median(spacings, axis=0)
    if np.all(np.abs(spacings / middle - 1) <= ALIKE):
        return None
    return tuple(round(float(step), 4) for step in middle)


def sizes_at(sizes: Sequence[ImageSize], spacing_mm: tuple[float, ...] | None) -> NDArray[np.float64]:
    """The sizes, (N, axes), that scans have after resampling to a spacing."""
    voxels = np.array([one.size for one in sizes], float)
    if spacing_mm is None:
        return voxels
    return np.asarray(np.round(voxels * np.array([one.spacing_mm for one in sizes]) / np.array(spacing_mm)))
