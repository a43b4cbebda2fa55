"""From what was drawn to the arguments of the compiled loop that shuffles, maps and paints."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from modelsgenesis.core.deformation import Image
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.deformations.base.boxes import Box
from modelsgenesis.deformations.base.pixelwise import PixelDeformation
from modelsgenesis.deformations.base.value_range import Array, Span, check_units
from modelsgenesis.deformations.kernels.bezier import bezier_table
from modelsgenesis.deformations.kernels.fused import deform
from modelsgenesis.deformations.kernels.hashing import halves


class Windows(NamedTuple):
    """The windows of a drawn local shuffling."""

    key: int  # of the windows' sides, places and permutations
    num_windows: int
    tiles: tuple[int, ...] | None = None  # variant "tiled": where the grid begins on each axis
    seen: tuple[Box, ...] = ()  # boxes outside which it need not act, for all is hidden there


class Curve(NamedTuple):
    """A drawn non-linear map: the control points (a, b) and (c, d), and whether it rises."""

    a: float
    b: float
    c: float
    d: float
    rising: bool


class Paint(NamedTuple):
    """A drawn painting: boxes (low corner, end corner), and the noise outside (keep) or inside them."""

    boxes: tuple[Box, ...]
    keep: bool
    key: int
    shared: bool  # the same noise in every channel


class Plan(NamedTuple):
    """The steps to do to one image, in this order; None leaves one out."""

    windows: Windows | None = None
    curve: Curve | None = None
    paint: Paint | None = None

    @property
    def needs_range(self) -> bool:
        """Whether what becomes of grey levels depends on their range; shuffling takes any."""
        return self.curve is not None or self.paint is not None


@dataclass(frozen=True, kw_only=True)
class PlannedDeformation(PixelDeformation):
    """A deformation that the compiled loop, and its twin on the device, can carry out."""

    @abstractmethod
    def plan(self, drawn: Any) -> Plan:
        """Turn what was drawn into the plan of the compiled loop."""

    def apply(self, image: Image, drawn: Any) -> Image:
        """Return the deformed image; a tensor on another device is deformed there."""
        if isinstance(image, np.ndarray) or getattr(getattr(image, "device", None), "type", "cpu") == "cpu":
            return super().apply(image, drawn)
        from modelsgenesis.deformations.base.batch import apply_batch

        return cast(Image, apply_batch(self, cast(Any, image)[None], [drawn])[0])

    def deform(self, array: Array, span: Span, drawn: Any) -> Array:
        """Return the deformed image as a new float32 array.

        Raises:
            DataError: it is in other units than the range.
        """
        plan = self.plan(drawn)
        if plan.needs_range:
            check_units(float(span.greatest) - float(span.least), self.range)
        return run(array, span, plan)


def greatest_sides(size: tuple[int, ...]) -> tuple[int, ...]:
    """A tenth of the sides: the greatest of a shuffling window, and those of a tile."""
    return tuple(max(1, side // 10) for side in size)


def in_three_axes(size: tuple[int, ...]) -> tuple[int, int, int]:
    """The sides (X, Y, Z) of an image; in 2D a first axis of one voxel is put before X, so that rows stay long."""
    x, y, z = (1, *size) if len(size) == 2 else size
    return x, y, z


def run(array: Array, span: Span, plan: Plan) -> Array:
    """Shuffle, map and paint an image, each if planned.

    Args:
        array: float32 (C, X, Y[, Z]).
        span: its range.
        plan: what to do.
    Raises:
        ShapeError: the plan was drawn for another image.
    """
    channels, *sides = array.shape
    size = in_three_axes(tuple(sides))
    windows, curve, paint = plan
    out = np.empty((channels, size[0] * size[1] * size[2]), np.float32)
    table = np.empty((2, 0), np.float32) if curve is None else bezier_table(*curve, span.low, span.high)
    deform(
        array.reshape(channels, -1),
        out,
        size,
        greatest_sides(size),
        0 if windows is None else windows.num_windows,
        halves(0 if windows is None else windows.key),
        grid_start(windows),
        box_table(() if windows is None else windows.seen, tuple(sides)),
        table,
        span,
        box_table(() if paint is None else paint.boxes, tuple(sides)),
        paint is not None and paint.keep,
        halves(0 if paint is None else paint.key),
        paint is not None and paint.shared,
    )
    return out.reshape(array.shape)


def grid_start(windows: Windows | None) -> tuple[int, int, int]:
    """Where the grid of tiles begins on three axes; (-1, -1, -1) when windows are placed at random."""
    if windows is None or windows.tiles is None:
        return -1, -1, -1
    x, y, z = (0, *windows.tiles) if len(windows.tiles) == 2 else windows.tiles
    return x, y, z


def box_table(boxes: tuple[Box, ...], sides: tuple[int, ...]) -> Array:
    """The boxes as int64 (N, 6): low corner and end corner on three axes.

    Raises:
        ShapeError: a box drawn for another image reaches out of this one.
    """
    axes = len(sides)
    table = np.empty((len(boxes), 6), np.int64)
    for index, box in enumerate(boxes):
        low, end = box[: len(box) // 2], box[len(box) // 2 :]
        if len(low) != axes or any(stop > side for stop, side in zip(end, sides, strict=True)):
            raise ShapeError(f"this was drawn for another image than one of sides {sides}; draw again")
        table[index] = (*(0,) * (3 - axes), *low, *(1,) * (3 - axes), *end)
    return table
