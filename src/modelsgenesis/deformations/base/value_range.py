"""The value range a deformation works in: given, or read off the image."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from modelsgenesis.core.errors import DataError, GenesisError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Percentiles:
    """Take the range from each image: from its `low`-th to its `high`-th percentile, over all channels."""

    low: float = 0.5
    high: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise GenesisError(f"percentiles must rise within 0..100, got ({self.low}, {self.high})")

    def ranks(self, num_values: int) -> tuple[int, int]:
        """The places, counted from 0, of the two values in the sorted image."""
        return round(self.low / 100 * (num_values - 1)), round(self.high / 100 * (num_values - 1))

    def of(self, array: Array) -> tuple[float, float]:
        """Read the range off an image; the values are voxels of it, so every device reads the same."""
        ranks = self.ranks(array.size)
        flat = np.partition(array, ranks, axis=None)
        return float(flat[ranks[0]]), float(flat[ranks[1]])


FAR = 100  # times the range that is given: images which span more are in other units

Range = tuple[float, float] | Percentiles


class Span(NamedTuple):
    """The range of one image, as float32 numbers."""

    low: np.float32
    high: np.float32
    least: np.float32  # of the image
    greatest: np.float32

    def to_unit(self, array: Array) -> Array:
        """Bring the given range to [0, 1], in a new array."""
        return np.asarray((array - self.low) / (self.high - self.low), dtype=np.float32)

    def from_unit(self, unit: Array) -> Array:
        """Bring [0, 1] back to the given range, and what is now beyond both it and the image to the nearer end."""
        grey = self.low + unit * (self.high - self.low)
        least, greatest = min(self.low, self.least), max(self.high, self.greatest)
        return np.asarray(np.clip(grey, least, greatest), dtype=np.float32)


def check_range(range: Range) -> None:
    """Refuse a range that does not rise."""
    if isinstance(range, Percentiles):
        return
    if len(range) != 2 or not all(math.isfinite(end) for end in range) or not range[0] < range[1]:
        raise GenesisError(f"range must be (low, high) with low < high, got {range}; or Percentiles() of the image")


def span_of(array: Array, range: Range) -> Span:
    """Find the range of one image and its extremes.

    Raises:
        DataError: the image holds NaN or infinity, or nothing.
    """
    if array.size == 0:
        raise DataError(f"the image is empty, of shape {array.shape}")
    least, greatest = array.min(), array.max()
    if not (np.isfinite(least) and np.isfinite(greatest)):
        raise DataError("the image holds NaN or infinity; replace them before deforming, for example by the air value")
    low, high = range.of(array) if isinstance(range, Percentiles) else range
    return Span(np.float32(low), np.float32(high), least, greatest)


def check_units(extent: float, range: Range) -> None:
    """Refuse an image of which nearly all would be cut off at the ends of the range, as HU are at 0 and 1.

    Args:
        extent: of the image, from its least value to its greatest.
        range: that was given.
    Raises:
        DataError: the extent is more than a hundred times the range's.
    """
    if not isinstance(range, Percentiles) and extent > FAR * (range[1] - range[0]):
        raise DataError(
            f"the image's values span {extent:.4g}, and the range given is {range[0]:g} to {range[1]:g}; say what they "
            "are, such as genesis(range=(-1000, 1000)) for HU or range=Percentiles(), or scale the image first"
        )


def check_interval(name: str, interval: tuple[float, float], least: float, greatest: float = math.inf) -> None:
    """Refuse a setting that is no rising pair within [least, greatest]."""
    if len(interval) != 2 or not least <= interval[0] <= interval[1] <= greatest:
        raise GenesisError(f"{name} must be a pair that rises within [{least:g}, {greatest:g}], got {interval}")
