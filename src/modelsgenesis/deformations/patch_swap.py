"""Patch swap: small patches change places in pairs; the network restores the context."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval

Swap = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # low corner, other low corner, sides


@dataclass(frozen=True, kw_only=True)
class PatchSwap(PixelDeformation):
    """Swap pairs of patches of the same size, one pair after another; grey levels stay as they are.

    Args:
        num_swaps: how many pairs; what is swapped must stay a minor part of the image.
        side: least and greatest side of a patch, as parts of the image's.

    Source: Chen et al. 2019, "Self-supervised learning for medical image analysis using image context restoration".
    """

    num_swaps: int = 10
    side: tuple[float, float] = (0.1, 0.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("side", self.side, 0, 0.5)
        if self.num_swaps < 1:
            raise GenesisError(f"num_swaps must be 1 or more, got {self.num_swaps}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Swap, ...]:
        """Draw the pairs; a pair that would overlap is drawn again."""
        check_sides(shape, 2, "PatchSwap")
        size = np.array(shape[1:])
        swaps: list[Swap] = []
        while len(swaps) < self.num_swaps:
            sides = np.maximum(1, (rng.uniform(*self.side, len(size)) * size).astype(int))
            first, second = rng.integers(0, size - sides, (2, len(size)), endpoint=True)
            if (np.abs(first - second) >= sides).any():
                swaps.append((tuple(first.tolist()), tuple(second.tolist()), tuple(sides.tolist())))
        return tuple(swaps)

    def deform(self, array: Array, span: Span, drawn: tuple[Swap, ...]) -> Array:
        """Swap the patches of each pair."""
        out = array.copy()
        for first, second, sides in drawn:
            here, there = ((slice(None), *map(slice, low, np.add(low, sides))) for low in (first, second))
            out[here], out[there] = out[there].copy(), out[here].copy()
        return out
