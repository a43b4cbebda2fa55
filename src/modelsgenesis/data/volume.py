"""A volume in memory: values in LPS, and the way back to the file's own axes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a file lie, in the file's own axes, as SimpleITK reports it.

    Attributes:
        size: voxels along the file's axes.
        spacing_mm: along the file's axes.
        origin_mm: of the first voxel, in LPS.
        direction: of the file's axes in LPS, a 3 x 3 matrix row by row.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def order(self) -> tuple[int, int, int]:
        """Which of the file's axes runs along X, Y and Z (nearest, when the scan is oblique)."""
        cosines = np.abs(np.array(self.direction).reshape(3, 3))
        order = [0, 0, 0]
        for _ in range(3):
            space, axis = np.unravel_index(int(np.argmax(cosines)), (3, 3))
            order[int(space)] = int(axis)
            cosines[space, :] = cosines[:, axis] = -1
        return order[0], order[1], order[2]

    @property
    def flips(self) -> tuple[bool, bool, bool]:
        """Whether that axis runs against X, Y and Z."""
        cosines = np.array(self.direction).reshape(3, 3)
        x, y, z = (bool(cosines[space, axis] < 0) for space, axis in enumerate(self.order))
        return x, y, z

    @property
    def oblique_degrees(self) -> float:
        """The greatest angle between one of the file's axes and the axis of LPS it is taken for."""
        cosines = np.abs(np.array(self.direction).reshape(3, 3))
        least = min(float(cosines[space, axis]) for space, axis in enumerate(self.order))
        return float(np.degrees(np.arccos(min(1.0, least))))

    def to_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn (..., *file's axes) into (..., X, Y, Z) in LPS; a view, nothing is copied."""
        front = range(values.ndim - 3)
        turned = values.transpose(*front, *(len(front) + axis for axis in self.order))
        x, y, z = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return turned[..., x, y, z]

    def from_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_lps`: put an array such as a mask back into the file's own axes; a view."""
        x, y, z = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        unflipped = values[..., x, y, z]
        front = range(values.ndim - 3)
        return unflipped.transpose(*front, *(len(front) + self.order.index(axis) for axis in range(3)))


@dataclass(frozen=True)
class Volume:
    """A volume read from a source.

    Attributes:
        values: (C, X, Y, Z), LPS; HU for CT.
        spacing_mm: along X, Y, Z.
        modality: one of scan.MODALITIES, or "" when nobody said.
        geometry: of the source's file, before any resampling.
        notes: what was repaired, in words that name nobody.
    """

    values: NDArray[Any]
    spacing_mm: tuple[float, ...]
    modality: str
    geometry: Geometry
    notes: tuple[str, ...] = ()
