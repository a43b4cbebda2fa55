"""Block mask: most blocks of a grid are hidden, as for a masked auto-encoder; the network fills them in."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span
from modelsgenesis.deformations.kernels.hashing import draw_key, generator_of


@dataclass(frozen=True, kw_only=True)
class BlockMask(PixelDeformation):
    """Set a fixed part of the blocks of a grid to the low end of the range.

    Args:
        block: side of a block in voxels; the last block of an axis may be shorter.
        hidden: part of the blocks that is hidden, in (0, 1).

    Source: He et al. 2022, "Masked autoencoders are scalable vision learners".
    """

    block: int = 8
    hidden: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1 or not 0 < self.hidden < 1:
            raise GenesisError(f"block must be 1 or more and hidden in (0, 1), got {self.block} and {self.hidden}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> int:
        """Draw the key of the choice of blocks."""
        check_sides(shape, 1, "BlockMask")
        return draw_key(rng)

    def deform(self, array: Array, span: Span, drawn: int) -> Array:
        """Hide the chosen blocks."""
        grid = tuple(-(-side // self.block) for side in array.shape[1:])
        mask = np.arange(np.prod(grid)) < round(self.hidden * np.prod(grid))
        mask = generator_of(drawn).permutation(mask).reshape(grid)
        for axis, side in enumerate(array.shape[1:]):
            mask = mask.repeat(self.block, axis).take(range(side), axis)
        return np.where(mask, span.low, array)
