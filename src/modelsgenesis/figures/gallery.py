"""A gallery: many small pictures of one slice, each with its name."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.figure import Figure

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.drawing import (
    ON_PICTURE,
    PALE,
    draw_picture,
    frame,
    place,
    save,
    scale_bar,
    text,
    write_letters,
)
from modelsgenesis.figures.planes import cut_plane
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
        columns: pictures in a row.
        panel_inches: width of a picture.
    Raises:
        ShapeError: panels of different shapes, or none.
    """
    shapes = {panel.values.shape for panel in panels}
    if len(shapes) != 1:
        raise ShapeError(f"a gallery needs panels of one shape, got {sorted(shapes)}")
    display = display or percentile_display(panels[0].values)
    plane = "image" if panels[0].values.ndim == 2 else "axial"
    wide_mm, tall_mm = cut_plane(panels[0].values, plane, spacing_mm).size_mm
    tall = panel_inches * tall_mm / wide_mm
    lines = 1 + max(panel.note.count("\n") + bool(panel.note) for panel in panels)
    row_inches = tall + LINE * lines + 0.2
    columns = min(columns, len(panels))
    width = LEFT + columns * (panel_inches + GAP) - GAP + RIGHT
    figure = Figure((width, TOP + ceil(len(panels) / columns) * row_inches + BOTTOM), facecolor="white")
    frame(figure, LEFT, title, footnote)
    for number, panel in enumerate(panels):
        left = LEFT + (number % columns) * (panel_inches + GAP)
        top = TOP + (number // columns) * row_inches
        text(figure, left, top, panel.title, weight="bold", size=9)
        for line, words in enumerate(panel.note.splitlines()):
            text(figure, left, top + LINE * (line + 1), words, size=7, color=PALE)
        axes = place(figure, left, top + LINE * (lines - 1) + 0.07, panel_inches, tall)
        cutting = cut_plane(panel.values, plane, spacing_mm)
        draw_picture(axes, cutting.picture, "image", panel.display or display)
        axes.text(0.03, 0.03, panel.mark, transform=axes.transAxes, va="bottom", size=6.5, **ON_PICTURE)
        if number == 0:
            write_letters(axes, cutting)
            scale_bar(axes, cutting)
    return save(figure, path)
