"""Sheets: panels side by side in three planes, true to the patient's proportions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.drawing import (
    PALE,
    colour_bar,
    difference_limit,
    draw_picture,
    frame,
    place,
    save,
    scale_bar,
    text,
    write_letters,
)
from modelsgenesis.figures.locator import Locator, draw_locator
from modelsgenesis.figures.planes import Array, Plane, cut_plane, names
from modelsgenesis.figures.windows import percentile_display

LEFT, TOP, GAP, RIGHT, BOTTOM = 0.42, 0.92, 0.06, 0.62, 0.38  # inches


@dataclass(frozen=True)
class Panel:
    """One column of a sheet.

    Attributes:
        title: above it.
        values: (X, Y, Z) or (X, Y).
        kind: an image is grey between the sheet's display limits; a difference is blue below and red above 0.
        note: a few words or a number under the title.
        display: values shown black and white, where they are not the sheet's.
        mark: how it is shown, set apart from the note: after it on a sheet, in the picture's corner in a gallery.
    """

    title: str
    values: Array
    kind: Literal["image", "difference"] = "image"
    note: str = ""
    display: tuple[float, float] | None = None
    mark: str = ""


@dataclass(frozen=True)
class Rows:
    """The rows of a sheet: their names, and where they are in inches from the top."""

    names: tuple[str, ...]
    tops: list[float]
    heights: list[float]


def draw_sheet(
    panels: Sequence[Panel],
    path: Path | str,
    *,
    spacing_mm: tuple[float, ...],
    display: tuple[float, float] | None = None,
    title: str = "",
    footnote: str = "",
    locator: Locator | None = None,
    panel_inches: float = 1.55,
) -> Path:
    """Draw panels as columns, their axial, coronal and sagittal planes as rows, in radiological view.

    Args:
        panels: the columns, all of one shape, LPS.
        path: of the PNG.
        spacing_mm: between voxels; pictures keep the patient's proportions.
        display: values shown black and white; by default percentiles of the first panel.
        title: of the sheet.
        footnote: a line under it.
        locator: the whole scan, drawn first with the cube's borders.
        panel_inches: width of a column.
    Raises:
        ShapeError: panels of different shapes, or none.
    """
    shapes = {panel.values.shape for panel in panels}
    if len(shapes) != 1:
        raise ShapeError(f"a sheet needs panels of one shape, got {sorted(shapes)}")
    display = display or percentile_display(panels[0].values)
    spread = difference_limit([panel.values for panel in panels if panel.kind == "difference"])
    rows, scale = arrange(panels[0].values, spacing_mm, panel_inches)
    left = LEFT + (locator.column_inches(rows.names, rows.heights) + 0.36 if locator else 0.0)
    width = left + (panel_inches + GAP) * len(panels) + RIGHT
    figure = Figure(figsize=(width, rows.tops[-1] + rows.heights[-1] + BOTTOM), facecolor="white")
    frame(figure, LEFT, title, footnote)
    raised = 0.24 if any(panel.note or panel.mark for panel in panels) else 0.08
    if locator:
        text(figure, LEFT, TOP - raised, "where in the scan", weight="bold", size=8.5)
        draw_locator(figure, locator, rows.names, rows.tops, rows.heights, LEFT, display)
    for number, panel in enumerate(panels):
        start = left + number * (panel_inches + GAP)
        text(figure, start, TOP - raised, panel.title, weight="bold", size=8.5)
        text(figure, start, TOP - 0.08, ", ".join(filter(None, (panel.note, panel.mark))), color=PALE, size=7.5)
        planes = [cut_plane(panel.values, name, spacing_mm) for name in rows.names]
        limits = (-spread, spread) if panel.kind == "difference" else panel.display or display
        draw_column(figure, planes, panel.kind, rows, start, (panel_inches, scale), limits, marked=not number)
    if spread:
        colour_bar(figure, width - RIGHT + 0.12, TOP, min(1.5, 0.7 * sum(rows.heights)), spread)
    return save(figure, path)


def arrange(values: Array, spacing_mm: tuple[float, ...], panel_inches: float) -> tuple[Rows, float]:
    """Find the places of the rows, and how many inches a millimetre takes."""
    planes = [cut_plane(values, name, spacing_mm) for name in names(values.ndim)]
    scale = panel_inches / max(plane.size_mm[0] for plane in planes)
    heights = [plane.size_mm[1] * scale for plane in planes]
    tops = [TOP + sum(heights[:row]) + GAP * row for row in range(len(heights))]
    return Rows(tuple(plane.name for plane in planes), tops, heights), scale


def draw_column(
    figure: Figure,
    planes: list[Plane],
    kind: str,
    rows: Rows,
    start: float,
    inches: tuple[float, float],
    limits: tuple[float, float],
    *,
    marked: bool,
) -> None:
    """Draw one panel's planes one under the other; the marked column carries letters, scale and the rows' names."""
    column, scale = inches
    for plane, top, height in zip(planes, rows.tops, rows.heights, strict=True):
        wide = plane.size_mm[0] * scale
        axes = place(figure, start + 0.5 * (column - wide), top, wide, height)
        draw_picture(axes, plane.picture, kind, limits)
        if marked:
            write_letters(axes, plane)
            name = {"rotation": 90, "ha": "right", "va": "center", "color": PALE, "size": 8}
            text(figure, start - 0.1, top + 0.5 * height, plane.name, **name)
            if plane is planes[0]:
                scale_bar(axes, plane)
