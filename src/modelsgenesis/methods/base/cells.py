"""Cutting an image into 2 x 2 (x 2) cells, its quarters or eighths, for pretext tasks about where they belong."""

import itertools
import math
from typing import Any

import numpy as np

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.rounding import rounded_down

Array = np.ndarray[Any, Any]
Corner = tuple[int, ...]  # of a cell: 0 is the lower half of an axis, 1 the upper


def corners(axes: int) -> tuple[Corner, ...]:
    """The corners of the cells, in the order of their numbers."""
    return tuple(itertools.product((0, 1), repeat=axes))


def cut_cell(image: Array, corner: Corner, gap: float, numbers: Array) -> Array:
    """Cut a cell somewhere in its half of every axis, so that no edge runs on from one cell into the next.

    Args:
        image: (C, *space).
        corner: which cell.
        gap: part of the half that is left out, on either side of the cell at random.
        numbers: one for each axis, uniform in [0, 1).
    Returns:
        (C, *sides(space, gap)).
    """
    size = image.shape[1:]
    where: list[slice] = [slice(None)]
    for whole, side, half, number in zip(size, sides(size, gap), corner, numbers.tolist(), strict=True):
        low = half * (whole - whole // 2) + int(number * (whole // 2 - side + 1))
        where.append(slice(low, low + side))
    return image[tuple(where)]


def sides(size: tuple[int, ...], gap: float) -> tuple[int, ...]:
    """The sides of a cell in voxels."""
    return tuple(side // 2 - rounded_down(gap * (side // 2)) for side in size)


def fitted(cell: Array, stride: tuple[int, ...]) -> Array:
    """A cell amid zeros, so that its sides divide by the network's strides; the odd voxel of a border is behind.

    Turn a cell before, not after: the border must give nothing away.
    """
    missing = [-side % step for side, step in zip(cell.shape[1:], stride, strict=True)]
    return np.pad(cell, [(0, 0), *((short // 2, short - short // 2) for short in missing)])


def check_gap(gap: float) -> None:
    """Refuse a gap outside [0, 1), as a part of half an image's side."""
    if not 0 <= gap < 1:
        raise GenesisError(f"gap is a part of half a cube's side, in [0, 1), got {gap}")


def check_cells(size: tuple[int, ...], gap: float, stride: tuple[int, ...]) -> None:
    """Refuse images whose cells would be but one position of the deepest feature, where norms cannot work.

    Raises:
        ShapeError: they are too small.
    """
    positions = [-(-side // step) for side, step in zip(sides(size, gap), stride, strict=True)]
    if min(sides(size, gap)) < 1 or math.prod(positions) < 2:
        least = " ".join(str(4 * step) for step in stride)
        raise ShapeError(
            f"cubes of {size} voxels give cells of {sides(size, gap)}, too small for a network that needs sides to "
            f"divide by {stride}; use --size {least} or more"
        )
