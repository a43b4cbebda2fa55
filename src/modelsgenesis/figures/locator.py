"""Where in the scan a cube was cut: the whole scan in three planes, or the whole picture, with the cube's borders."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelsgenesis.figures.drawing import MARK, draw_picture, place, write_letters
from modelsgenesis.figures.planes import Array, Plane, cut_plane

AXES_OF = {"axial": (0, 1), "image": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}


@dataclass(frozen=True)
class Locator:
    """The whole scan, to show where the cube was cut.

    Attributes:
        sections: through the middle of the cube, one for each row of the sheet: (X, Y, 1), (X, 1, Z) and (1, Y, Z),
            or the whole (X, Y) image; in the units of the panels.
        spacing_mm: between voxels.
        lower_mm: the cube's lowest corner, from the scan's.
        size_mm: the cube's sides.
    """

    sections: Sequence[Array]
    spacing_mm: tuple[float, ...]
    lower_mm: tuple[float, ...]
    size_mm: tuple[float, ...]

    def planes(self, names: Sequence[str]) -> list[Plane]:
        """The scan's planes through the middle of the cube."""
        return [cut_plane(values, name, self.spacing_mm) for name, values in zip(names, self.sections, strict=True)]

    def column_inches(self, names: Sequence[str], heights: Sequence[float]) -> float:
        """The width of the column in which each plane is as high as its row, within bounds."""
        sizes = [plane.size_mm for plane in self.planes(names)]
        return float(np.clip(max(h * wide / tall for h, (wide, tall) in zip(heights, sizes, strict=True)), 1.0, 2.6))

    def rectangle(self, plane: Plane, axes: Axes) -> Rectangle:
        """The cube's borders on a plane."""
        across, along = AXES_OF[plane.name]
        wide, tall = plane.size_mm
        low, side = self.lower_mm[along], self.size_mm[along]
        bottom = low / tall if along == 2 else 1 - (low + side) / tall  # z runs upwards in a picture, y downwards
        corner = (self.lower_mm[across] / wide, bottom)
        size = (self.size_mm[across] / wide, side / tall)
        return Rectangle(corner, *size, transform=axes.transAxes, fill=False, edgecolor=MARK, lw=1.0)


def draw_locator(
    figure: Figure,
    locator: Locator,
    names: Sequence[str],
    tops: Sequence[float],
    heights: Sequence[float],
    left: float,
    display: tuple[float, float],
) -> None:
    """Draw the column with the planes of the whole scan; places and sizes are in inches."""
    column = locator.column_inches(names, heights)
    for plane, top, height in zip(locator.planes(names), tops, heights, strict=True):
        wide, tall = plane.size_mm
        scale = min(column / wide, height / tall)
        inset = 0.5 * (column - wide * scale), 0.5 * (height - tall * scale)
        axes = place(figure, left + inset[0], top + inset[1], wide * scale, tall * scale)
        draw_picture(axes, plane.picture, "image", display)
        write_letters(axes, plane)
        axes.add_patch(locator.rectangle(plane, axes))
