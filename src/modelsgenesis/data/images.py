"""A case's image in memory, the same for fine-tuning and for prediction, whatever read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.intensity import Intensity, Window
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.volume import Geometry

TOLERANCE_MM = 1e-2  # by which the grids of two files may differ and still be one


@dataclass(frozen=True)
class Reading:
    """How images are read; it travels with the weights, so that a network sees what it was trained on.

    Args:
        intensity: how values become [0, 1].
        spacing_mm: along X, Y, Z, to resample to; None keeps each scan's own.
        fit: voxels along each axis, to resample to instead: an image is shrunk or enlarged until it just fits in, its
            proportions kept. For pictures, which are of any size and of no known spacing.
    """

    intensity: Intensity = field(default_factory=Window)
    spacing_mm: tuple[float, ...] | None = None
    fit: tuple[int, ...] | None = None


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


def check_same_grid(one: Geometry, other: Geometry, what: str) -> None:
    """Refuse two files whose voxels lie elsewhere; which way each file's axes run makes no difference.

    Args:
        one: the first.
        other: the second.
        what: they are, for the message: "its channels", "mask and image".
    Raises:
        UnreadableError: size, spacing, origin or direction differ by more than a hundredth of a millimetre.
    """
    size, others = (tuple(each.size[axis] for axis in each.order) for each in (one, other))
    if size != others:
        raise UnreadableError(f"{what} have different sizes, {others} and {size}", "resample one onto the other")
    far = farthest_corner_mm(one, other)
    if far > TOLERANCE_MM:
        raise UnreadableError(
            f"{what} lie up to {far:.3g} mm apart though both have {size} voxels",
            "write both with the same spacing, origin and direction",
        )


def farthest_corner_mm(one: Geometry, other: Geometry) -> float:
    """The greatest distance between a corner voxel of two files of one size, both turned to LPS."""
    axes = len(one.size)
    first, second = (each.to_lps(corners_mm(each).T.reshape(axes, *(2,) * axes)) for each in (one, other))
    return float(np.linalg.norm(first - second, axis=0).max())


def corners_mm(geometry: Geometry) -> NDArray[np.float64]:
    """The centres of the corner voxels, (8, 3), or (4, 2) of a picture, in LPS."""
    axes = len(geometry.size)
    ends = np.array(np.meshgrid(*[(0, side - 1) for side in geometry.size], indexing="ij")).reshape(axes, -1)
    steps: NDArray[np.float64] = geometry.frame @ (ends * np.array(geometry.spacing_mm)[:, None])
    return np.asarray(steps.T + np.array(geometry.origin_mm))
