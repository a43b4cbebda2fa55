"""Numbers as the store keeps them: int16 for CT, float16 with a slope and an intercept for the rest."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREATEST = 2.0**15  # half the range of float16, so that rounding up never overflows


@dataclass(frozen=True)
class Encoding:
    """value = stored * slope + intercept."""

    dtype: str
    slope: float = 1.0
    intercept: float = 0.0

    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Physical units -> what is stored; for CT rounded to 1 HU and clipped to the range of int16."""
        if values.dtype == np.dtype(self.dtype) and self.slope == 1.0 and self.intercept == 0.0:
            return values
        if self.dtype == "int16":
            rounded = np.rint(values) if values.dtype.kind == "f" else values.astype(np.int32)
            hu: NDArray[Any] = np.clip(rounded, -32768, 32767).astype(np.int16)
            return hu
        scaled: NDArray[Any] = (values.astype(np.float64) - self.intercept) / self.slope
        return scaled.astype(np.float16)


def choose_encoding(modality: str, minimum: float, maximum: float) -> Encoding:
    """Choose how a scan is stored.

    float16 has eleven significant bits and overflows at 65504: the slope, a power of two so that it loses nothing,
    brings the greatest value near 2^15; the intercept is the minimum when all values lie far from zero.

    Args:
        modality: CT is stored as int16.
        minimum: least value.
        maximum: greatest value.
    """
    if modality == "CT":
        return Encoding("int16")
    intercept = minimum if min(abs(minimum), abs(maximum)) > maximum - minimum else 0.0
    greatest = max(abs(minimum - intercept), abs(maximum - intercept))
    return Encoding("float16", 2.0 ** math.ceil(math.log2(greatest / GREATEST)), intercept)
