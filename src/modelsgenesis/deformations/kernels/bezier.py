"""The non-linear map as a small table: a cubic Bezier curve, read at evenly spaced grey levels."""

from typing import Any

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled

NUM_LEVELS = 1024  # of the table, 8 KiB: it stays in the fastest cache; the map is then exact to 1e-6 on average
NUM_POINTS = 2048  # on the curve, joined by straight lines


@compiled
def bezier_table(a: Any, b: Any, c: Any, d: Any, rising: Any, low: Any, high: Any) -> Any:
    """Tabulate the map of the curve (0,0), (a,b), (c,d), (1,1) at even steps of [0, 1].

    Rising, it is the curve itself, x(t) -> y(t); falling, it sends x(t) to y(1 - t).

    Returns:
        float32 (2, NUM_LEVELS): grey levels in [low, high], and what leads from each to the next.
    """
    table = np.zeros((2, NUM_LEVELS), np.float32)
    x_before, y_before = 0.0, 0.0 if rising else 1.0
    level = 0
    for point in range(1, NUM_POINTS + 1):
        t = point / NUM_POINTS
        s = 1.0 - t
        x = 3.0 * s * s * t * a + 3.0 * s * t * t * c + t * t * t
        if not rising:
            s, t = t, s
        y = 3.0 * s * s * t * b + 3.0 * s * t * t * d + t * t * t
        while level < NUM_LEVELS and level <= x * (NUM_LEVELS - 1):
            step = x - x_before
            part = (level / (NUM_LEVELS - 1) - x_before) / step if step > 0.0 else 0.0
            table[0, level] = min(max(low + (high - low) * (y_before + part * (y - y_before)), low), high)
            level += 1
        x_before, y_before = x, y
    table[0, level:] = low + (high - low) * y_before
    table[1, :-1] = table[0, 1:] - table[0, :-1]
    return table
