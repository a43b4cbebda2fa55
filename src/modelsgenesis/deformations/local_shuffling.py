"""Local shuffling: small windows whose voxels change places, so that texture goes and the large shape stays."""

from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.loop import Plan, PlannedDeformation, Windows, greatest_sides
from modelsgenesis.deformations.base.pixelwise import check_sides
from modelsgenesis.deformations.kernels.hashing import draw_key

Variant = Literal["exact", "tiled"]


@dataclass(frozen=True, kw_only=True)
class LocalShuffling(PlannedDeformation):
    """Permute what lies in many small windows; the network puts texture and edges back.

    A window's sides are uniform in 1..side/10 on each axis and its place is uniform wholly inside. Its voxels are read
    from the untouched image and permuted uniformly; a voxel under several windows takes its value from the last. So
    it is no permutation of the image: about a fifth of the source voxels appear nowhere in the result, others twice.
    On an axis shorter than 10 voxels a window is one voxel wide.

    Args:
        num_windows: how many; None is 10,000 in 3D and 40 in 2D, as the family's recipes have it.
        variant: "exact" is the above. "tiled" cuts the image by a grid with a random start into tiles of a tenth of its
            sides and permutes each: every voxel moves and none is lost, but all tiles are of one size, and there is
            no overlap; `num_windows` is then not used.
        match_official: refuse an axis shorter than 10 voxels, at which the authors' code breaks.

    Raises:
        ShapeError: match_official, and an axis is shorter than 10 voxels.

    Source: Zhou et al. 2019, section 2 (local pixel shuffling); Kang et al. 2017, PatchShuffle.
    """

    num_windows: int | None = None
    variant: Variant = "exact"
    match_official: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_windows is not None and self.num_windows < 1:
            raise GenesisError(f"num_windows must be 1 or more, got {self.num_windows}")
        if self.variant not in get_args(Variant):
            raise GenesisError(f"no variant {self.variant!r}; there are: {', '.join(get_args(Variant))}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Windows:
        """Draw one key, from which sides, places and permutations of all windows follow; and where a grid begins."""
        check_sides(shape, 10 if self.match_official else 1, "LocalShuffling")
        key, size = draw_key(rng), shape[1:]
        if self.variant == "exact":
            return Windows(key, self.num_windows or (10_000 if len(size) == 3 else 40))
        tile = greatest_sides(size)
        start = tuple(int(rng.integers(side)) for side in tile)
        return Windows(key, prod(num_tiles(*axis) for axis in zip(size, tile, start, strict=True)), start)

    def plan(self, drawn: Windows) -> Plan:
        """Plan only the shuffling."""
        return Plan(windows=drawn)


def num_tiles(side: int, tile: int, start: int) -> int:
    """How many tiles a side is cut into when the first whole one begins at `start`."""
    return -(-(side - start) // tile) + (start > 0)
