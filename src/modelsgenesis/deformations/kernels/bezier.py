"""The non-linear map as a small table: a cubic Bezier curve, read at evenly spaced grey levels."""

import numpy as np

from modelsgenesis.deformations.kernels.compiling import compiled

NUM_LEVELS = 1024  # of the table, 4 KiB: it stays in the fastest cache
NUM_POINTS = 4096  # on the curve, joined by straight lines


@compiled
def bezier_table(a, b, c, d, rising, num_levels, num_points):  # type: ignore[no-untyped-def]
    """Tabulate the map of the curve (0,0), (a,b), (c,d), (1,1) at `num_levels` even steps of [0, 1].

    Rising, it is the curve itself, x(t) -> y(t); falling, it sends x(t) to y(1 - t).

    Returns:
        float32 (num_levels,), in [0, 1].
    """
    table = np.empty(num_levels, np.float32)
    x_before, y_before = 0.0, 0.0 if rising else 1.0
    level = 0
    for point in range(1, num_points + 1):
        t = point / num_points
        s = 1.0 - t
        x = 3.0 * s * s * t * a + 3.0 * s * t * t * c + t * t * t
        if not rising:
            s, t = t, s
        y = 3.0 * s * s * t * b + 3.0 * s * t * t * d + t * t * t
        while level < num_levels - 1 and level <= x * (num_levels - 1):
            step = x - x_before
            part = (level / (num_levels - 1) - x_before) / step if step > 0.0 else 0.0
            table[level] = min(max(y_before + part * (y - y_before), 0.0), 1.0)
            level += 1
        x_before, y_before = x, y
    table[level:] = y_before
    return table
