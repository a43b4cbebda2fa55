"""Slice thickness: a scan of thick slices is coarse along Z; the network restores the thin ones."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span


class Slabs(NamedTuple):
    """The number of slices in a slab, and how many of the first slab lie outside the image."""

    thickness: int
    start: int


@dataclass(frozen=True, kw_only=True)
class SliceThickness(PixelDeformation):
    """Show in every slice the mean of its slab, along the last axis: Z, or Y in 2D.

    Args:
        thickness: least and greatest number of slices in a slab.
    """

    thickness: tuple[int, int] = (2, 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.thickness[0] <= self.thickness[1]:
            raise GenesisError(f"thickness must rise from 1 or more, got {self.thickness}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Slabs:
        """Draw the thickness, at most the image's side, and where the slabs begin."""
        check_sides(shape, 1, "SliceThickness")
        thickness = min(int(rng.integers(self.thickness[0], self.thickness[1], endpoint=True)), shape[-1])
        return Slabs(thickness, int(rng.integers(thickness)))

    def deform(self, array: Array, span: Span, drawn: Slabs) -> Array:
        """Average the slices of each slab."""
        slab = (np.arange(array.shape[-1]) + drawn.start) // drawn.thickness
        first = np.flatnonzero(np.diff(slab, prepend=-1))
        sums = np.add.reduceat(array, first, axis=-1, dtype=np.float64)
        means = sums / np.diff(np.append(first, array.shape[-1]))
        return np.asarray(np.clip(means[..., slab - slab[0]], span.least, span.greatest), dtype=np.float32)
