"""Which grey values a picture shows."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WINDOWS_HU = {"lung": (-1350.0, 150.0), "soft tissue": (-160.0, 240.0)}
# What a viewer offers beside them, which a reader of CT knows by name.
VIEWER_HU = {**WINDOWS_HU, "bone": (-500.0, 1300.0), "brain": (0.0, 80.0)}
LUNG_HU = (-980.0, -600.0)


def ct_window(values: Array, range_hu: tuple[float, float]) -> str:
    """Choose the window by content: lung when at least a seventh of the voxels lie in its range of HU.

    Args:
        values: any shape, in the units that map 0 to 1 onto `range_hu`.
        range_hu: HU at 0 and at 1.
    """
    low, high = range_hu
    hu = values * (high - low) + low
    return "lung" if float(np.mean((hu > LUNG_HU[0]) & (hu < LUNG_HU[1]))) > 1 / 7 else "soft tissue"


def ct_display(window: str, range_hu: tuple[float, float]) -> tuple[float, float]:
    """Turn a window's name into the values shown black and white, in the units of an image in [0, 1].

    Example: >>> ct_display("soft tissue", (-1000, 1000))
    (0.42, 0.62)
    """
    low, high = range_hu
    black, white = ((hu - low) / (high - low) for hu in WINDOWS_HU[window])
    return black, white


def percentile_display(values: Array, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Black and white by percentiles of what is not NaN; a flat image gets a width of 1 around its value."""
    black, white = (float(v) for v in np.nanpercentile(values, (low, high)))
    return (black, white) if white > black else (black - 0.5, black + 0.5)
