"""The same shuffling, map and painting by torch operations, for a whole batch on any device.

Integers are the compiled loop's, operation by operation, so masks, noise and shuffles are bit-identical to it. Space is
one axis of V voxels here; B images, W windows of at most M voxels.
"""

import torch
from torch import Tensor

from modelsgenesis.deformations.kernels.bezier import NUM_LEVELS, NUM_POINTS
from modelsgenesis.deformations.kernels.fused import TAIL
from modelsgenesis.deformations.kernels.hashing import FIRST, SECOND

WORD = 0xFFFFFFFF
SALT, WEYL = 0x85EBCA6B, 0x9E3779B9


def signed(word: int) -> int:
    """The int32 with the bits of an unsigned word."""
    return word - (1 << 32) if word >= 1 << 31 else word


def key_words(keys: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Low and high halves of keys, int32 (B,)."""
    low, high = [signed(key & WORD) for key in keys], [signed(key >> 32) for key in keys]
    return torch.tensor(low, dtype=torch.int32, device=device), torch.tensor(high, dtype=torch.int32, device=device)


def mixed(x: Tensor) -> Tensor:
    """Mix int32 bits as `hashing.mixed` does; the masks make the shifts logical."""
    x = (x ^ ((x >> 16) & 0xFFFF)) * signed(FIRST)
    x = (x ^ ((x >> 15) & 0x1FFFF)) * signed(SECOND)
    return x ^ ((x >> 16) & 0xFFFF)


def bits(counter: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Random int32 bits of the keys (low, high) at int32 counters."""
    return mixed(mixed(counter ^ low) + high)


def below(bound: Tensor | int, random: Tensor) -> Tensor:
    """Turn int32 bits into int64 in 0..bound-1."""
    return ((random.long() & WORD) * bound) >> 32


def noise(low: Tensor, high: Tensor, num_voxels: int, channels: int, shared: Tensor) -> Tensor:
    """Uniform float32 noise in [0, 1), (B, C, V).

    Args:
        low, high: int32 (B,), the keys.
        shared: bool (B,), the same noise in every channel.
    """
    counter = torch.arange(num_voxels, dtype=torch.int32, device=low.device).expand(channels, -1)  # (C, V)
    later = torch.arange(channels, dtype=torch.int32, device=low.device) * num_voxels  # (C,)
    first = torch.where(shared[:, None], 0, later)  # (B, C)
    random = bits(counter + first[..., None], low[:, None, None], high[:, None, None])
    return ((random >> 8) & 0xFFFFFF).float() * 2.0**-24


def inside(boxes: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Whether each voxel is in some box, bool (B, V).

    Args:
        boxes: int64 (B, N, 6), low corner and end corner; an empty box is all 0.
    """
    within = []
    for axis, side in enumerate(size):
        at = torch.arange(side, device=boxes.device)
        within.append((at >= boxes[..., axis, None]) & (at < boxes[..., axis + 3, None]))  # (B, N, side)
    x, y, z = within
    both = x[..., :, None] & y[..., None, :]  # (B, N, X, Y)
    covered = torch.zeros((len(boxes), *size), dtype=torch.bool, device=boxes.device)
    for box in range(boxes.shape[1]):
        covered |= both[:, box, :, :, None] & z[:, box, None, None, :]
    return covered.flatten(1)


def bezier_tables(curves: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The tables of `bezier_table` for a batch of curves.

    Args:
        curves: float64 (B, 5): a, b, c, d, and 1 where the map rises.
        low, high: float32 (B,), the ranges.

    Returns:
        Grey levels and the steps between them, float32 (B, NUM_LEVELS).
    """
    t = torch.arange(NUM_POINTS + 1, dtype=torch.float64, device=curves.device) / NUM_POINTS
    s = 1 - t
    a, b, c, d, rises = curves[:, :, None].unbind(1)
    x = 3 * s * s * t * a + 3 * s * t * t * c + t * t * t  # (B, points)
    rising, falling = (
        3 * s * s * t * b + 3 * s * t * t * d + t * t * t,
        3 * t * t * s * b + 3 * t * s * s * d + s * s * s,
    )
    y = torch.where(rises > 0, rising, falling)
    level = torch.arange(NUM_LEVELS, dtype=torch.float64, device=curves.device).expand(len(curves), -1)
    after = torch.searchsorted((x * (NUM_LEVELS - 1)).contiguous(), level.contiguous()).clamp(1, NUM_POINTS)
    x0, x1, y0, y1 = x.gather(1, after - 1), x.gather(1, after), y.gather(1, after - 1), y.gather(1, after)
    part = torch.where(x1 > x0, (level / (NUM_LEVELS - 1) - x0) / (x1 - x0), 0)
    low, high = low.double()[:, None], high.double()[:, None]
    grey = (low + (high - low) * (y0 + part * (y1 - y0))).clamp(low, high).float()
    step = torch.zeros_like(grey)
    step[:, :-1] = grey[:, 1:] - grey[:, :-1]
    return grey, step


def mapped(images: Tensor, tables: tuple[Tensor, Tensor], span: Tensor) -> Tensor:
    """Map float32 (B, C, V) by tables, in ranges `span` (4, B): low, high, least, greatest."""
    low, high, least, greatest = span[:, :, None, None].unbind(0)
    last = NUM_LEVELS - 1
    at = (images - low) * (last / (high - low))
    beyond = (least < low) | (greatest > high)
    if bool(beyond.any()):
        start = torch.where(least < low, TAIL.item(), 0.0)
        stop = torch.where(greatest > high, 1 - TAIL.item(), 1.0)
        place = start + (stop - start) * ((images - low) / (high - low))
        place = torch.where(images < low, start * ((images - least) / (low - least)), place)
        place = torch.where(images > high, stop + (1 - stop) * ((images - high) / (greatest - high)), place)
        at = torch.where(beyond, place * last, at)
    at = at.flatten(1)  # (B, C * V)
    whole = at.int()
    level = whole.long().clamp(0, last)
    grey, step = tables
    return (grey.gather(1, level) + (at - whole.float()) * step.gather(1, level)).view_as(images)
