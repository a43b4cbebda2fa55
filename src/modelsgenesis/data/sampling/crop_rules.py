"""Where a cube may lie: crop rules by name, decided on the foreground map alone."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.intensity_statistics import CELL_SIDE

Place = tuple[int, ...]
Cells = NDArray[np.uint8]
Span = tuple[int, int]

TRIES = 512  # locations drawn before the best one of the grid is taken
BATCH = 32


@dataclass(frozen=True)
class CropRule:
    """Which crop locations are good.

    Args:
        lacks: why a scan has no place, in words.
        margin: of each side of the scan that stays free at either border, as far as the cube leaves room; the last is
            that of Z, which a picture has not.
        cells: which of the store's maps decides, "tissue" or "foreground"; "" when any place is good.
        inverted: whether a cube may have little of what the map does not show.
        most: of it, averaged over the cube, 0..1.
        at_worst: where a scan has no such place, its best ones are taken if they have at most this.
    """

    lacks: str = ""
    margin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cells: str = ""
    inverted: bool = False
    most: float = 1.0
    at_worst: float = 1.0

    def spans(self, size: Place, cube: Place) -> list[Span]:
        """The first and last allowed place along each axis, by the margins."""
        spans = []
        for side, whole, fraction in zip(cube, size, self.margin[: len(size)], strict=True):
            margin = min(round(fraction * whole), (whole - side) // 2)
            spans.append((margin, whole - side - margin))
        return spans

    def limit(self, wrong: Cells, size: Place, cube: Place) -> float | None:
        """The greatest share of unwanted cells that a cube of this scan may have; None when the scan gives no cube."""
        _, least = best_place(wrong, self.spans(size, cube), cube)
        if least <= self.most:
            return self.most
        return least + SLACK if least <= self.at_worst else None


SLACK = 0.05

CROP_RULES = {
    # The paper keeps 100 of 512 voxels free along x and y, and 30 of about 300 along z; and cubes with at most 15 %
    # tissue, of 45 x 45 x 40 mm. Scans of coarser voxels have no such cube of the same number of voxels.
    "lung": CropRule(
        lacks="it is nowhere mostly lung: is it a chest CT in HU? The rules for others are not_mostly_air and anywhere",
        margin=(100 / 512, 100 / 512, 0.1),
        cells="tissue",
        most=0.15,
        at_worst=0.5,
    ),
    "not_mostly_air": CropRule(
        lacks="a quarter is nowhere above the background; the rule `anywhere` takes it",
        cells="foreground",
        inverted=True,
        most=0.75,
        at_worst=0.75,
    ),
    "anywhere": CropRule(),
}


def draw_location(spans: list[Span], cube: Place, wrong: Cells | None, most: float, rng: np.random.Generator) -> Place:
    """Draw a place uniformly among the good ones; when they are very rare, the best one of a grid.

    Args:
        spans: first and last place along each axis.
        cube: its size.
        wrong: what a cube may have little of, in cells, 0..255; None when any place is good.
        most: of it.
        rng: the sample's own generator.
    """
    lows, highs = zip(*spans, strict=True)
    if wrong is None:
        return tuple(rng.integers(lows, highs, endpoint=True).tolist())
    for _ in range(TRIES // BATCH):
        for place in rng.integers(lows, highs, size=(BATCH, len(spans)), endpoint=True).tolist():
            if mean_over(wrong, place, cube) <= most:
                return tuple(place)
    return best_place(wrong, spans, cube)[0]


def mean_over(cells: Cells, place: Place, cube: Place) -> float:
    """The mean of the cells that a cube touches, 0..1."""
    touched = cells[
        tuple(slice(at // CELL_SIDE, -(-(at + side) // CELL_SIDE)) for at, side in zip(place, cube, strict=True))
    ]
    return float(touched.sum(dtype=np.int64)) / (255 * touched.size)


def best_place(cells: Cells, spans: list[Span], cube: Place) -> tuple[Place, float]:
    """The place with the least mean, on a grid of one cell, and that mean; by a table of sums."""
    sums = np.pad(cells.astype(np.int64), ((1, 0),) * cells.ndim)
    for axis in range(cells.ndim):
        sums = sums.cumsum(axis)
    locations = [np.array(sorted({*range(low, high + 1, CELL_SIDE), high})) for low, high in spans]
    first = [place // CELL_SIDE for place in locations]
    last = [-(-(place + side) // CELL_SIDE) for place, side in zip(locations, cube, strict=True)]
    for axis in range(cells.ndim):
        sums = np.take(sums, last[axis], axis) - np.take(sums, first[axis], axis)
    counts = [after - before for before, after in zip(first, last, strict=True)]
    means = sums / (255 * functools.reduce(np.multiply.outer, counts))
    where = np.unravel_index(int(means.argmin()), means.shape)
    return tuple(int(place[i]) for place, i in zip(locations, where, strict=True)), float(means[where])
