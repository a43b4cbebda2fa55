"""Where a scan holds a body, on a coarse grid: what lies elsewhere need not be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.images import Image
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of, summarise

Cells = NDArray[np.bool_]

CELL_MM, MOST_VOXELS = 4.0, 8  # a cell's side, and the most voxels along it
CLEAN_AIR_HU = -940.0  # above the mean of a cell of air however noisy, below those of lungs, fat, blankets and tables
LEAST_PART = 0.01  # of the largest part; what is smaller is noise
LONGEST_GAP = 0.25  # of a slice's border: what lies between two parts of the body there is cut open
MOST_OF_IMAGE = 0.9  # above which leaving the rest out would save next to nothing
MARGIN = 2  # cells around the body that count as body


@dataclass(frozen=True)
class Body:
    """Which cells of an image hold some body.

    Args:
        cells: (X, Y, Z), True where there is body.
        side: voxels of a cell along each axis; the last cells may hold fewer.
    """

    cells: Cells
    side: tuple[int, ...]

    def touches(self, lower: Sequence[int], size: Sequence[int]) -> bool:
        """Whether a region holds a voxel of the body.

        Args:
            lower: its first voxel, of the image; it may lie outside.
            size: of the region in voxels.
        """
        region = tuple(
            slice(max(0, low) // side, max(0, -(-(low + long) // side)))
            for low, long, side in zip(lower, size, self.side, strict=True)
        )
        return bool(self.cells[region].any())

    def voxels(self, size: Sequence[int]) -> Cells:
        """The body voxel by voxel, of an image of that size."""
        found = self.cells
        for axis, side in enumerate(self.side):
            found = found.repeat(side, axis=axis)
        return found[tuple(slice(0, side) for side in size)]


def find_body(image: Image) -> Body | None:
    """Find the body in a CT or MRI: rather too much of it than too little.

    A cell belongs to it whose mean lies above clean air (CT), or above the background by the rule of the stores (MRI),
    in any channel. Specks are dropped; what the rest encloses in any plane, such as gas and emphysema, is added, in
    slices also where the image's border cuts it open; then a margin.

    Args:
        image: of three axes.
    Returns:
        The body; all of the image where next to all of it is, as in a crop of an organ, or where nobody can tell,
        since its values are neither HU nor those of MRI; None where there is none.
    """
    side = tuple(min(MOST_VOXELS, max(1, int(CELL_MM / step))) for step in image.spacing_mm)
    occupied: Cells | None = None
    for channel in image.values:
        threshold = _threshold(channel)
        if threshold is None:
            return _all_of(image)
        above = _means(channel, side) > threshold
        occupied = above if occupied is None else occupied | above
    if occupied is None or not occupied.any():
        return None
    cells = _with_margin(_enclosed(_without_specks(occupied)))
    return Body(cells, side) if cells.mean() <= MOST_OF_IMAGE else _all_of(image)


def _all_of(image: Image) -> Body:
    return Body(np.ones((1, 1, 1), np.bool_), image.size)


def _threshold(channel: NDArray[Any]) -> float | None:
    """The value below which a cell's mean is background; None of what is neither a CT in HU nor MRI."""
    sample = sample_of(channel[np.newaxis])
    modality = guess_modality(sample)
    if modality == "CT":
        return CLEAN_AIR_HU
    if modality == "unknown" or sample[0] == sample[-1]:
        return None
    return summarise(channel[np.newaxis], sample, modality).foreground


def _means(values: NDArray[Any], side: Sequence[int]) -> NDArray[np.float64]:
    """The mean of each cell, (X, Y, Z) -> cells; slab by slab, so that nothing of the image's size is made."""
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    starts = [np.arange(0, whole, step) for whole, step in zip(values.shape, side, strict=True)]
    rows = []
    for first in starts[0]:
        row = values[first : first + side[0]].sum(axis=0, dtype=kind)  # (Y, Z)
        row = np.add.reduceat(np.add.reduceat(row, starts[1], axis=0), starts[2], axis=1)
        rows.append(row)
    counts = [np.diff([*first, whole]) for first, whole in zip(starts, values.shape, strict=True)]
    means: NDArray[np.float64] = np.stack(rows) / np.einsum("i,j,k->ijk", *counts)
    return means


def _without_specks(cells: Cells) -> Cells:
    """Drop the parts that are tiny beside the largest."""
    from scipy import ndimage  # here, as wherever the house uses it for a single case

    parts, _ = ndimage.label(cells)
    counts = np.bincount(parts.ravel())
    counts[0] = 0
    kept: Cells = (counts >= LEAST_PART * counts.max())[parts]
    return kept


def _enclosed(cells: Cells) -> Cells:
    """Add what is enclosed in any plane across an axis; in slices the image's border closes what it cuts open."""
    from scipy import ndimage

    found = cells.copy()
    for axis in range(3):
        for plane, into in zip(np.moveaxis(cells, axis, 0), np.moveaxis(found, axis, 0), strict=True):
            into |= ndimage.binary_fill_holes(_closed(plane) if axis == 2 else plane)
    return found


def _closed(plane: Cells) -> Cells:
    """A plane with the gaps in its border closed that are short beside the border, round the corners too."""
    if min(plane.shape) < 2:
        return plane
    numbers = np.arange(plane.size).reshape(plane.shape)
    sides = numbers[0, :-1], numbers[:-1, -1], numbers[-1, :0:-1], numbers[:0:-1, 0]
    border = np.concatenate(sides)  # once around
    occupied = np.flatnonzero(plane.flat[border])
    closed = plane.copy()
    for first, last in zip(occupied, np.append(occupied[1:], occupied[:1] + border.size), strict=True):
        if last - first <= LONGEST_GAP * border.size:
            closed.flat[border[np.arange(first, last) % border.size]] = True
    return closed


def _with_margin(cells: Cells) -> Cells:
    """Add the cells around, corners too."""
    from scipy import ndimage

    wider: Cells = ndimage.binary_dilation(cells, np.ones((3, 3, 3), np.bool_), MARGIN)
    return wider
