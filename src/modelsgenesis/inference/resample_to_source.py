"""The way back: from the grid a network saw to the grid of the source's file, row by row along X."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modelsgenesis.data.volume import Geometry

ROWS = 8  # that are handed on together


@dataclass(frozen=True)
class Axis:
    """Linear interpolation along one axis: voxel k of the result lies between voxels low[k] and high[k].

    Attributes:
        low: the nearest voxel before, or at, each place.
        high: the nearest one behind; the last voxel's is itself.
        share: of `high` in the result, in [0, 1).
        size: voxels there are.
    """

    low: Tensor
    high: Tensor
    share: Tensor
    size: int

    @property
    def is_identity(self) -> bool:
        """Whether resampling would change nothing."""
        return len(self.low) == self.size and torch.equal(self.low, torch.arange(self.size)) and not self.share.any()

    def along(self, values: Tensor, dim: int) -> Tensor:
        """Interpolate along one axis."""
        if self.is_identity:
            return values
        low, high, share = (part.to(values.device) for part in (self.low, self.high, self.share))
        share = share.reshape(-1, *(1,) * (values.ndim - 1 - dim))
        return torch.lerp(values.index_select(dim, low), values.index_select(dim, high), share)


def make_axis(size: int, step_mm: float, wanted: int, wanted_step_mm: float, *, flipped: bool = False) -> Axis:
    """Plan the interpolation of one axis; the outer borders of both grids coincide where the file's axis begins.

    Args:
        size: voxels there are.
        step_mm: between them.
        wanted: voxels of the result.
        wanted_step_mm: between those.
        flipped: whether the file's axis begins at the end of this one.
    """
    places = (np.arange(wanted) + 0.5) * (wanted_step_mm / step_mm) - 0.5
    if flipped:
        places = (size - 1) - places[::-1]
    near = np.rint(places)
    places = np.clip(np.where(np.abs(places - near) < 1e-6, near, places), 0, size - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    share = (places - low).astype(np.float32)
    return Axis(torch.from_numpy(low), torch.from_numpy(high), torch.from_numpy(share), size)


def axes_back(size: Sequence[int], spacing_mm: Sequence[float], geometry: Geometry) -> tuple[Axis, ...]:
    """Plan the way from a grid in LPS to that of a file, which it was resampled from.

    Args:
        size: of the grid, (X, Y, Z), or (X, Y) of a picture.
        spacing_mm: of the grid.
        geometry: of the file.
    """
    return tuple(
        make_axis(side, step, geometry.size[own], geometry.spacing_mm[own], flipped=flipped)
        for side, step, own, flipped in zip(size, spacing_mm, geometry.order, geometry.flips, strict=True)
    )


def resample_to_source(parts: Iterable[Tensor], axes: tuple[Axis, ...]) -> Iterator[Tensor]:
    """Interpolate a stream of rows; only the rows between which something still lies are held.

    Args:
        parts: (K, n, Y, Z), or (K, n, Y) of a picture, in order along X.
        axes: from `axes_back`.
    Yields:
        (K, m, Y', Z') in order, a few rows at a time.
    """
    x, *others = axes
    held: Tensor | None = None
    first = done = 0  # the row of the grid that `held` begins with; rows of the result handed on
    for part in parts:
        flat = part
        for dim, axis in enumerate(others, start=2):
            flat = axis.along(flat, dim)
        if x.is_identity:
            yield flat
            continue
        held = flat if held is None else torch.cat([held, flat], dim=1)
        ready = int(torch.searchsorted(x.high, first + held.shape[1]))  # rows of the result that need no later one
        for start in range(done, ready, ROWS):
            some = slice(start, min(start + ROWS, ready))
            yield Axis(x.low[some] - first, x.high[some] - first, x.share[some], held.shape[1]).along(held, 1)
        done = ready
        needed = int(x.low[done]) if done < len(x.low) else first + held.shape[1]
        drop = min(needed - first, held.shape[1])
        held, first = held[:, drop:], first + drop
