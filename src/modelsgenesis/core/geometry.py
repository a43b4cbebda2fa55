"""Where the voxels of a file lie, and how its axes are turned to LPS and back."""

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
        direction: of the file's axes in LPS, a 3 x 3 matrix row by row; of a 2D picture 2 x 2.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @property
    def frame(self) -> NDArray[np.float64]:
        """The direction as a matrix, a column an axis of the file."""
        return np.array(self.direction).reshape(len(self.size), len(self.size))

    @property
    def order(self) -> tuple[int, ...]:
        """Which of the file's axes runs along X, Y and Z (nearest, when the scan is oblique)."""
        cosines = np.abs(self.frame)
        order = [0] * len(cosines)
        for _ in order:
            space, axis = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
            order[int(space)] = int(axis)
            cosines[space, :] = cosines[:, axis] = -1
        return tuple(order)

    @property
    def flips(self) -> tuple[bool, ...]:
        """Whether that axis runs against X, Y and Z."""
        return tuple(bool(self.frame[space, axis] < 0) for space, axis in enumerate(self.order))

    @property
    def oblique_degrees(self) -> float:
        """The greatest angle between one of the file's axes and the axis of LPS it is taken for."""
        cosines = np.abs(self.frame)
        least = min(float(cosines[space, axis]) for space, axis in enumerate(self.order))
        return float(np.degrees(np.arccos(min(1.0, least))))

    def to_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn (..., *file's axes) into (..., X, Y, Z) in LPS; a view, nothing is copied."""
        front = range(values.ndim - len(self.size))
        turned = values.transpose(*front, *(len(front) + axis for axis in self.order))
        unflipped: NDArray[Any] = turned[self._unflipped]
        return unflipped

    def from_lps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_lps`: put an array such as a mask back into the file's own axes; a view."""
        front, order = range(values.ndim - len(self.size)), self.order
        places = (len(front) + order.index(axis) for axis in range(len(order)))
        turned: NDArray[Any] = values[self._unflipped].transpose(*front, *places)
        return turned

    @property
    def _unflipped(self) -> tuple[Any, ...]:
        return (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))
