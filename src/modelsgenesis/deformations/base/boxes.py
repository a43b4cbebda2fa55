"""Drawing the boxes of the two paintings."""

from collections.abc import Callable
from itertools import count

import numpy as np

MARGIN = 3  # voxels between a box and every border
AGAIN = 0.95  # the chance that one more box is tried
MOST = 5  # boxes

Box = tuple[int, ...]  # low corner, then end corner
Sides = tuple[tuple[int, int], ...]  # for each axis of space, the least and the greatest side of a box


def draw_boxes(size: tuple[int, ...], sides: Sides, num_sure: int, rng: np.random.Generator) -> tuple[Box, ...]:
    """Draw up to five boxes, uniform in side and place, MARGIN voxels inside every border or as a short side allows.

    Args:
        size: sides of the image.
        sides: least and greatest side of a box on each axis, both included.
        num_sure: this many are drawn without trying.
        rng: all of it is drawn at once, so that the count of numbers taken does not depend on them.
    """
    axes = len(size)
    numbers = rng.random((MOST, 1 + 2 * axes)).tolist()
    boxes: list[Box] = []
    for again, *rest in numbers:
        if len(boxes) >= num_sure and again >= AGAIN:
            break
        box_sides = [least + int(u * (most - least + 1)) for u, (least, most) in zip(rest[:axes], sides, strict=True)]
        lows = []
        for u, whole, side in zip(rest[axes:], size, box_sides, strict=True):
            margin = min(MARGIN, (whole - side) // 2)
            lows.append(margin + int(u * (whole - side - 2 * margin + 1)))
        boxes.append((*lows, *(low + side for low, side in zip(lows, box_sides, strict=True))))
    return tuple(boxes)


def least_side(greatest_box: Callable[[int], int]) -> int:
    """The least side of an image that holds its greatest box and both margins, from 6 on."""
    return next(side for side in count(6) if all(greatest_box(s) + 2 * MARGIN <= s for s in range(side, side + 21)))
