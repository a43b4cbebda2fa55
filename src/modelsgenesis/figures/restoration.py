"""What a network restores of a few cubes, at one moment of its training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.figures.drawing import (
    PALE,
    colour_bar,
    draw_picture,
    frame,
    place,
    save,
    scale_bar,
    text,
    write_letters,
)
from modelsgenesis.figures.planes import Array, channel_in_words, cut_plane, middle_channel
from modelsgenesis.figures.windows import percentile_display

COLUMNS = ("original", "deformed", "restored", "error")
LEFT, TOP, GAP, RIGHT, BOTTOM = 0.3, 0.78, 0.05, 0.62, 0.34  # inches
CAPTION, BETWEEN = 0.2, 0.18


def restoration_sheet(
    path: Path | str,
    original: Array,
    deformed: Array,
    restored: Array,
    *,
    spacing_mm: Sequence[tuple[float, ...]] | tuple[float, ...] | None = None,
    title: str = "",
    errors: Sequence[tuple[float, float]] | None = None,
    display: tuple[float, float] | None = None,
    spread: float = 0.25,
    panel_inches: float | None = None,
) -> Path:
    """Draw a row for each cube: original, deformed, restored and the error, in an axial and a coronal plane.

    A crop of a picture is drawn as it lies in the file, and larger.

    Args:
        path: of the PNG.
        original: (N, C, X, Y[, Z]) in [0, 1], LPS; the first channel is drawn, of pictures the middle one.
        deformed: what the network saw, same shape.
        restored: what the network predicted, of the same shape.
        spacing_mm: between voxels, one for all cubes or one a cube; 1 mm by default.
        title: of the sheet.
        errors: for each cube the mean squared error of the restoration and of the deformed cube left as it is;
            computed when not given.
        display: values shown black and white; by default percentiles of the originals.
        spread: the error with full colour; fixed, so that sheets of one run can be compared.
        panel_inches: width of a picture; by default 1.15, and 2.1 in two axes.
    Raises:
        ShapeError: the three differ in shape, or are no batches.
    """
    if not original.shape == deformed.shape == restored.shape or original.ndim not in (4, 5):
        raise ShapeError(
            f"a restoration sheet needs three batches (N, C, X, Y[, Z]) of one shape, got {original.shape}, "
            f"{deformed.shape} and {restored.shape}"
        )
    shown = middle_channel(original[0])
    panel_inches = panel_inches or (2.1 if original.ndim == 4 else 1.15)
    before, seen, after = (images[:, shown] for images in (original, deformed, restored))
    fours = np.stack([before, seen, after, after - before], axis=1)
    spacings = one_each(spacing_mm, len(fours), fours.ndim - 2)
    errors = errors or [(mean_square(r - o), mean_square(d - o)) for o, d, r, _ in fours]
    display = display or percentile_display(fours[:, 0])
    planes = ("axial", "coronal") if fours.ndim == 5 else ("image",)
    heights = [max(picture_height(four[0], name, mm, panel_inches) for name in planes)
               for four, mm in zip(fours, spacings, strict=True)]  # fmt: skip
    group = 4 * (panel_inches + GAP) + BETWEEN
    width = LEFT + len(planes) * group + RIGHT - BETWEEN
    figure = Figure((width, TOP + sum(heights) + CAPTION * len(fours) + BOTTOM), facecolor="white")
    frame(figure, LEFT, title, f"error: restored − original{channel_in_words(original[0])}")
    top = TOP
    for number, (four, mm, height, pair) in enumerate(zip(fours, spacings, heights, errors, strict=True)):
        for place_of, name in enumerate(planes):
            inches = (LEFT + place_of * group, top, panel_inches)
            draw_four(figure, four, name, mm, inches, display, spread, titled=number == 0)
        text(figure, LEFT, top + height + 0.13, caption(*pair), size=7, color=PALE)
        top += height + CAPTION
    colour_bar(figure, width - RIGHT + 0.12, TOP, min(1.2, 0.8 * sum(heights)), spread)
    return save(figure, path)


def draw_four(
    figure: Figure,
    cube: Array,
    name: str,
    spacing_mm: tuple[float, ...],
    inches: tuple[float, float, float],
    display: tuple[float, float],
    spread: float,
    *,
    titled: bool,
) -> None:
    """Draw one plane of a cube's original, deformed, restored and error, (4, X, Y[, Z]), side by side."""
    start, top, wide = inches
    for number, (column, values) in enumerate(zip(COLUMNS, cube, strict=True)):
        plane = cut_plane(values, name, spacing_mm)
        left = start + number * (wide + GAP)
        axes = place(figure, left, top, wide, wide * plane.size_mm[1] / plane.size_mm[0])
        kind = "difference" if column == "error" else "image"
        draw_picture(axes, plane.picture, kind, (-spread, spread) if column == "error" else display)
        if number == 0:
            write_letters(axes, plane)
            scale_bar(axes, plane)
        if titled:
            text(figure, left, top - 0.07, column, weight="bold", size=8)


def caption(error: float, unchanged: float) -> str:
    """Describe how near a restoration comes to the original."""
    share = f", ratio {error / unchanged:.2f}" if unchanged > 0 else ""
    return f"mean squared error: restored {error:.4f}, deformed left as it is {unchanged:.4f}{share}"


def mean_square(difference: Array) -> float:
    """The mean of the squared values."""
    return float(np.mean(np.square(difference, dtype=np.float64)))


def picture_height(values: Array, name: str, spacing_mm: tuple[float, ...], wide: float) -> float:
    """The height in inches of a plane that is `wide` inches wide."""
    across, tall = cut_plane(values, name, spacing_mm).size_mm
    return wide * tall / across


def one_each(
    spacing_mm: Sequence[tuple[float, ...]] | tuple[float, ...] | None, num: int, axes: int
) -> list[tuple[float, ...]]:
    """Give each cube its spacing, where one may be given for all."""
    given = np.broadcast_to(np.ones(axes) if spacing_mm is None else np.asarray(spacing_mm, float), (num, axes))
    return [tuple(row) for row in given.tolist()]
