"""Local shuffling: small windows whose voxels change places, so that texture goes and the large shape stays."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations._loop import Windows, run
from modelsgenesis.deformations._pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations._range import Array, Span
from modelsgenesis.deformations.kernels.hashing import draw_key


@dataclass(frozen=True, kw_only=True)
class LocalShuffling(PixelDeformation):
    """Permute the voxels of many small windows; the network puts texture and edges back.

    Args:
        num_windows: how many; None is 10,000 in 3D and 40 in 2D, as the family's recipes have it.
    """

    num_windows: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_windows is not None and self.num_windows < 1:
            raise GenesisError(f"num_windows must be 1 or more, got {self.num_windows}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Windows:
        """Draw one key; the windows follow from it."""
        check_sides(shape, 1, "LocalShuffling")
        default = 10_000 if len(shape) == 4 else 40
        return Windows(draw_key(rng), self.num_windows or default)

    def deform(self, array: Array, span: Span, drawn: Windows) -> Array:
        """Shuffle."""
        return run(array, span, drawn, None, None)
