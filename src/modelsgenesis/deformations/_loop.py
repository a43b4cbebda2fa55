"""From what was drawn to the arguments of the compiled loop."""

from typing import NamedTuple

import numpy as np

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.deformations._range import Array, Span
from modelsgenesis.deformations.kernels.bezier import bezier_table
from modelsgenesis.deformations.kernels.fused import deform
from modelsgenesis.deformations.kernels.hashing import halves


class Windows(NamedTuple):
    """A drawn local shuffling."""

    key: int  # of the windows' sides, places and permutations
    num_windows: int
    seen: tuple[tuple[int, ...], ...] = ()  # boxes outside which it need not act, for all is hidden there


class Curve(NamedTuple):
    """A drawn non-linear map: the control points (a, b) and (c, d), and whether it rises."""

    a: float
    b: float
    c: float
    d: float
    rising: bool


class Paint(NamedTuple):
    """A drawn painting: boxes (low corner, end corner), and the noise outside (kept) or inside (hidden) them."""

    boxes: tuple[tuple[int, ...], ...]
    keep: bool
    key: int
    shared: bool  # the same noise in every channel


def greatest_sides(size: tuple[int, ...]) -> tuple[int, ...]:
    """A tenth of the sides: the greatest of a shuffling window."""
    return tuple(max(1, side // 10) for side in size)


def run(array: Array, span: Span, windows: Windows | None, curve: Curve | None, paint: Paint | None) -> Array:
    """Shuffle, map and paint, each if drawn.

    Args:
        array: float32 (C, X, Y[, Z]); in 2D a first axis of one voxel is put before X, so that rows stay long.
    """
    channels, *sides = array.shape
    size = (1, *sides) if len(sides) == 2 else tuple(sides)
    out = np.empty((channels, array[0].size), np.float32)
    table = np.empty((2, 0), np.float32) if curve is None else bezier_table(*curve, span.low, span.high)
    deform(
        array.reshape(channels, -1),
        out,
        size,
        greatest_sides(size),
        0 if windows is None else windows.num_windows,
        halves(0 if windows is None else windows.key),
        box_table(() if windows is None else windows.seen, size, len(sides)),
        table,
        span,
        box_table(() if paint is None else paint.boxes, size, len(sides)),
        paint is not None and paint.keep,
        halves(0 if paint is None else paint.key),
        paint is not None and paint.shared,
    )
    return out.reshape(array.shape)


def box_table(boxes: tuple[tuple[int, ...], ...], size: tuple[int, ...], axes: int) -> Array:
    """The boxes as int64 (N, 6): low corner and end corner on three axes.

    Raises:
        ShapeError: a box drawn for another image reaches out of this one.
    """
    table = np.empty((len(boxes), 6), np.int64)
    for index, box in enumerate(boxes):
        low, end = box[: len(box) // 2], box[len(box) // 2 :]
        if len(low) != axes or any(stop > side for stop, side in zip(end, size[-axes:], strict=True)):
            raise ShapeError(f"the painting was drawn for another image than one of sides {size[-axes:]}; draw again")
        table[index] = (*(0,) * (3 - axes), *low, *(1,) * (3 - axes), *end)
    return table
