"""What a phantom is painted on: HU values, labels, and where every voxel lies in the body's own coordinates."""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]  # float32 throughout
Box = tuple[slice, slice, slice]
AIR_HU = -1000.0


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, ...], spacing_mm: tuple[float, ...], scale_mm: float
) -> Array:
    """Draw a smooth random field of about unit spread, whose hills are `scale_mm` apart.

    Args:
        rng: its generator.
        size: voxels along x, y, z.
        spacing_mm: between voxels.
        scale_mm: between the knots of the spline that is drawn.
    Returns:
        float32, shape `size`.
    """
    knots = [int(np.ceil(n * step / scale_mm)) + 4 for n, step in zip(size, spacing_mm, strict=True)]
    field = rng.standard_normal(knots, dtype=np.float32)
    for axis, (n, step) in enumerate(zip(size, spacing_mm, strict=True)):
        weights = spline_weights(np.arange(n) * step / scale_mm, knots[axis])
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field * np.float32(1.8))  # splines average; this brings the spread back near 1


def spline_weights(at: np.ndarray[Any, Any], num_knots: int) -> Array:
    """Weights of a uniform cubic B-spline: (positions, knots), for positions in [0, num_knots - 4]."""
    first = np.floor(at).astype(int)
    t = at - first
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(at), num_knots), np.float32)
    for k, part in enumerate(parts):
        weights[np.arange(len(at)), first + k] = part / 6
    return weights


@dataclass(frozen=True)
class Canvas:
    """An image of a body that is being painted.

    Attributes:
        values: HU, float32 (X, Y, Z), painted in place.
        labels: uint8 (X, Y, Z), painted in place.
        place: where each voxel lies in the body's coordinates, three float32 (X, Y, Z), in mm: x to the left, y to
            posterior, z to superior, the middle of the field at 0. Smoothly bent, so that no two bodies are alike.
        origin_mm: of voxel (0, 0, 0), unbent.
        spacing_mm: between voxels.
    """

    values: Array
    labels: np.ndarray[Any, np.dtype[np.uint8]]
    place: tuple[Array, Array, Array]
    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]

    @property
    def edge_mm(self) -> float:
        """How wide a border is drawn: one voxel, on average over the axes."""
        return float(np.prod(self.spacing_mm) ** (1 / 3))

    def box(self, low_mm: tuple[float, ...], high_mm: tuple[float, ...], margin_mm: float = 16.0) -> Box:
        """The slices that hold a box of the body's coordinates, with a margin for the bending."""
        slices = []
        for axis in range(3):
            start = (low_mm[axis] - margin_mm - self.origin_mm[axis]) / self.spacing_mm[axis]
            stop = (high_mm[axis] + margin_mm - self.origin_mm[axis]) / self.spacing_mm[axis]
            num = self.values.shape[axis]
            slices.append(slice(int(np.clip(start, 0, num)), int(np.clip(stop + 1, 0, num))))
        return slices[0], slices[1], slices[2]

    def at(self, box: Box) -> tuple[Array, Array, Array]:
        """The body's coordinates inside a box of voxels."""
        x, y, z = self.place
        return x[box], y[box], z[box]

    def paint(self, distance_mm: Array, hu: float | Array, label: int | None = None, box: Box | None = None) -> None:
        """Paint where a signed distance is negative, with a border one voxel wide."""
        box = box or (slice(None), slice(None), slice(None))
        covered = np.clip(0.5 - distance_mm / np.float32(self.edge_mm), 0, 1)
        values = self.values[box]
        values += covered * (hu - values)
        if label is not None:
            self.labels[box][covered > 0.5] = label

    def unbend(self, points_mm: Array) -> Array:
        """Find where points of the body lie on the grid, in mm from the middle: (n, 3) -> (n, 3)."""
        at = np.rint((points_mm - self.origin_mm) / self.spacing_mm).astype(int)
        at = np.clip(at, 0, np.array(self.values.shape) - 1)
        index = (at[:, 0], at[:, 1], at[:, 2])
        grid = np.array(self.origin_mm) + at * self.spacing_mm
        bent = np.stack([axis[index] for axis in self.place], axis=1)
        return np.asarray(points_mm - (bent - grid), np.float32)

    def coverage(self, segments: Array) -> Array:
        """How much of each voxel the tubes cover, float32 (X, Y, Z) in [0, 1].

        Args:
            segments: (n, 8): start x, y, z, end x, y, z in the body's mm, radius at start and end in mm.
        """
        on_grid = np.concatenate([self.unbend(segments[:, :3]), self.unbend(segments[:, 3:6]), segments[:, 6:]], axis=1)
        covered = np.zeros(self.values.shape, np.float32)
        if len(segments):
            _cover(covered, on_grid.astype(np.float64), np.array(self.origin_mm), np.array(self.spacing_mm))
        return covered

    def tubes(self, segments: Array, hu: float | Array, label: int | None = None, within: Array | None = None) -> None:
        """Paint tubes, thin ones paler, as partial volume makes them."""
        covered = self.coverage(segments)
        if within is not None:
            covered *= within
        self.values[...] += covered * (hu - self.values)
        if label is not None:
            self.labels[covered > 0.5] = label


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cover(covered: Any, segments: Any, origin: Any, spacing: Any) -> None:
    """Raise `covered` to the share of each voxel that lies in a tapered tube."""
    edge = (spacing[0] * spacing[1] * spacing[2]) ** (1 / 3)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for s in range(segments.shape[0]):
        a, b, r0, r1 = segments[s, 0:3], segments[s, 3:6], segments[s, 6], segments[s, 7]
        reach = max(r0, r1, 0.5 * edge) + edge
        for k in range(3):
            low[k] = max(0, int(np.ceil((min(a[k], b[k]) - reach - origin[k]) / spacing[k])))
            high[k] = min(covered.shape[k] - 1, int(np.floor((max(a[k], b[k]) + reach - origin[k]) / spacing[k])))
        d = b - a
        length2 = max(d[0] * d[0] + d[1] * d[1] + d[2] * d[2], 1e-9)
        for i in range(low[0], high[0] + 1):
            px = origin[0] + i * spacing[0] - a[0]
            for j in range(low[1], high[1] + 1):
                py = origin[1] + j * spacing[1] - a[1]
                for k in range(low[2], high[2] + 1):
                    pz = origin[2] + k * spacing[2] - a[2]
                    t = min(1.0, max(0.0, (px * d[0] + py * d[1] + pz * d[2]) / length2))
                    off = np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
                    radius = r0 + t * (r1 - r0)
                    drawn = max(radius, 0.5 * edge)  # a thinner tube is drawn one voxel wide, and paler
                    share = min(1.0, max(0.0, 0.5 - (off - drawn) / edge)) * (radius / drawn) ** 2
                    if share > covered[i, j, k]:
                        covered[i, j, k] = share
