"""Numbers that describe a volume's values: range, background, percentiles of the foreground."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.data.scan import PERCENTILES

MOST_SAMPLED = 2_000_000  # voxels that percentiles are taken from
BACKGROUND = 0.05  # of the way from the minimum to the 99th percentile


@dataclass(frozen=True)
class Summary:
    """What the manifest says about a volume's values, in its units."""

    minimum: float
    maximum: float
    foreground: float
    percentiles: dict[float, float]


def summarise(values: NDArray[Any]) -> Summary:
    """Describe values.

    Foreground is what lies above the background: above 5 % of the way from the minimum to the 99th percentile, so
    that air and empty borders do not count and a tight crop loses next to nothing. Minimum and maximum are exact;
    percentiles come from at most two million voxels, evenly spread.

    Args:
        values: of any shape, finite, not all equal.
    """
    minimum, maximum = float(values.min()), float(values.max())
    flat = values.ravel(order="K") if values.flags.forc else values.T.ravel()
    sample = np.sort(flat[:: max(1, -(-flat.size // MOST_SAMPLED))])
    threshold = minimum + BACKGROUND * (float(sample[int(0.99 * (sample.size - 1))]) - minimum)
    kept = sample[np.searchsorted(sample, threshold, side="right") :]
    if kept.size == 0:
        kept = sample[-1:]
    places = [round(p / 100 * (kept.size - 1)) for p in PERCENTILES]
    percentiles = {p: float(kept[place]) for p, place in zip(PERCENTILES, places, strict=True)}
    return Summary(minimum, maximum, threshold, percentiles)
