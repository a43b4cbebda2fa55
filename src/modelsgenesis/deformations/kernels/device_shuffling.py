"""Local shuffling by torch operations, for a whole batch on any device, bit for bit as the compiled loop does it.

Every window of every image is a row. The last window over a voxel is found by a scattered maximum. The steps of the
Fisher-Yates shuffles are taken by all rows together: step s by those rows that have more than s voxels to fill.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from modelsgenesis.deformations.kernels.device import SALT, WEYL, below, bits, mixed, signed

CHUNK = 1 << 25  # voxels of windows handled at a time


@dataclass(frozen=True)
class Rows:
    """Windows, R of them, of all images of a batch."""

    image: Tensor  # int64 (R,): which image
    number: Tensor  # int32 (R,): which of its windows
    side: Tensor  # int64 (R, 3)
    low: Tensor  # int64 (R, 3)

    def part(self, first: int, num: int) -> "Rows":
        """Take some of the windows."""
        some = slice(first, first + num)
        return Rows(self.image[some], self.number[some], self.side[some], self.low[some])


def random_windows(low: Tensor, high: Tensor, num_windows: Tensor, size: Tensor, most: Tensor) -> Rows:
    """Expand the windows of the keys (low, high), int32 (B,); num_windows is int64 (B,)."""
    number = torch.arange(int(num_windows.max()), dtype=torch.int32, device=low.device)  # (W,)
    counter = number[:, None] * 6 + torch.arange(6, dtype=torch.int32, device=low.device)  # (W, 6)
    random = bits(counter, low[:, None, None], (high ^ signed(SALT))[:, None, None])  # (B, W, 6)
    side = 1 + below(most, random[..., :3])
    corner = below(size - side + 1, random[..., 3:])
    return chosen(number < num_windows[:, None], number, side, corner)


def grid_tiles(start: Tensor, num_tiles: Tensor, size: Tensor, tile: Tensor) -> Rows:
    """Cut images into tiles by grids that begin at `start`, int64 (B, 3); num_tiles is int64 (B,)."""
    number = torch.arange(int(num_tiles.max()), device=start.device)  # (W,)
    leading = (start > 0).long()
    counts = leading + (size - start + tile - 1) // tile  # (B, 3)
    x, y, z = counts[:, None].unbind(-1)
    place = torch.stack([number // (y * z) % x, number // z % y, number % z], -1)  # (B, W, 3)
    begin = start[:, None] + (place - leading[:, None]) * tile
    corner = begin.clamp(min=0)
    side = torch.minimum(begin + tile, size) - corner
    return chosen(number < num_tiles[:, None], number.int(), side, corner)


def chosen(valid: Tensor, number: Tensor, side: Tensor, corner: Tensor) -> Rows:
    """Flatten (B, W) windows to rows, leaving out those beyond an image's count."""
    image = torch.arange(len(valid), device=valid.device)[:, None].expand_as(valid)
    return Rows(image[valid], number.expand_as(valid)[valid], side[valid], corner[valid])


def sources(rows: Rows, low: Tensor, high: Tensor, free: Tensor, size: Tensor, most: Tensor) -> Tensor:
    """For every voxel, the voxel of its image whose value it takes, int64 (B, V).

    Args:
        rows: the windows.
        low, high: int32 (B,), the keys.
        free: bool (B, V), the voxels to shuffle.
        size, most: int64 (3,), sides of the images and the greatest of windows.
    """
    owner = torch.zeros_like(free, dtype=torch.int32).flatten()  # 1 + the last window over a voxel
    step = max(1, CHUNK // int(most.prod()))
    chunks = [rows.part(first, step) for first in range(0, len(rows.image), step)]
    for chunk in chunks:
        voxel, valid = window_voxels(chunk, free.shape[1], size, most)
        owner.scatter_reduce_(0, voxel[valid], (chunk.number[:, None] + 1).expand_as(valid)[valid], "amax")
    owner = torch.where(free.flatten(), owner, 0)
    source = torch.arange(free.shape[1], device=free.device).repeat(len(free))
    for chunk in chunks:
        voxel, valid = window_voxels(chunk, free.shape[1], size, most)
        mine = valid & (owner[voxel] == chunk.number[:, None] + 1)  # (R, M)
        taken = injections(chunk, low[chunk.image], high[chunk.image], mine)
        row, _ = mine.nonzero(as_tuple=True)
        source[voxel[mine]] = window_voxel(chunk.side[row], chunk.low[row], taken, size)
    return source.view(free.shape)


def window_voxels(rows: Rows, num_voxels: int, size: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers in the batch of the voxels of each window, (R, M), and which of the M places the window has."""
    place = torch.cartesian_prod(*(torch.arange(int(side), device=size.device) for side in most))  # (M, 3)
    valid = (place < rows.side[:, None]).all(-1)
    at = torch.where(valid[..., None], rows.low[:, None] + place, 0)
    x, y, z = at.unbind(-1)
    return rows.image[:, None] * num_voxels + (x * size[1] + y) * size[2] + z, valid


def window_voxel(side: Tensor, low: Tensor, index: Tensor, size: Tensor) -> Tensor:
    """Number in the image of a window's index-th voxel; side and low are (N, 3), index is (N,)."""
    _, side_y, side_z = side.unbind(-1)
    x, y, z = index // (side_y * side_z), index // side_z % side_y, index % side_z
    return ((low[:, 0] + x) * size[1] + low[:, 1] + y) * size[2] + low[:, 2] + z


def injections(rows: Rows, low: Tensor, high: Tensor, mine: Tensor) -> Tensor:
    """For every voxel that is a window's own, in row order, the index in the window of the voxel it takes."""
    claimed = mine.sum(1)
    order = claimed.argsort(descending=True, stable=True)
    covered, stream = rows.side.prod(1)[order], bits(rows.number, low, high)[order]
    most_steps = int(claimed.max()) if len(claimed) else 0
    alive = len(claimed) - torch.bincount(claimed, minlength=most_steps + 1).cumsum(0)  # rows with more than s to fill
    place = torch.arange(mine.shape[1], device=mine.device)[:, None].repeat(1, len(claimed))  # (M, R)
    for step, num in enumerate(alive[:most_steps].tolist()):
        random = mixed(stream[:num] + signed(step * WEYL & 0xFFFFFFFF))
        partner = (step + below(covered[:num] - step, random))[None]
        among = place[:, :num]
        taken = among.gather(0, partner)
        among.scatter_(0, partner, among[step : step + 1].clone())
        place[step, :num] = taken[0]
    rank = mine.cumsum(1) - 1
    row, slot = mine.nonzero(as_tuple=True)
    return place[rank[row, slot], order.argsort()[row]]
