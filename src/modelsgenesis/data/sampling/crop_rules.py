"""Where a cube may lie: crop rules by name, decided on the foreground map alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.intensity_statistics import CELL_SIDE
from modelsgenesis.data.occupancy import MARGINS, Cells, Place, Span, means_of_places, most_unwanted

TRIES = 512  # locations drawn before the best one of the grid is taken
BATCH = 32


@dataclass(frozen=True)
class CropRule:
    """Which crop locations are good.

    Args:
        lacks: why a scan has no place, in words.
        margin: of each side of the scan that stays free at either border, as far as the cube leaves room; the last is
            that of Z, which a picture has not.
        cells: which of the store's maps decides: "tissue", of which a cube may have little, or "foreground", of
            which it may lack little; "" when any place is good.
        most: of what is unwanted, averaged over the cube, 0..1.
        at_worst: where a scan has no such place, its best ones are taken if they have at most this.
    """

    lacks: str = ""
    margin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cells: str = ""
    most: float = 1.0
    at_worst: float = 1.0

    def spans(self, size: Place, cube: Place) -> list[Span]:
        """The first and last allowed place along each axis, by the margins."""
        spans = []
        for side, whole, fraction in zip(cube, size, self.margin[: len(size)], strict=True):
            margin = min(round(fraction * whole), (whole - side) // 2)
            spans.append((margin, whole - side - margin))
        return spans

    def limits(self, wrong: Cells, size: Place, cube: Place) -> NDArray[np.float64]:
        """The greatest share of unwanted cells that a cube of each image may have; NaN where an image gives none.

        Args:
            wrong: (N, *cells), of N images.
            size: of an image.
            cube: its size.
        """
        least = means_of_places(wrong, self.spans(size, cube), cube)[1].reshape(len(wrong), -1).min(axis=1)
        possible = np.where(least <= self.at_worst, least + SLACK, np.nan)
        return np.where(least <= self.most, self.most, possible)

    def known(self, boxes: NDArray[np.int16], sizes: NDArray[np.int64], cube: Place) -> NDArray[np.float64]:
        """How much of what is unwanted the best cube of each scan has at most, as far as the manifest knows.

        Args:
            boxes: (N, numbers), of each scan what the manifest says of its occupancy.
            sizes: (N, axes), in voxels; none is smaller than the cube.
            cube: its size.
        Returns:
            (N,); 1 where the map has to be looked at.
        """
        return most_unwanted(boxes, self.cells, sizes, cube, self.margin)


SLACK = 0.05

CROP_RULES = {
    # The paper keeps 100 of 512 voxels free along x and y, and 30 of about 300 along z; and cubes with at most 15 %
    # tissue, of 45 x 45 x 40 mm. Scans of coarser voxels have no such cube of the same number of voxels.
    "lung": CropRule(
        lacks="it is nowhere mostly lung: is it a chest CT in HU? The rules for others are not_mostly_air and anywhere",
        margin=MARGINS["tissue"],
        cells="tissue",
        most=0.15,
        at_worst=0.5,
    ),
    "not_mostly_air": CropRule(
        lacks="a quarter is nowhere above the background; the rule `anywhere` takes it",
        cells="foreground",
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
    """The place with the least mean, on a grid of one cell, and that mean."""
    locations, means = means_of_places(cells, spans, cube)
    where = np.unravel_index(int(means.argmin()), means.shape)
    return tuple(int(place[i]) for place, i in zip(locations, where, strict=True)), float(means[where])
