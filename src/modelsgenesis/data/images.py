"""A case's image in memory, the same for fine-tuning and for prediction, whatever read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.intensity import Intensity, Window
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.volume import Geometry

MOST_APART = 0.1  # of a voxel, by which the grids of two files may differ at a corner and still be one
TOLD_MM = 1e-2  # beyond which it is told


@dataclass(frozen=True)
class Reading:
    """How images are read; it travels with the weights, so that a network sees what it was trained on.

    Args:
        intensity: how values become [0, 1].
        spacing_mm: along X, Y, Z, to resample to; None keeps each scan's own.
        fit: voxels along each axis, to resample to instead: an image is shrunk or enlarged until it just fits in, its
            proportions kept. For pictures, which are of any size.
        voi: of DICOM radiographs, the window or look-up table of the header is applied.
    """

    intensity: Intensity = field(default_factory=Window)
    spacing_mm: tuple[float, ...] | None = None
    fit: tuple[int, ...] | None = None
    voi: bool = field(default=False, metadata={"only_if_set": True})


@dataclass(frozen=True)
class Image:
    """The channels of a case on one grid.

    Attributes:
        values: (C, X, Y, Z), LPS, in the sources' units; (C, X, Y) of pictures.
        limits: the values that become 0 and 1, one pair a channel.
        spacing_mm: along X, Y, Z, after resampling.
        geometry: of the first source's file, before any resampling.
        notes: what was repaired on the way in.
    """

    values: NDArray[Any]
    limits: tuple[tuple[float, float], ...]
    spacing_mm: tuple[float, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """The size (X, Y, Z) in voxels."""
        return self.values.shape[1:]

    def scaled(self, space: tuple[slice, ...] = ()) -> NDArray[np.float32]:
        """A region as the network sees it: (C, *region), float32 in [0, 1], its own memory."""
        return scaled(self.values[(slice(None), *space)], self.limits)


def scaled(values: NDArray[Any], limits: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """Scale each channel so that its limits become 0 and 1, and clip.

    Args:
        values: (C, *space).
        limits: one pair a channel.
    """
    low, high = (
        np.array(ends, np.float32).reshape(-1, *(1,) * (values.ndim - 1)) for ends in zip(*limits, strict=True)
    )
    out: NDArray[np.float32] = np.subtract(values, low, dtype=np.float32)
    out *= 1 / (high - low)
    np.clip(out, np.float32(0), np.float32(1), out=out)
    return out


def check_same_grid(one: Geometry, other: Geometry, what: str) -> list[str]:
    """Refuse two files whose voxels lie elsewhere; which way each file's axes run makes no difference.

    Args:
        one: the first, whose grid is taken.
        other: the second.
        what: they are, for the message: "its channels", "mask and image".
    Returns:
        A note, where they differ as by a header that was rounded.
    Raises:
        UnreadableError: the sizes differ, or a corner lies more than a tenth of a voxel elsewhere.
    """
    size, others = (tuple(each.size[axis] for axis in each.order) for each in (one, other))
    if size != others:
        raise UnreadableError(f"{what} have different sizes, {others} and {size}", "resample one onto the other")
    far, far_mm = farthest_corner_voxels(one, other), farthest_corner_mm(one, other)
    if far > MOST_APART:
        raise UnreadableError(
            f"{what} lie up to {far_mm:.3g} mm apart though both have {size} voxels",
            "write both with the same spacing, origin and direction",
        )
    if far_mm <= TOLD_MM:
        return []
    return [f"{what} lie up to {far_mm:.2g} mm apart, {far:.1g} of a voxel: taken for one grid, as if rounded"]


def farthest_corner_mm(one: Geometry, other: Geometry) -> float:
    """The greatest distance between a corner voxel of two files of one size, both turned to LPS."""
    return float(np.linalg.norm(_between_corners_mm(one, other), axis=0).max())


def farthest_corner_voxels(one: Geometry, other: Geometry) -> float:
    """The same in voxels of the first file, along that of its axes where it is greatest."""
    along = np.linalg.solve(one.frame, _between_corners_mm(one, other)) / np.array(one.spacing_mm)[:, None]
    return float(np.abs(along).max())


def _between_corners_mm(one: Geometry, other: Geometry) -> NDArray[np.float64]:
    """From the corner voxels of one file to those of another, (axes, corners), in LPS."""
    axes = len(one.size)
    first, second = (each.to_lps(corners_mm(each).T.reshape(axes, *(2,) * axes)) for each in (one, other))
    return np.asarray((second - first).reshape(axes, -1), np.float64)


def corners_mm(geometry: Geometry) -> NDArray[np.float64]:
    """The centres of the corner voxels, (8, 3), or (4, 2) of a picture, in LPS."""
    axes = len(geometry.size)
    ends = np.array(np.meshgrid(*[(0, side - 1) for side in geometry.size], indexing="ij")).reshape(axes, -1)
    steps: NDArray[np.float64] = geometry.frame @ (ends * np.array(geometry.spacing_mm)[:, None])
    return np.asarray(steps.T + np.array(geometry.origin_mm))
