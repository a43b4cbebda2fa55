"""Overlays: masks on the image they belong to, in three planes; a prediction filled, the truth as a line."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.labels import colour
from modelsgenesis.figures import page
from modelsgenesis.figures.drawing import PALE, draw_picture, frame, place, save, scale_bar, text, write_letters
from modelsgenesis.figures.planes import Array, Plane, cut_plane, names
from modelsgenesis.figures.viewpoint import bounds, widened, widest
from modelsgenesis.figures.windows import percentile_display

FILL, GLOW, HEAT = 0.4, 0.65, "plasma"
LEFT, GAP, RIGHT, BOTTOM, CAPTION = 0.3, 0.08, 0.3, 0.36, 0.24  # inches
LEGEND, LEGEND_ALONE, UNDER = 0.6, 0.25, 0.35  # inches from the top, with and without a title, and below it
TALLEST = 1.35  # of a picture, by the width of its column
LEGEND_LINE, LETTER = 0.2, 0.075  # inches: between its lines, and a letter's width
TITLE_LINE = 0.15  # inches, of the lines above a picture
FOOT_LINE = 0.16  # inches, of the line below a row
FROM = {"axial": (2, "feet"), "coronal": (1, "front"), "sagittal": (0, "right")}  # the axis that a plane is cut across


@dataclass(frozen=True)
class Overlay:
    """One row of a sheet: planes already cut, so that many large scans can be on one sheet.

    Attributes:
        planes: of the image.
        masks: drawn filled, for each plane (C, rows, columns): one label map, or a binary mask for each label.
        truths: drawn as lines, likewise; empty without a truth.
        display: values shown black and white.
        caption: a line above the row.
        titles: of each picture, a few lines each; none where the planes need no words.
        foot: a line below the row: which slices and grey values it shows.
        heats: drawn over each plane, (rows, columns) in [0, 1]; empty without any.
    """

    planes: tuple[Plane, ...]
    masks: tuple[Array, ...]
    truths: tuple[Array, ...]
    display: tuple[float, float]
    caption: str
    titles: tuple[str, ...] = ()
    foot: str = ""
    heats: tuple[Array, ...] = ()

    def found(self) -> set[int]:
        """The numbers, from 0, of the labels that the planes show."""
        return {k for picture in (*self.masks, *self.truths) for k, _ in parts(picture)}


def overlay(
    image: Array,
    mask: Array,
    *,
    spacing_mm: tuple[float, ...],
    truth: Array | None = None,
    caption: str = "",
    around_mm: float | None = None,
    at: tuple[int, ...] | None = None,
    display: tuple[float, float] | None = None,
) -> Overlay:
    """Cut the planes of one case.

    Args:
        image: (X, Y, Z) or (X, Y), LPS.
        mask: uint8, drawn filled; a label map (*space) or (1, *space), 0 the background and k + 1 the k-th label, or
            one binary mask a label, (K, *space), as `data.masks.read_mask` gives both.
        spacing_mm: between voxels.
        truth: drawn as lines, in the same form.
        caption: a line above the row.
        around_mm: how much to show around the labels; by default the whole image.
        at: the voxel where the planes meet; by default each goes where most of the labels is to be seen,
            each label by its own greatest area.
        display: values shown black and white; by default percentiles of the image.
    Raises:
        ShapeError: image and masks differ in shape, or are neither 2D nor 3D.
    """
    masks = [stacked(each, image) for each in (mask, truth) if each is not None]
    box, inside = view(image, masks, spacing_mm, around_mm, at)
    planes = tuple(cut_plane(image[box], name, spacing_mm, inside) for name in names(image.ndim))
    cuts = [tuple(cut_mask(each[:, *box], plane.name, inside) for plane in planes) for each in masks]
    limits = display or percentile_display(np.concatenate([np.ravel(plane.picture) for plane in planes]))
    kept = tuple(Plane(p.name, p.picture.copy(), p.size_mm, p.letters) for p in planes)
    places = [slice_in_words(plane.name, box, inside, image) for plane in planes]
    foot = "; ".join(filter(None, [", ".join(filter(None, places)), greys_in_words(limits)]))
    return Overlay(kept, cuts[0], cuts[1] if truth is not None else (), limits, caption, foot=foot)


def slice_in_words(name: str, box: tuple[slice, ...], inside: tuple[int, ...], image: Array) -> str:
    """Name the slice of a plane by its number from 1, and the end that it is counted from; "" of a 2D image.

    Args:
        name: of the plane.
        box: of the image, that is shown.
        inside: the voxel of the box where the planes meet.
        image: the whole of it.
    """
    if name not in FROM:
        return ""
    axis, end = FROM[name]
    return f"{name} slice {box[axis].start + inside[axis] + 1} of {image.shape[axis]} from the {end}"


def greys_in_words(display: tuple[float, float]) -> str:
    """Say which grey values are shown black and white."""
    return f"black at {display[0]:.4g}, white at {display[1]:.4g}"


def view(
    image: Array,
    masks: Sequence[Array],
    spacing_mm: tuple[float, ...],
    around_mm: float | None,
    at: tuple[int, ...] | None,
) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """Choose the part of an image to show and the voxel where its planes meet; as `overlay`, with masks (C, *space)."""
    held = bounds(masks)
    at = at or (widest(masks, held) if held else tuple(side // 2 for side in image.shape))
    box = tuple(slice(0, side) for side in image.shape)
    if held and around_mm is not None:
        box = widened(held, at, image.shape, spacing_mm, around_mm)
    return box, tuple(middle - side.start for middle, side in zip(at, box, strict=True))


def cut_mask(mask: Array, name: str, at: tuple[int, ...]) -> Array:
    """One plane of a mask, (C, *space) -> (C, rows, columns)."""
    return np.stack([cut_plane(channel, name, (1.0,) * channel.ndim, at).picture for channel in mask])


def overlay_sheet(
    path: Path | str,
    rows: Sequence[Overlay],
    *,
    labels: Sequence[str],
    title: str = "",
    footnote: str = "",
    panel_inches: float = 2.6,
) -> Path:
    """Draw cases one under the other, their axial, coronal and sagittal planes side by side, in radiological view.

    Args:
        path: of the PNG.
        rows: made by `overlay`.
        labels: names, in the order of the masks' values; beyond seven the colours come round again.
        title: of the sheet.
        footnote: a line under it.
        panel_inches: width of a column.
    Raises:
        ShapeError: there is no row, or a mask has more labels than names.
    """
    return save(overlay_figure(rows, labels=labels, title=title, footnote=footnote, panel_inches=panel_inches), path)


def overlay_picture(
    rows: Sequence[Overlay], description: str, *, labels: Sequence[str], title: str = ""
) -> page.Picture:
    """The same sheet as a picture inside a page (see `figures.page`); description and captions are its other text."""
    alternative_text = "; ".join([description, *(row.caption for row in rows if row.caption)])
    with tempfile.TemporaryDirectory() as folder:
        sheet = overlay_sheet(Path(folder) / "sheet.png", rows, labels=labels, title=title)
        return page.picture(sheet, alternative_text, narrow=True)


def overlay_figure(
    rows: Sequence[Overlay],
    *,
    labels: Sequence[str],
    title: str = "",
    footnote: str = "",
    panel_inches: float = 2.6,
) -> Figure:
    """Make the sheet of `overlay_sheet` as a figure."""
    found = sorted(set().union(*(row.found() for row in rows)))
    if not rows or (found and found[-1] >= len(labels)):
        what = f"{len(labels)} names for {found[-1] + 1} labels" if rows else "none"
        raise ShapeError(f"an overlay sheet needs at least one row and a name for each label, got {what}")
    columns = max(len(row.planes) for row in rows)
    scales = [scale_of(row, panel_inches) for row in rows]
    heights = [scale * max(p.size_mm[1] for p in row.planes) for row, scale in zip(rows, scales, strict=True)]
    width = LEFT + max(columns, 3) * (panel_inches + GAP) - GAP + RIGHT
    entries = legend_of(found, labels, with_truth=any(row.truths for row in rows))
    places, lines = arrange_legend(entries, width - LEFT - RIGHT)
    start = LEGEND if title else LEGEND_ALONE
    top = start + (LEGEND_LINE * (lines - 1) + UNDER if entries else 0.0)
    titled = [TITLE_LINE * max((words.count("\n") + 1 for words in row.titles), default=0) for row in rows]
    feet = [FOOT_LINE if row.foot else 0.0 for row in rows]
    figure = Figure(
        (width, top + sum(heights) + sum(titled) + sum(feet) + (CAPTION + 0.14) * len(rows) + BOTTOM), facecolor="white"
    )
    frame(figure, LEFT, title, footnote)
    draw_legend(figure, entries, places, start)
    for row, scale, height, more in zip(rows, scales, heights, titled, strict=True):
        text(figure, LEFT, top, row.caption, size=8.5, weight="bold")
        for number, words in enumerate(row.titles):
            text(figure, LEFT + number * (panel_inches + GAP), top + 0.05 + more, words, size=7.5, va="bottom")
        draw_row(figure, row, (top + 0.08 + more, height, panel_inches), scale)
        text(figure, LEFT, top + 0.2 + more + height, row.foot, size=7, color=PALE)
        top += height + more + CAPTION + 0.14 + (FOOT_LINE if row.foot else 0)
    return figure


def draw_row(figure: Figure, row: Overlay, inches: tuple[float, float, float], scale: float) -> None:
    """Draw the planes of a case, each in the middle of its column; inches from the top, height, column."""
    top, height, column = inches
    truths: tuple[Array | None, ...] = row.truths or (None,) * len(row.planes)
    for number, (plane, mask, truth) in enumerate(zip(row.planes, row.masks, truths, strict=True)):
        wide, tall = (side * scale for side in plane.size_mm)
        left = LEFT + number * (column + GAP) + 0.5 * (column - wide)
        axes = place(figure, left, top + 0.5 * (height - tall), wide, tall)
        draw_picture(axes, plane.picture, "image", row.display)
        if row.heats:
            glow(axes, row.heats[number])
        for k, part in parts(mask):
            fill(axes, part, colour(k))
            if truth is None:
                draw_contour(axes, part, colour(k), wide=0.9)
        for k, part in parts(truth) if truth is not None else ():
            draw_contour(axes, part, colour(k), wide=1.5)
        write_letters(axes, plane)
        if number == 0:
            scale_bar(axes, plane)


def glow(axes: Axes, heat: Array) -> None:
    """Colour a picture by a heat map in [0, 1], the more the hotter; where it is 0 the picture is as it was."""
    painted = colormaps[HEAT](heat)
    painted[..., 3] = GLOW * heat
    axes.imshow(painted, interpolation="bilinear", aspect="auto")


def fill(axes: Axes, part: Array, shade: str) -> None:
    """Colour the pixels of a binary mask; the image shines through."""
    painted = np.zeros((*part.shape, 4))
    painted[part] = (*to_rgb(shade), FILL)
    axes.imshow(painted, interpolation="nearest", aspect="auto")


def draw_contour(axes: Axes, part: Array, shade: str, *, wide: float) -> None:
    """Draw the edges of a binary mask exactly where its pixels end."""
    lines = list(edges(part))
    for hue, more in (("#000000b0", 1.0), (shade, 0.0)):  # a halo keeps the line legible on white tissue
        axes.add_collection(LineCollection(lines, colors=hue, linewidths=wide + more, capstyle="round"), autolim=False)


def edges(part: Array) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """The borders between pixels in a mask and pixels out of it, as ((x, y), (x, y))."""
    padded = np.pad(part, 1)
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        yield (column - 0.5, row - 0.5), (column + 0.5, row - 0.5)
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        yield (column - 0.5, row - 0.5), (column - 0.5, row + 0.5)


def parts(picture: Array) -> Iterator[tuple[int, Array]]:
    """The labels to be seen in (C, rows, columns): their number from 0, and where they are."""
    if len(picture) == 1:
        yield from ((int(value) - 1, picture[0] == value) for value in np.unique(picture) if value)
    else:
        yield from ((k, channel > 0) for k, channel in enumerate(picture) if channel.any())


def legend_of(found: Sequence[int], labels: Sequence[str], *, with_truth: bool) -> list[tuple[str, str]]:
    """The entries of the legend: (colour, words); a stroke has its name for a colour."""
    entries = [(colour(k), labels[k]) for k in found]
    return [*entries, *([("fill", "prediction"), ("line", "truth")] if with_truth else [])]


def arrange_legend(entries: Sequence[tuple[str, str]], width: float) -> tuple[list[tuple[float, int]], int]:
    """Find the place of each entry, (inches from the left, line), and the number of lines."""
    places: list[tuple[float, int]] = []
    left, line = 0.0, 0
    for _, words in entries:
        needed = 0.36 + LETTER * len(words)
        if left and left + needed > width:
            left, line = 0.0, line + 1
        places.append((left, line))
        left += needed
    return places, line + 1


def draw_legend(
    figure: Figure, entries: Sequence[tuple[str, str]], places: Sequence[tuple[float, int]], start: float
) -> None:
    """Draw the legend, with its first line so many inches from the top."""
    for (shade, words), (left, line) in zip(entries, places, strict=True):
        top = start + LEGEND_LINE * line
        axes = place(figure, LEFT + left, top - 0.1, 0.14, 0.12)
        style: dict[str, Any] = {"facecolor": shade}
        if shade == "fill":
            style = {"facecolor": PALE, "alpha": FILL}
        elif shade == "line":
            style = {"facecolor": "none", "edgecolor": PALE, "lw": 2.5}
        axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **style))
        text(figure, LEFT + left + 0.19, top, words, size=8)


def scale_of(row: Overlay, panel_inches: float) -> float:
    """Inches that a millimetre takes, so that every plane of a case fits its column."""
    wide, tall = (max(plane.size_mm[axis] for plane in row.planes) for axis in (0, 1))
    return min(panel_inches / wide, TALLEST * panel_inches / tall)


def stacked(mask: Array, image: Array) -> Array:
    """Give a mask its axis of channels: (C, *space)."""
    mask = mask[np.newaxis] if mask.ndim == image.ndim else mask
    if mask.shape[1:] != image.shape:
        raise ShapeError(f"a mask of shape {mask.shape} does not lie on an image of shape {image.shape}")
    return mask
