"""Where a scan is full and where it is empty: boxes of its coarse maps, kept in the manifest.

By them it is known of nearly every scan, without a look into its file, that a cube of some size has a place in it.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.intensity_statistics import CELL_SIDE, ForegroundMap

Place = tuple[int, ...]
Cells = NDArray[np.uint8]
Span = tuple[int, int]

MAPS = ("tissue", "foreground")
SIDES = (4, 8, 16)  # cells, of a box
# A tissue box lies where the lung rule lets cubes lie: of each side, the share that stays free at either border.
MARGINS = {"tissue": (100 / 512, 100 / 512, 0.1), "foreground": (0.0, 0.0, 0.0)}
NUMBERS_OF = {axes: len(MAPS) * len(SIDES) * (2 * axes + 1) for axes in (2, 3)}  # an image of so many axes has
PARTS = 10_000  # of the whole, in which shares are kept


def unwanted(cells: Cells, name: str) -> Cells:
    """What a cube should have little of, by one of the maps: tissue, or what is no foreground; 0..255 for 0..1."""
    return 255 - cells if name == "foreground" else cells


def occupancy_of(maps: ForegroundMap, size: Place) -> tuple[int, ...]:
    """The boxes of a scan's maps, for each side in SIDES the one with the least that is unwanted.

    Args:
        maps: of the scan; of a stack of slices, that of its best slice is taken.
        size: of the scan, or of a slice, in voxels.
    Returns:
        For each map and side: the first cell along each axis, the number of cells along each, and the share of what is
        unwanted, rounded up, in PARTS.
    """
    numbers: list[int] = []
    for name in MAPS:
        sums = table_of_sums(unwanted(getattr(maps, name), name), len(size))
        for side in SIDES:
            numbers += _best_box(sums, MARGINS[name], size, side)
    return tuple(numbers)


def _best_box(sums: NDArray[np.int64], margin: tuple[float, ...], size: Place, side: int) -> list[int]:
    """The first cell, the number of cells and the share of the best box; all that the margins leave if that is less."""
    axes = len(size)
    bounds = [_within(whole, fraction) for whole, fraction in zip(size, margin, strict=False)]
    sides = [min(side, high - low) for low, high in bounds]
    spans = [(low * CELL_SIDE, (high - many) * CELL_SIDE) for (low, high), many in zip(bounds, sides, strict=True)]
    locations, means = means_by_sums(sums, spans, tuple(many * CELL_SIDE for many in sides))
    at = np.unravel_index(int(means.argmin()), means.shape)[means.ndim - axes :]
    first = [int(place[i]) // CELL_SIDE for place, i in zip(locations, at, strict=True)]
    return [*first, *sides, int(np.ceil(float(means.min()) * PARTS))]


def _within(whole: int, fraction: float) -> Span:
    """The first cell and the one behind the last that lie within the margins; one in the middle if none does."""
    margin = round(fraction * whole)
    low, high = -(-margin // CELL_SIDE), (whole - margin) // CELL_SIDE
    middle = whole // 2 // CELL_SIDE
    return (low, high) if low < high else (middle, middle + 1)


def most_unwanted(
    boxes: NDArray[np.int16], name: str, sizes: NDArray[np.int64], cube: Place, margin: tuple[float, ...]
) -> NDArray[np.float64]:
    """How much of what is unwanted there is at most in the best cube of each scan, whatever its map says elsewhere.

    A box holds so much and no more; cells beyond it are taken for wholly unwanted. So a cube that lies in a good box,
    or reaches not far beyond one, is known to be good.

    Args:
        boxes: (N, numbers), of each scan what `occupancy_of` gives.
        name: of the map.
        sizes: (N, axes), of the scans in voxels.
        cube: its size.
        margin: that places keep from the borders, as crop rules have it.
    Returns:
        (N,), shares; 1 says nothing.
    """
    sides, fractions = np.array(cube), np.array(margin[: len(cube)])
    margins = np.minimum(np.rint(fractions * sizes).astype(np.int64), (sizes - sides) // 2)
    last = sizes - sides - margins
    each = boxes.reshape(len(boxes), len(MAPS), len(SIDES), 2 * len(cube) + 1)[:, MAPS.index(name)].astype(np.int64)
    bounds = [_bound(each[:, number], sizes, sides, margins, last) for number in range(len(SIDES))]
    least: NDArray[np.float64] = np.minimum.reduce(bounds)
    return least


def _bound(
    box: NDArray[np.int64], sizes: NDArray[np.int64], cube: NDArray[np.int64], first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.float64]:  # fmt: skip
    """The greatest share of what is unwanted in a cube on its way through one box of each scan."""
    axes = len(cube)
    low, many = box[:, :axes], box[:, axes : 2 * axes]
    high = low + many
    begin, end = low * CELL_SIDE, np.minimum(high * CELL_SIDE, sizes)
    wanted = np.clip(np.minimum(begin, end - cube), first, last)
    steps = -((first - wanted) // CELL_SIDE)  # up to the next place of the grid that admission looks at
    place = np.minimum(first + steps * CELL_SIDE, last)
    start, stop = place // CELL_SIDE, -(-(place + cube) // CELL_SIDE)
    touched = (stop - start).prod(axis=1)
    shared = np.maximum(np.minimum(stop, high) - np.maximum(start, low), 0).prod(axis=1)
    held = np.ceil(box[:, -1] / PARTS * many.prod(axis=1))
    bound: NDArray[np.float64] = (touched - shared + np.minimum(held, shared)) / touched
    return bound


def means_of_places(
    cells: Cells, spans: list[Span], cube: Place
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """The places of a grid of one cell along each axis, and the mean of a cube at each; by a table of sums.

    Args:
        cells: (*images, *cells), whose last axes are those of the cube.
        spans: first and last place along each axis.
        cube: its size.
    """
    return means_by_sums(table_of_sums(cells, len(cube)), spans, cube)


def table_of_sums(cells: Cells, axes: int) -> NDArray[np.int64]:
    """The sum of all cells before each corner, along the last axes."""
    sums = np.pad(cells.astype(np.int64), ((0, 0),) * (cells.ndim - axes) + ((1, 0),) * axes)
    for axis in range(-axes, 0):
        np.cumsum(sums, axis, out=sums)
    return sums


def means_by_sums(
    sums: NDArray[np.int64], spans: list[Span], cube: Place
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """What `means_of_places` gives, by a table of sums that is there already."""
    axes = range(-len(cube), 0)
    locations = [np.array(sorted({*range(low, high + 1, CELL_SIDE), high})) for low, high in spans]
    first = [place // CELL_SIDE for place in locations]
    last = [-(-(place + side) // CELL_SIDE) for place, side in zip(locations, cube, strict=True)]
    for axis in axes:
        sums = np.take(sums, last[axis], axis) - np.take(sums, first[axis], axis)
    counts = [after - before for before, after in zip(first, last, strict=True)]
    return locations, sums / (255 * functools.reduce(np.multiply.outer, counts))
