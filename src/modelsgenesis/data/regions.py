"""Regions that may leave the case they are cut from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def overlap(
    whole: Sequence[int], lower: Sequence[int], size: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a region that may leave a case lies in the case, and where that part lies in the region."""
    ends = [(max(0, low), min(side, low + wanted)) for side, low, wanted in zip(whole, lower, size, strict=True)]
    inside = tuple(slice(first, max(first, end)) for first, end in ends)
    place = tuple(slice(s.start - low, s.stop - low) for s, low in zip(inside, lower, strict=True))
    return inside, place


def embedded(region: NDArray[Any], place: tuple[slice, ...], size: Sequence[int]) -> NDArray[Any]:
    """Put a region, (C, *region), into zeros, (C, *size), unless it fills them."""
    if region.shape[1:] == tuple(size):
        return region
    whole = np.zeros((len(region), *size), region.dtype)
    whole[(slice(None), *place)] = region
    return whole
