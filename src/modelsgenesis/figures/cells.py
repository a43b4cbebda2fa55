"""Pictures with cells marked on them, side by side: which cell of one is which of another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelsgenesis.figures.drawing import (
    HALO,
    MARK,
    PALE,
    draw_picture,
    frame,
    place,
    save,
    scale_bar,
    text,
    write_letters,
)
from modelsgenesis.figures.planes import Plane

LEFT, TOP, GAP, RIGHT, BOTTOM, CAPTION = 0.3, 0.72, 0.16, 0.3, 0.4, 0.46  # inches
HUES = "turbo"


@dataclass(frozen=True)
class Cell:
    """A box on a picture.

    Attributes:
        corner: its first pixel, along the rows and down the columns.
        size: pixels along the same.
        colour: of its border, and of the fill.
        words: in its middle.
        strength: of the fill, 0 to 1.
    """

    corner: tuple[float, float]
    size: tuple[float, float]
    colour: str | tuple[float, float, float] = MARK
    words: str = ""
    strength: float = 0.0


@dataclass(frozen=True)
class Marked:
    """A picture, what it is called, and what is marked on it.

    Attributes:
        title: above it.
        plane: what is drawn.
        cells: on it.
        note: under the title.
        points: where it really is, (x, y, colour), drawn as crosses.
    """

    title: str
    plane: Plane
    cells: Sequence[Cell] = ()
    note: str = ""
    points: Sequence[tuple[float, float, str | tuple[float, float, float]]] = ()


def draw_marked(
    pictures: Sequence[Marked],
    path: Path | str,
    *,
    display: tuple[float, float],
    title: str = "",
    footnote: str = "",
    columns: int = 4,
    panel_inches: float = 3.0,
) -> Path:
    """Draw pictures in rows, each in its own proportions.

    Args:
        pictures: of any size.
        path: of the PNG.
        display: values shown black and white.
        title: of the figure.
        footnote: lines under it.
        columns: pictures in a row.
        panel_inches: the longer side of each picture.
    """
    columns = min(columns, len(pictures))
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    sizes = [[shown_size(one.plane, panel_inches) for one in row] for row in rows]
    heights = [CAPTION + max(tall for _, tall in row) for row in sizes]
    lines = footnote.count("\n")
    width = LEFT + columns * (panel_inches + GAP) - GAP + RIGHT
    figure = Figure((width, TOP + sum(heights) + BOTTOM + 0.14 * lines), facecolor="white")
    frame(figure, LEFT, title, footnote)
    for number, (row, of_row) in enumerate(zip(rows, sizes, strict=True)):
        top = TOP + sum(heights[:number])
        for column, (one, (wide, tall)) in enumerate(zip(row, of_row, strict=True)):
            left = LEFT + column * (panel_inches + GAP)
            text(figure, left, top, one.title, weight="bold", size=9)
            text(figure, left, top + 0.15, one.note, size=7.5, color=PALE)
            mark(place(figure, left, top + 0.22, wide, tall), one, display, wide, named=not number and not column)
    return save(figure, path)


def shown_size(plane: Plane, longer_inches: float) -> tuple[float, float]:
    """The width and height in inches of a picture whose longer side is given."""
    wide, tall = plane.size_mm
    return wide * longer_inches / max(wide, tall), tall * longer_inches / max(wide, tall)


def mark(axes: Axes, one: Marked, display: tuple[float, float], wide: float, *, named: bool) -> None:
    """Draw one picture and the marks on it; only one is named, with letters and a scale."""
    draw_picture(axes, one.plane.picture, "image", display)
    if named:
        write_letters(axes, one.plane)
        scale_bar(axes, one.plane)
    for cell in one.cells:
        (x, y), (across, down) = cell.corner, cell.size
        if cell.strength:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), across, down, fc=cell.colour, lw=0, alpha=cell.strength))
        border = 1.6 if not (cell.strength or cell.words) else 0.5
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), across, down, fill=False, ec=cell.colour, lw=border))
        points = min(8.0, 72 * 0.45 * wide * across / one.plane.picture.shape[1])
        style = {"size": points, "color": "white", "path_effects": HALO, "ha": "center", "va": "center"}
        axes.text(x - 0.5 + across / 2, y - 0.5 + down / 2, cell.words, **style)
    for x, y, colour in one.points:
        axes.plot([x], [y], "+", color="white", ms=8, mew=2.6, scalex=False, scaley=False)
        axes.plot([x], [y], "+", color=colour, ms=8, mew=1.3, scalex=False, scaley=False)


def hues(number: int) -> list[tuple[float, float, float]]:
    """As many colours, as far from each other as may be."""
    red_green_blue = colormaps[HUES](np.linspace(0.05, 0.95, max(number, 1)))[:, :3]
    return [(float(r), float(g), float(b)) for r, g, b in red_green_blue]
