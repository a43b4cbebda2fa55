"""Where to cut the planes of a labelled image, and how much of it to show."""

from collections.abc import Sequence

import numpy as np

from modelsgenesis.core.rounding import rounded_up
from modelsgenesis.figures.planes import Array


def widest(masks: Sequence[Array], box: tuple[slice, ...]) -> tuple[int, ...]:
    """On each axis the plane that shows most of the labels, each by its own greatest area, so that small ones count."""
    at = []
    for axis, side in enumerate(box):
        shares = np.zeros(side.stop - side.start)
        for channel in (channel[box] for mask in masks for channel in mask):
            areas = [np.bincount(plane.ravel(), minlength=256)[1:] for plane in np.moveaxis(channel, axis, 0)]
            shares += (np.array(areas) / np.maximum(np.max(areas, axis=0), 1)).sum(1)  # (planes, labels) -> (planes,)
        at.append(side.start + int(np.argmax(shares)))
    return tuple(at)


def bounds(masks: Sequence[Array]) -> tuple[slice, ...] | None:
    """The box around all labels; None where there is none."""
    labelled = np.zeros(masks[0].shape[1:], bool)
    for channel in (channel for mask in masks for channel in mask):
        labelled |= channel > 0
    box = []
    for axis in range(labelled.ndim):
        there = np.flatnonzero(labelled.any(tuple(a for a in range(labelled.ndim) if a != axis)))
        if not len(there):
            return None
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(box)


def widened(
    box: tuple[slice, ...], at: tuple[int, ...], size: tuple[int, ...], spacing_mm: tuple[float, ...], more_mm: float
) -> tuple[slice, ...]:
    """A box, and the voxel where the planes meet, with so many millimetres around, as far as the image goes."""
    wide = []
    for held, middle, side, step in zip(box, at, size, spacing_mm, strict=True):
        more = rounded_up(more_mm / step)
        wide.append(slice(max(0, min(held.start, middle) - more), min(side, max(held.stop, middle + 1) + more)))
    return tuple(wide)
