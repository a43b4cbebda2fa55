"""Points in the world of a scan, and where they lie on a grid of its voxels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.volume import Geometry

Points = NDArray[np.float64]  # (N, 3)


def to_voxels(points_mm: Points, geometry: Geometry, size: Sequence[int], spacing_mm: Sequence[float]) -> Points:
    """Turn points in mm into voxels of a grid in LPS that a file was resampled to; both have the same outer borders.

    Args:
        points_mm: (N, 3), in the world of the file, in LPS.
        geometry: of the file.
        size: of the grid, (X, Y, Z).
        spacing_mm: of the grid, along X, Y and Z.
    Returns:
        (N, 3), in voxels along X, Y and Z; 0 is the centre of the first one.
    """
    own = np.linalg.solve(geometry.frame, (points_mm - np.array(geometry.origin_mm)).T).T  # mm along the file's axes
    voxels = np.empty_like(own)
    for axis, (file_axis, flipped) in enumerate(zip(geometry.order, geometry.flips, strict=True)):
        place = (own[:, file_axis] + geometry.spacing_mm[file_axis] / 2) / spacing_mm[axis] - 0.5
        voxels[:, axis] = size[axis] - 1 - place if flipped else place
    return voxels


def to_world(voxels: Points, geometry: Geometry, size: Sequence[int], spacing_mm: Sequence[float]) -> Points:
    """Turn voxels of the grid, (N, 3), into mm in LPS; the inverse of `to_voxels`."""
    own = np.empty_like(voxels)
    for axis, (file_axis, flipped) in enumerate(zip(geometry.order, geometry.flips, strict=True)):
        place = size[axis] - 1 - voxels[:, axis] if flipped else voxels[:, axis]
        own[:, file_axis] = (place + 0.5) * spacing_mm[axis] - geometry.spacing_mm[file_axis] / 2
    return np.asarray(own @ geometry.frame.T + np.array(geometry.origin_mm))


def grid_of(geometry: Geometry) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The file's own grid in LPS: its size and its spacing in mm, along X, Y and Z."""
    order = geometry.order
    return tuple(geometry.size[axis] for axis in order), tuple(geometry.spacing_mm[axis] for axis in order)
