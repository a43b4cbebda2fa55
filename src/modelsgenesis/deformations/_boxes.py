"""Drawing the boxes of the two paintings."""

from collections.abc import Callable

import numpy as np

MARGIN = 3  # voxels between a box and every border
AGAIN = 0.95  # the chance that one more box is tried
MOST = 5  # boxes

Box = tuple[int, ...]  # low corner, then end corner


def draw_box(size: tuple[int, ...], rng: np.random.Generator, draw_side: Callable[[int], int]) -> Box:
    """Draw one box, uniformly placed, MARGIN voxels inside every border or as far as a short side allows."""
    sides = tuple(draw_side(side) for side in size)
    margins = tuple(min(MARGIN, (whole - side) // 2) for whole, side in zip(size, sides, strict=True))
    low = tuple(
        int(rng.integers(margin, whole - side - margin, endpoint=True))
        for whole, side, margin in zip(size, sides, margins, strict=True)
    )
    return (*low, *(start + side for start, side in zip(low, sides, strict=True)))


def goes_on(rng: np.random.Generator) -> bool:
    """Whether one more box is tried."""
    return bool(rng.random() < AGAIN)
