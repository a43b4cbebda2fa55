"""A gallery: many pictures in rows, each with its name: of one slice, or of one crop of a picture."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.figure import Figure

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.drawing import (
    ON_PICTURE,
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
from modelsgenesis.figures.planes import cut_plane, names
from modelsgenesis.figures.sheet import Panel
from modelsgenesis.figures.windows import percentile_display

LEFT, TOP, GAP, RIGHT, BOTTOM = 0.3, 0.72, 0.12, 0.3, 0.42  # inches
LINE = 0.145


def draw_gallery(
    panels: Sequence[Panel],
    path: Path | str,
    *,
    spacing_mm: tuple[float, ...],
    display: tuple[float, float] | None = None,
    title: str = "",
    footnote: str = "",
    locator: Locator | None = None,
    columns: int = 5,
    panel_inches: float = 2.1,
) -> Path:
    """Draw each panel's axial slice, or its 2D image, in rows.

    Args:
        panels: named pictures of one shape, LPS; a note of up to two lines goes under the name.
        path: of the PNG.
        spacing_mm: between voxels.
        display: values shown black and white; by default percentiles of the first panel.
        title: of the gallery.
        footnote: a line under it.
        locator: the whole picture, drawn first with the crop's borders.
        columns: pictures in a row.
        panel_inches: width of a picture.
    Raises:
        ShapeError: panels of different shapes, or none.
    """
    shapes = {panel.values.shape for panel in panels}
    if len(shapes) != 1:
        raise ShapeError(f"a gallery needs panels of one shape, got {sorted(shapes)}")
    display = display or percentile_display(panels[0].values)
    spread = difference_limit([panel.values for panel in panels if panel.kind == "difference"])
    plane = names(panels[0].values.ndim)[0]
    wide_mm, tall_mm = cut_plane(panels[0].values, plane, spacing_mm).size_mm
    tall = panel_inches * tall_mm / wide_mm
    lines = 1 + max(panel.note.count("\n") + bool(panel.note) for panel in panels)
    row_inches = tall + LINE * lines + 0.2
    first = 1 if locator else 0
    columns = min(columns, len(panels) + first)
    width = LEFT + columns * (panel_inches + GAP) - GAP + RIGHT + (0.42 if spread else 0.0)
    figure = Figure((width, TOP + ceil((len(panels) + first) / columns) * row_inches + BOTTOM), facecolor="white")
    frame(figure, LEFT, title, footnote)
    picture_top = LINE * (lines - 1) + 0.07
    if locator:
        text(figure, LEFT, TOP, "where it was cut", weight="bold", size=9)
        draw_locator(figure, locator, (plane,), (TOP + picture_top,), (tall,), LEFT, display)
    for number, panel in enumerate(panels, start=first):
        left = LEFT + (number % columns) * (panel_inches + GAP)
        top = TOP + (number // columns) * row_inches
        _write_caption(figure, left, top, panel)
        axes = place(figure, left, top + picture_top, panel_inches, tall)
        cutting = cut_plane(panel.values, plane, spacing_mm)
        limits = (-spread, spread) if panel.kind == "difference" else panel.display or display
        draw_picture(axes, cutting.picture, panel.kind, limits)
        axes.text(0.03, 0.03, panel.mark, transform=axes.transAxes, va="bottom", size=6.5, **ON_PICTURE)
        if number == first:
            write_letters(axes, cutting)
            scale_bar(axes, cutting)
    if spread:
        colour_bar(figure, width - RIGHT - 0.3, TOP + picture_top, min(1.5, 0.7 * tall), spread)
    return save(figure, path)


def _write_caption(figure: Figure, left: float, top: float, panel: Panel) -> None:
    """A panel's name, and its note below; places in inches."""
    text(figure, left, top, panel.title, weight="bold", size=9)
    for line, words in enumerate(panel.note.splitlines()):
        text(figure, left, top + LINE * (line + 1), words, size=7, color=PALE)
