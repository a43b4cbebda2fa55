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

    def to_bytes(self) -> bytes:
        """Both maps as bytes, their shape in front."""
        head = json.dumps(self.tissue.shape).encode()
        return head + b"\n" + self.tissue.tobytes() + self.foreground.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Occupancy":
        """Undo `to_bytes`."""
        head, _, body = data.partition(b"\n")
        maps = np.frombuffer(body, np.uint8).reshape(2, *json.loads(head))
        return cls(maps[0], maps[1])


def map_occupancy(values: NDArray[np.generic], foreground: float) -> Occupancy:
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
        hard = (slab > TISSUE_HU).astype(np.float32)
        following = np.concatenate([hard[..., 1:], hard[..., -1:]], axis=-1)
        score = np.maximum(hard, 0.5 * following)[..., : here.shape[-1]]
        tissue[..., low // CELL_SIDE] = _mean_of_cells(score.mean(axis=-1), cells[:2])
        filled[..., low // CELL_SIDE] = _mean_of_cells((here > foreground).mean(axis=-1, dtype=np.float32), cells[:2])
    return Occupancy(tissue, filled)


def _mean_of_cells(plane: NDArray[np.float32], cells: tuple[int, ...]) -> NDArray[np.uint8]:
    """(X / 2, Y / 2) -> (cells along X, cells along Y), 0..255; the last cells may be narrower."""
    step = CELL_SIDE // 2
    starts = [np.arange(count) * step for count in cells]
    sums = np.add.reduceat(np.add.reduceat(plane, starts[0], axis=0), starts[1], axis=1)
    widths = [np.minimum(step, side - start) for side, start in zip(plane.shape, starts, strict=True)]
    means: NDArray[np.uint8] = np.rint(sums / np.outer(*widths) * 255).astype(np.uint8)
    return means
