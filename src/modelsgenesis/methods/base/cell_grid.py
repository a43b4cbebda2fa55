"""Views of an image on one grid of cells: which cells two of them share, and cells put in another order."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelsgenesis.core.errors import GenesisError, ShapeError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CellGrid:
    """An image cut into cells, and views of it that are shifted against each other by whole cells.

    Two views therefore show the same cells at other places, and which is which is known exactly. Cells are numbered in
    raster order, the last axis fastest.

    Args:
        size: of the image in voxels, (X, Y[, Z]).
        cell: side of a cell in voxels.
        spare: how many cells longer the image is than a view, along every axis.
    Raises:
        GenesisError: a cell or a shift that is none.
        ShapeError: sides that are no whole number of cells, or too few for a view.
    """

    size: tuple[int, ...]
    cell: int
    spare: int

    def __post_init__(self) -> None:
        if self.cell < 1 or self.spare < 0:
            raise GenesisError(f"a cell has a side of 1 or more and spare is 0 or more, got {self.cell}, {self.spare}")
        if any(side % self.cell for side in self.size) or min(self.cells) < 1 or math.prod(self.cells) < 2:
            least = [max(self.spare + 2, -(-side // self.cell)) * self.cell for side in self.size]
            raise ShapeError(
                f"images of {self.size} voxels hold no views on a grid of cells of {self.cell} with {self.spare} to "
                f"spare; use --size {' '.join(map(str, least))}"
            )

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells along each axis of a view."""
        return tuple(side // self.cell - self.spare for side in self.size)

    @property
    def view_size(self) -> tuple[int, ...]:
        """Sides of a view in voxels."""
        return tuple(self.cell * number for number in self.cells)

    def cut(self, image: Array, offset: Array) -> Array:
        """The view of an image, (C, *size), that begins so many cells from its corner: (C, *view_size)."""
        places = (slice(self.cell * int(first), self.cell * (int(first) + number))
                  for first, number in zip(offset, self.cells, strict=True))  # fmt: skip
        return image[(slice(None), *places)]

    def matches(self, first: Array, second: Array) -> Array:
        """For each cell of one view its number in another, -1 where the other does not show it; int64 (cells,).

        Args:
            first: the offset of the one, in cells.
            second: the offset of the other.
        """
        axes = [np.arange(number) + int(a) - int(b) for number, a, b in zip(self.cells, first, second, strict=True)]
        there = np.stack(np.meshgrid(*axes, indexing="ij"))
        limits = np.array(self.cells).reshape(-1, *(1,) * len(self.cells))
        seen = ((there >= 0) & (there < limits)).all(axis=0)
        numbers = np.ravel_multi_index(tuple(np.clip(there, 0, limits - 1)), self.cells)
        return np.where(seen, numbers, -1).ravel()

    def reordered(self, view: Array, order: Array) -> Array:
        """The view with its cells in another order: place k shows the cell that was at place order[k].

        Args:
            view: (C, *view_size).
            order: each cell's number once, int64 (cells,).
        """
        axes = len(self.cells)
        split = view.reshape(view.shape[0], *itertools.chain(*((number, self.cell) for number in self.cells)))
        grid, inside = range(1, 2 * axes, 2), range(2, 2 * axes + 1, 2)
        cells = split.transpose(*grid, 0, *inside).reshape(len(order), view.shape[0], *(self.cell,) * axes)
        put = cells[order].reshape(*self.cells, view.shape[0], *(self.cell,) * axes)
        back = [axes, *itertools.chain(*((axis, axes + 1 + axis) for axis in range(axes)))]
        return np.ascontiguousarray(put.transpose(back).reshape(view.shape))
