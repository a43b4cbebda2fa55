"""Rows of an overlay sheet that compare: one slice under several masks, or the middle slices of several images."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from modelsgenesis.figures.overlay import Overlay, cut_mask, greys_in_words, overlay, slice_in_words, stacked, view
from modelsgenesis.figures.planes import Array, Plane, cut_plane, names
from modelsgenesis.figures.windows import percentile_display


def side_by_side(
    image: Array,
    masks: Sequence[Array],
    truth: Array,
    *,
    spacing_mm: tuple[float, ...],
    titles: Sequence[str],
    caption: str = "",
    around_mm: float | None = None,
    display: tuple[float, float] | None = None,
) -> Overlay:
    """Cut the one slice that says most, of truth and masks together, and show it once for each of several masks.

    Args:
        image: as of `overlay`.
        masks: one a picture, drawn filled.
        truth: drawn as a line on each.
        spacing_mm: between voxels.
        titles: of the pictures.
        caption: a line above the row.
        around_mm: as of `overlay`.
        display: as of `overlay`.
    Raises:
        ShapeError: image and masks differ in shape, or are neither 2D nor 3D.
    """
    every = [stacked(each, image) for each in (truth, *masks)]
    box, inside = view(image, every, spacing_mm, around_mm, None)
    planes = [cut_plane(image[box], name, spacing_mm, inside) for name in names(image.ndim)]
    cuts = [[cut_mask(each[:, *box], plane.name, inside) for each in every] for plane in planes]
    shares = [
        sum(float((each > 0).any(0).mean()) for each in some) * plane.size_mm[0] * plane.size_mm[1]
        for plane, some in zip(planes, cuts, strict=True)
    ]
    chosen = int(np.argmax(shares))
    plane, (true, *found) = planes[chosen], cuts[chosen]
    kept = Plane(plane.name, plane.picture.copy(), plane.size_mm, plane.letters)
    limits = display or percentile_display(kept.picture)
    foot = "; ".join(filter(None, [slice_in_words(plane.name, box, inside, image), greys_in_words(limits)]))
    return Overlay((kept,) * len(found), tuple(found), (true,) * len(found), limits, caption, tuple(titles), foot)


def heat_maps(
    image: Array,
    heats: Array,
    *,
    spacing_mm: tuple[float, ...],
    titles: Sequence[str],
    caption: str = "",
    display: tuple[float, float] | None = None,
) -> list[Overlay]:
    """Rows of an image and heat maps over it: of a picture side by side, of a volume the planes at each map's maximum.

    Args:
        image: (X, Y, Z) or (X, Y), LPS.
        heats: (K, *space), K of 1 or more; what is below 0 is not drawn, the greatest of each map is the hottest.
        spacing_mm: between voxels.
        titles: of the maps.
        caption: a line above each row.
        display: values shown black and white; None for percentiles.
    """
    rows = []
    for heat, title in zip(heats, titles, strict=True):
        strength = np.maximum(heat, 0, dtype=np.float32) / max(float(heat.max()), 1e-6)
        at = tuple(int(place) for place in np.unravel_index(int(np.argmax(heat)), heat.shape))
        nothing = np.zeros(image.shape, np.uint8)
        row = overlay(image, nothing, spacing_mm=spacing_mm, at=at, display=display)
        hot = tuple(cut_plane(strength, plane.name, spacing_mm, at).picture for plane in row.planes)
        rows.append(replace(row, heats=hot, caption=f"{caption}   heat map: {title}"))
    if image.ndim > 2:
        return rows
    first, number = rows[0], 1 + len(rows)
    hot = (np.zeros_like(first.heats[0]), *(row.heats[0] for row in rows))
    every = (first.planes * number, first.masks * number, (), first.display)
    return [Overlay(*every, caption, ("", *titles), first.foot, hot)]


def middles(
    images: Sequence[Array],
    *,
    spacings_mm: Sequence[tuple[float, ...]],
    displays: Sequence[tuple[float, float] | None],
    titles: Sequence[str],
    caption: str = "",
) -> Overlay:
    """The middle slice of each of several images, side by side, each in its own window, without masks.

    Args:
        images: (X, Y, Z) or (X, Y), LPS.
        spacings_mm: between voxels, of each.
        displays: values shown black and white, of each; None for percentiles.
        titles: of the pictures.
        caption: a line above the row.
    """
    planes, shown_in = [], []
    for image, spacing_mm, display in zip(images, spacings_mm, displays, strict=True):
        plane = cut_plane(image, names(image.ndim)[0], spacing_mm)
        low, high = display or percentile_display(plane.picture)
        shown = (plane.picture.astype(np.float32) - low) / (high - low)
        shown_in.append(greys_in_words((low, high)))
        planes.append(Plane(plane.name, shown, plane.size_mm, plane.letters))
    nothing = tuple(np.zeros((1, *plane.picture.shape), np.uint8) for plane in planes)
    foot = "; ".join([*(["the middle slice of each"] if images[0].ndim > 2 else []), *shown_in])
    return Overlay(tuple(planes), nothing, (), (0.0, 1.0), caption, tuple(titles), foot)
