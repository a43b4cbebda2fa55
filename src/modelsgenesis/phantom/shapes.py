"""Signed distances in mm, negative inside; near enough for painting, exact only where the docstring states it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelsgenesis.phantom.canvas import Array

Place = tuple[Array, Array, Array]


def ellipsoid(place: Place, centre: Sequence[float], axes: Sequence[float], turn: Array | None = None) -> Array:
    """The signed distance to an ellipsoid, to first order.

    Args:
        place: coordinates of the voxels.
        centre: of the ellipsoid.
        axes: half-lengths along its own axes.
        turn: (3, 3) rotation whose rows are its own axes; none keeps them along x, y, z.
    """
    x, y, z = (p - np.float32(c) for p, c in zip(place, centre, strict=True))
    if turn is not None:
        rows = turn.astype(np.float32)
        x, y, z = (row[0] * x + row[1] * y + row[2] * z for row in rows)
    a, b, c = (np.float32(axis) for axis in axes)
    inside = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    slope = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2)
    distance: Array = inside * (inside - 1) / np.maximum(slope, np.float32(1e-4))
    return distance


def oval(x: Array, y: Array, half_x: Array, half_y: Array) -> Array:
    """A cylinder along z, a little squarer than an ellipse (|x|^2.25), half-lengths by height."""
    u, v = np.abs(x) / half_x, np.abs(y) / half_y
    inside = (u * u * np.sqrt(np.sqrt(u)) + v * v * np.sqrt(np.sqrt(v))) ** np.float32(1 / 2.25)
    radius = np.sqrt(x * x + y * y)
    distance: Array = radius - radius / np.maximum(inside, np.float32(1e-3))
    return np.maximum(distance, -np.minimum(half_x, half_y))


def slab(x: Array, half: float) -> Array:
    """The signed distance to the space between two planes."""
    return np.abs(x) - np.float32(half)


def both(*distances: Array) -> Array:
    """The intersection of shapes."""
    result = distances[0]
    for distance in distances[1:]:
        result = np.maximum(result, distance)
    return result


def either(first: Array, second: Array, blend_mm: float = 0.0) -> Array:
    """The union of two shapes, with a fillet of `blend_mm` where they meet."""
    if not blend_mm:
        return np.minimum(first, second)
    near = np.clip(0.5 + 0.5 * (second - first) / np.float32(blend_mm), 0, 1)
    joined: Array = second + near * (first - second) - np.float32(blend_mm) * near * (1 - near)
    return joined


def along(z: Array, knots: dict[float, float]) -> Array:
    """A profile over height, linear between knots {height in mm: value}, tapering to its ends' values."""
    heights = sorted(knots)
    profile: Any = np.interp(z, heights, [knots[h] for h in heights])
    return np.asarray(profile, np.float32)


def path(points: Sequence[Sequence[float]], radii: Sequence[float], *, steps: int = 6) -> Array:
    """Tube segments (n, 8) along a smooth curve through points in mm, the radius in mm changing along it.

    Source: Catmull and Rom 1974, the spline through its points.
    """
    p = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    line = np.concatenate([*curve, p[-1:]])
    radius = np.interp(np.linspace(0, len(radii) - 1, len(line)), np.arange(len(radii)), radii)
    return np.column_stack([line[:-1], line[1:], radius[:-1], radius[1:]]).astype(np.float32)
