"""A coarse map of where a scan holds something, so that informative cubes are found without reading voxels."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_SIDE = 8  # voxels
TISSUE_HU = -150.0


@dataclass(frozen=True)
class Occupancy:
    """Two coarse maps of one scan, a number for each cell of CELL_SIDE voxels a side, 0..255 for 0..1.

    Attributes:
        tissue: the paper's score: of a voxel, 1 if above -150 HU, 0.5 if only the next one in z is, else 0; its mean.
        foreground: the fraction of voxels above the scan's background.
    """

    tissue: NDArray[np.uint8]
    foreground: NDArray[np.uint8]

    def to_extras(self) -> dict[str, bytes]:
        """Each map as bytes, its shape in front; a rule needs one of them only."""
        maps = {"tissue": self.tissue, "foreground": self.foreground}
        return {name: json.dumps(cells.shape).encode() + b"\n" + cells.tobytes() for name, cells in maps.items()}


def cells_from(data: bytes) -> NDArray[np.uint8]:
    """Undo `Occupancy.to_extras` for one map."""
    head, _, body = data.partition(b"\n")
    return np.frombuffer(body, np.uint8).reshape(json.loads(head))


def make_foreground_map(values: NDArray[np.generic], foreground: float) -> Occupancy:
    """Map one channel.

    Every second voxel along X and Y is looked at: a cell keeps 128 of its 512, enough for a mean.

    Args:
        values: (X, Y, Z), in physical units.
        foreground: what is above is foreground.
    """
    cells = tuple(-(-side // CELL_SIDE) for side in values.shape)
    tissue, filled = np.zeros(cells, np.uint8), np.zeros(cells, np.uint8)
    for low in range(0, values.shape[2], CELL_SIDE):
        slab = np.asarray(values[::2, ::2, low : low + CELL_SIDE + 1])  # one voxel more: the next one in z
        here = slab[..., :CELL_SIDE]
        depth = here.shape[-1]
        hard = (slab > TISSUE_HU).view(np.uint8)
        score = hard[..., :depth] * np.uint8(2)  # in halves
        score[..., : slab.shape[-1] - 1] |= hard[..., 1:]
        # Tissue counts two whether or not tissue follows: 2 | 1 is 3.
        halves = np.minimum(score, 2).sum(axis=-1, dtype=np.uint8)
        above = (here > foreground).view(np.uint8).sum(axis=-1, dtype=np.uint8)
        tissue[..., low // CELL_SIDE] = _mean_of_cells(halves / np.float32(2 * depth), cells[:2])
        filled[..., low // CELL_SIDE] = _mean_of_cells(above / np.float32(depth), cells[:2])
    return Occupancy(tissue, filled)


def _mean_of_cells(plane: NDArray[np.float32], cells: tuple[int, ...]) -> NDArray[np.uint8]:
    """(X / 2, Y / 2) -> (cells along X, cells along Y), 0..255; the last cells may be narrower."""
    step = CELL_SIDE // 2
    starts = [np.arange(count) * step for count in cells]
    sums = np.add.reduceat(np.add.reduceat(plane, starts[0], axis=0), starts[1], axis=1)
    widths = [np.minimum(step, side - start) for side, start in zip(plane.shape, starts, strict=True)]
    means: NDArray[np.uint8] = np.rint(sums / np.outer(*widths) * 255).astype(np.uint8)
    return means
