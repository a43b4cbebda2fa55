"""Fingerprints: an image's size, grey levels and bright places identify it however it is saved."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity_statistics import BACKGROUND, PERCENTILES
from modelsgenesis.data.problems import UnreadableError

# By which two fingerprints may differ and be of one image. Copies of 8 bits a voxel and JPEGs of JPEGs have levels
# 0.003 to 0.008 apart, as a rule, and positions 0.0003. Of 350,000 pairs of strangers of one size, chest X-rays,
# hippocampi and nodules, the closest differ by 1.99 times one of the limits.
ALIKE = 1e-2
NEAR = 1e-3

FEWEST_LEVELS = 5  # different levels, below which many images look the same
BINS = 4096
MOST_WHOLE = 2**20  # values that whole numbers may run over and be counted as they are
MIDDLE = PERCENTILES.index(50.0)


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of one image; nothing in it depends on the order or direction of axes, or on the values' unit.

    Attributes:
        size: rising.
        levels: percentiles of what is no background, as shares of the way from the least to the greatest.
        positions: how far from the middle the brightness lies along each axis, rising, and how far it spreads, rising,
            as shares of the side.
        shape_hash: a hash of where values exceed the least one, for images of too few levels; otherwise "".
    """

    size: tuple[int, ...]
    levels: tuple[float, ...]
    positions: tuple[float, ...] = ()
    shape_hash: str = ""

    @property
    def identifies(self) -> bool:
        """Whether its levels identify it; those of masks do not."""
        return len(set(self.levels)) >= FEWEST_LEVELS

    def __str__(self) -> str:
        """One entry of the manifest."""
        text = self.shape_hash or " ".join(f"{share:.5f}" for share in (*self.levels, *self.positions))
        return f"{'x'.join(map(str, self.size))} {text}"

    @classmethod
    def read(cls, text: str) -> "Fingerprint":
        """Read a fingerprint from the text that `str` gives.

        Raises:
            DataError: it is no fingerprint.
        """
        try:
            sides, *shares = text.split()
            size = tuple(int(side) for side in sides.split("x"))
            if len(shares) == 1:
                return cls(size, (), shape_hash=shares[0])
            known = [float(share) for share in shares]
            if len(known) != len(PERCENTILES) + 2 * len(size):
                raise ValueError(f"{len(known)} shares")
        except ValueError as error:
            raise DataError(f"the manifest's fingerprint {text!r} is broken ({error}); prepare again") from error
        return cls(size, tuple(known[: len(PERCENTILES)]), tuple(known[len(PERCENTILES) :]))


def fingerprint_of(values: NDArray[Any]) -> Fingerprint:
    """Take the fingerprint of an image: all voxels are counted, so that a turned one gives the same.

    Args:
        values: (C, *space), finite.
    Raises:
        UnreadableError: all values are equal.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise UnreadableError(f"every voxel is {low:g}", "leave it out: it shows nothing")
    counts = _histogram(values, low, high)
    bright = int(np.searchsorted(counts.cumsum(), 0.99 * counts.sum()))
    counts[: int(BACKGROUND * bright) + 1] = 0
    ranks = np.array(PERCENTILES) / 100 * (counts.sum() - 1)
    levels = _shares(np.searchsorted(counts.cumsum(), ranks, side="right"))
    known = Fingerprint(tuple(sorted(values.shape[1:])), levels, _positions(values, low, high))
    return known if known.identifies else Fingerprint(known.size, (), shape_hash=_shape_hash(values > low))


def _shares(values: NDArray[Any]) -> tuple[float, ...]:
    """Rising values as shares of the way from the first to the last; zeros when they are one."""
    width = values[-1] - values[0]
    return tuple(((values - values[0]) / (width or 1)).tolist())


def _positions(values: NDArray[Any], low: float, high: float) -> tuple[float, ...]:
    """How far from the middle the brightness lies, and how far it spreads, over the axes in rising order."""
    offsets, spreads = [], []
    for profile in _profiles(values, max(abs(low), abs(high))):
        bright = profile - low * (values.size / len(profile))
        weights, at = bright / bright.sum(), (np.arange(len(profile)) + 0.5) / len(profile)
        centre = float(weights @ at)
        offsets.append(abs(centre - 0.5))
        spreads.append(float(np.sqrt(weights @ (at - centre) ** 2)))
    return (*sorted(offsets), *sorted(spreads))


def _shape_hash(inside: NDArray[np.bool_]) -> str:
    """Hash how many voxels of it lie in each plane, along each axis from whichever end gives the lesser list."""
    counts = [profile.astype(int).tolist() for profile in _profiles(inside)]
    return hashlib.sha256(repr(sorted(min(each, each[::-1]) for each in counts)).encode()).hexdigest()[:16]


def _histogram(values: NDArray[Any], low: float, high: float) -> NDArray[np.int64]:
    """How many voxels lie in each of `BINS` equal steps from the least to the greatest value."""

    def bins_of(offsets: NDArray[Any]) -> NDArray[np.intp]:
        return np.rint(offsets * ((BINS - 1) / (high - low))).astype(np.intp)

    counts = np.zeros(BINS, np.int64)
    if values.dtype.kind not in "iu" or high - low >= MOST_WHOLE:
        for plane in _planes(values):
            counts += np.bincount(bins_of(plane.astype(np.float64) - low).ravel(), minlength=BINS)
        return counts
    each = np.zeros(int(high - low) + 1, np.int64)  # whole numbers are counted first, and their bins found once
    for plane in _planes(values):
        each += np.bincount((plane.astype(np.int64) - int(low)).ravel(), minlength=len(each))
    np.add.at(counts, bins_of(np.arange(len(each))), each)
    return counts


def _planes(values: NDArray[Any]) -> NDArray[Any]:
    """The voxels plane by plane, in the order in which they lie in memory, which is several times faster."""
    return values.transpose(_slowest(values))


def _slowest(values: NDArray[Any]) -> list[int]:
    """The axes in the order of their strides in memory, the longest first, and last those of a single place."""
    return sorted(range(values.ndim), key=lambda axis: (values.shape[axis] == 1, -abs(values.strides[axis])))


def _profiles(values: NDArray[Any], greatest: float = np.inf) -> list[NDArray[np.float64]]:
    """The sum over each plane, along each axis of (C, *space).

    Args:
        values: to sum up.
        greatest: of whole numbers, the greatest but for their signs: few enough are added up in their own, short type.
    """
    step = int(np.iinfo(values.dtype).max // max(greatest, 1)) if values.dtype.kind in "iu" else 0
    if step < 2:
        return [_sum_over(values, axis) for axis in range(1, values.ndim)]
    planes = _planes(values)  # sums of whole numbers are exact in any order
    lows = range(0, len(planes), step)
    through = sum(planes[low : low + step].sum(axis=0, dtype=values.dtype).astype(np.float64) for low in lows)
    each = [np.array([_sum_of(plane.reshape(-1), step) for plane in planes])]
    each += [_sum_over(np.asarray(through), axis) for axis in range(values.ndim - 1)]
    return [each[place] for place in np.argsort(_slowest(values))[1:]]


def _sum_over(values: NDArray[Any], axis: int) -> NDArray[np.float64]:
    """The sums over all axes but one."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    return np.asarray(values.sum(axis=others, dtype=np.float64))


def _sum_of(flat: NDArray[Any], step: int) -> float:
    """The sum of whole numbers, so many added up in their own type."""
    whole = flat.size // step * step
    parts = flat[:whole].reshape(step, -1).sum(axis=0, dtype=flat.dtype)
    return float(parts.sum(dtype=np.int64) + flat[whole:].sum(dtype=np.int64))


class Fingerprints:
    """Many fingerprints to look one up in, by size and then by the middle of their levels.

    Args:
        fingerprints: of any images.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        by_size: dict[tuple[int, ...], list[tuple[float, ...]]] = defaultdict(list)
        self._shape_hashes: set[tuple[tuple[int, ...], str]] = set()
        for known in fingerprints:
            if known.identifies:
                by_size[known.size].append((*known.levels, *known.positions))
            else:
                self._shape_hashes.add((known.size, known.shape_hash))
        self._by_size = {size: np.array(sorted(some, key=lambda each: each[MIDDLE])) for size, some in by_size.items()}

    def hold(self, other: Fingerprint) -> bool:
        """Whether one of them is of the same image, perhaps with its values shifted or scaled or its axes turned."""
        if not other.identifies:
            return (other.size, other.shape_hash) in self._shape_hashes
        if other.size not in self._by_size:
            return False
        known = self._by_size[other.size]  # (N, levels and positions)
        middle = other.levels[MIDDLE]
        first, end = np.searchsorted(known[:, MIDDLE], [middle - ALIKE, middle + ALIKE])
        apart = np.abs(known[first:end] - (*other.levels, *other.positions))
        return bool((apart < [ALIKE] * len(other.levels) + [NEAR] * len(other.positions)).all(axis=1).any())
