"""From physical values to [0, 1], all that a network sees: a window, the bit depth, percentiles or z-scores."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity_statistics import outside_of
from modelsgenesis.data.problems import UnreadableError

Values = NDArray[Any]
LEAST_STD = 1e-8  # as in nnU-Net
DEPTHS = (8, 10, 12, 14, 16)  # bits a pixel that detectors and files have


class Described(Protocol):
    """The statistics of a scan that scaling needs; a `Scan` of a store and `IntensityStatistics` have them."""

    @property
    def minimum(self) -> float:
        """The least value."""
        ...

    @property
    def maximum(self) -> float:
        """The greatest value."""
        ...

    @property
    def percentiles(self) -> Mapping[float, float]:
        """Percentiles of the foreground, as {percentile: value}."""
        ...

    @property
    def mean(self) -> float:
        """The mean within the box around all that is not 0."""
        ...

    @property
    def std(self) -> float:
        """The standard deviation within that box; 0 when it was not measured."""
        ...

    @property
    def zeros(self) -> float:
        """The share of that box that is 0 and that nothing else encloses."""
        ...

    @property
    def levels(self) -> tuple[float, float] | None:
        """The values of black and white by its bit depth; None where its header does not say."""
        ...


@dataclass(frozen=True)
class Window:
    """Clip to a window in Hounsfield units, then to [0, 1]: for CT.

    Args:
        low_hu: becomes 0.
        high_hu: becomes 1.
    Raises:
        DataError: the window does not rise.
    Source: Zhou et al. 2019 clip chest CT to [-1000, 1000] HU.
    """

    low_hu: float = -1000.0
    high_hu: float = 1000.0

    def __post_init__(self) -> None:
        if not self.low_hu < self.high_hu:
            given = f"({self.low_hu:g}, {self.high_hu:g})"
            raise DataError(f"window_hu must rise, got {given}; swap the two numbers")

    def limits(self, scan: Described) -> tuple[float, float]:
        """The values, in the scan's units, that become 0 and 1."""
        return self.low_hu, self.high_hu

    def scale(self, values: Values, scan: Described) -> NDArray[np.float32]:
        """(C, X, Y, Z) in HU -> the same shape, float32 in [0, 1]; `values` stay untouched."""
        return _to_unit(values, *self.limits(scan))


@dataclass(frozen=True)
class Percentiles:
    """Clip to percentiles of the scan's own foreground, then to [0, 1]: for MRI and anything without fixed units.

    Args:
        low: percentile that becomes 0, in [0, 100].
        high: percentile that becomes 1, in [0, 100].
    Raises:
        DataError: the percentiles do not rise or leave [0, 100].
    """

    low: float = 0.5
    high: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            given = f"({self.low:g}, {self.high:g})"
            raise DataError(f"percentiles must rise within 0..100, got {given}; the usual pair is (0.5, 99.5)")

    def limits(self, scan: Described) -> tuple[float, float]:
        """The values that become 0 and 1, in the scan's units; from the manifest, no voxel is read.

        A scan whose two percentiles coincide (nearly all its foreground is one value) uses its whole range instead.
        """
        known = sorted(scan.percentiles)
        values = [scan.percentiles[p] for p in known]
        low, high = (float(np.interp(p, known, values)) for p in (self.low, self.high))
        return (low, high) if low < high else (scan.minimum, scan.maximum)

    def scale(self, values: Values, scan: Described) -> NDArray[np.float32]:
        """(C, X, Y, Z) in the scan's units -> the same shape, float32 in [0, 1]; `values` stay untouched."""
        return _to_unit(values, *self.limits(scan))


@dataclass(frozen=True)
class ZScore:
    """Clip to a range of standard deviations around the scan's own mean, then to [0, 1]: nnU-Net's z-score, clipped.

    The z-score itself is, within the range, low + (high - low) * what `scale` gives.

    Args:
        low: standard deviations above the mean that become 0; most often negative.
        high: those that become 1.
        masked: mean and deviation are of what is not 0, with its holes, and the rest is given that mean, as nnU-Net
            does where much is 0 (`use_mask_for_norm`).
    Raises:
        DataError: the range does not rise.
    """

    low: float = -2.0
    high: float = 5.0
    masked: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise DataError(f"z-scores must rise, got ({self.low:g}, {self.high:g}); swap the two numbers")

    def limits(self, scan: Described) -> tuple[float, float]:
        """The values that become 0 and 1, in the scan's units; from the manifest, no voxel is read.

        Raises:
            DataError: the store is too old to know.
        """
        return self._around(*self.moments(scan))

    def scale(self, values: Values, scan: Described, outside: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """(C, X, Y, Z) in the scan's units -> the same shape, float32 in [0, 1]; `values` stay untouched.

        Args:
            values: of the whole scan or of a part of it.
            scan: its statistics.
            outside: where the mask leaves voxels out, (X, Y, Z); by default as if the values were the whole scan.
        """
        scaled = _to_unit(values, *self.limits(scan))
        if self.masked:
            scaled[:, outside_of(values) if outside is None else outside] = np.clip(
                -self.low / (self.high - self.low), 0, 1
            )
        return scaled

    def measured(self, values: Values) -> tuple[Values, list[tuple[float, float]]]:
        """The channels of a whole image, with their mean wherever the mask leaves voxels out, and the limits of each.

        Args:
            values: (C, *space), finite.
        """
        outside = outside_of(values) if self.masked else np.zeros(values.shape[1:], np.bool_)
        filled, limits = values.astype(np.float32), []
        for channel in filled:
            within = channel[~outside].astype(np.float64)
            limits.append(self._around(float(within.mean()), max(float(within.std()), LEAST_STD)))
            channel[outside] = within.mean()
        return filled, limits

    def _around(self, mean: float, std: float) -> tuple[float, float]:
        return mean + self.low * std, mean + self.high * std

    def moments(self, scan: Described) -> tuple[float, float]:
        """Mean and standard deviation that the scan's z-score is made with, in its units.

        Raises:
            DataError: the store is too old to know.
        """
        mean, std, zeros = scan.mean, scan.std, scan.zeros
        if std == 0:
            raise DataError(
                "the scans' mean and deviation are not known, since their store was prepared by an older version; "
                "prepare them again, into another folder"
            )
        if not self.masked or zeros == 0:
            return mean, std
        others = mean / (1 - zeros)
        return others, math.sqrt(max((std**2 + mean**2) / (1 - zeros) - others**2, std**2 * 1e-12))


@dataclass(frozen=True)
class MinMax:
    """Scale the scan's least value to 0 and its greatest to 1: for pictures in bytes, and where a paper did so.

    One bright voxel darkens all others; `Percentiles` does not have that weakness.
    """

    def limits(self, scan: Described) -> tuple[float, float]:
        """The values that become 0 and 1, in the scan's units; from the manifest, no voxel is read."""
        return scan.minimum, scan.maximum

    def scale(self, values: Values, scan: Described) -> NDArray[np.float32]:
        """(C, X, Y, Z) in the scan's units -> the same shape, float32 in [0, 1]; `values` stay untouched."""
        return _to_unit(values, *self.limits(scan))


@dataclass(frozen=True)
class BitDepth:
    """Scale black to 0 and the greatest grey level of the bit depth to 1: for radiographs and other pictures.

    The depth is that of the header: of a radiograph in DICOM the bits stored, of a PNG its significant bits unless a
    value has more. Else it is the least of 8, 10, 12, 14 and 16 bits that holds the image's greatest value: a file of
    16 bits often holds 12.
    """

    def limits(self, scan: Described) -> tuple[float, float]:
        """The values that become 0 and 1, in the scan's units.

        Raises:
            UnreadableError: it has values below 0 or beyond 16 bits.
        """
        if scan.levels is not None:
            return _whole_bytes(scan) if scan.maximum > scan.levels[1] else scan.levels
        levels = next((2.0**bits - 1 for bits in DEPTHS if scan.maximum < 2**bits), None)
        if levels is None or scan.minimum < 0:
            given = f"its values are {scan.minimum:g} to {scan.maximum:g}"
            raise UnreadableError(f"a picture's grey levels lie in 0..65535, {given}", "give pictures, no scans")
        return 0.0, levels

    def scale(self, values: Values, scan: Described) -> NDArray[np.float32]:
        """(C, *space) in grey levels -> the same shape, float32 in [0, 1]; `values` stay untouched."""
        return _to_unit(values, *self.limits(scan))


def _whole_bytes(scan: Described) -> tuple[float, float]:
    """Black and white of a PNG whose few significant bits were spread over all that it has, as its standard says."""
    return 0.0, 255.0 if scan.maximum < 256 else 65535.0


Intensity = Window | Percentiles | ZScore | MinMax | BitDepth


def intensity_in_words(intensity: Intensity) -> str:
    """Describe which values become 0 and 1."""
    if isinstance(intensity, Window):
        return f"Hounsfield units from {intensity.low_hu:g} to {intensity.high_hu:g} become 0 to 1"
    if isinstance(intensity, ZScore):
        return f"z-scores from {intensity.low:g} to {intensity.high:g} become 0 to 1"
    if isinstance(intensity, MinMax):
        return "the least and the greatest value of a scan become 0 and 1"
    if isinstance(intensity, BitDepth):
        return "grey levels from black to the greatest of the picture's bit depth become 0 to 1"
    return f"percentiles {intensity.low:g} and {intensity.high:g} of the foreground become 0 and 1"


def _to_unit(values: Values, low: float, high: float) -> NDArray[np.float32]:
    scaled = np.subtract(values, np.float32(low), dtype=np.float32)
    scaled *= np.float32(1.0 / (high - low))
    return np.clip(scaled, np.float32(0), np.float32(1), out=scaled)
