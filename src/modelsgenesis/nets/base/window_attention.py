"""Attention within windows of tokens, with biases by relative position: what both versions of Swin are made of."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.transformer import INITIAL_STD

TABLE = "relative_position_bias_table"
HIDDEN = 512  # of the network that gives the second version's biases
STEEPEST = math.log(100.0)  # of the second version's attention, as a logarithm


class WindowAttention(nn.Module):
    """The first version's: a table has a bias for every two places of a window.

    Args:
        dim: channels of the tokens.
        heads: of the attention.
        window: tokens along a side of the window that the biases are made for.
    """

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=INITIAL_STD)

    def forward(self, x: Tensor, window: tuple[int, ...], regions: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            x: (B, windows, tokens, dim).
            window: its sides in tokens; a small stage's are smaller than those that the biases were made for.
            regions: the number of the region of each token, (windows, tokens); only tokens of one attend to each other.
        """
        q, k, v = split_heads(self.qkv(x), self.heads)
        index = relative_positions(window, self.window).to(x.device)
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)
        return cast(Tensor, self.proj(attend(q, k, v, bias, regions)))


class CosineAttention(nn.Module):
    """The second version's: a small network gives the biases of windows of any size.

    Args:
        dim: channels of the tokens.
        heads: of the attention.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, heads, bias=False))

    def forward(self, x: Tensor, window: tuple[int, ...], regions: Tensor | None) -> Tensor:
        """As of `WindowAttention`; tokens are compared by their angle, and biases follow from their distance."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        q, k, v = split_heads(functional.linear(x, self.qkv.weight, bias), self.heads)
        q = functional.normalize(q, dim=-1) * self.logit_scale.clamp(max=STEEPEST).exp()
        table = 16 * self.cpb_mlp(log_distances(window).to(x.device)).sigmoid()
        index = relative_positions(window, max(window)).to(x.device)
        k, bias = functional.normalize(k, dim=-1), table[index].permute(2, 0, 1)
        return cast(Tensor, self.proj(attend(q.to(v.dtype), k.to(v.dtype), v, bias, regions, scale=1.0)))


def moved(x: Tensor, shift: Tensor) -> Tensor:
    """(B, rows, columns, dim) from the row and column of this number on; those before them come behind the last."""
    for axis in (1, 2):
        places = torch.arange(x.shape[axis], device=x.device)
        x = x.index_select(axis, (places + shift) % torch.full_like(places, x.shape[axis]))
    return x


def shift_of(size: tuple[int, ...], window: tuple[int, ...], shift: int, device: torch.device) -> Tensor:
    """The shift, a number; 0 where one window is as long as a side.

    Args:
        size: rows and columns of tokens.
        window: its sides.
        shift: where there are several windows.
        device: of the result.
    """
    beyond = [torch.arange(side, device=device) >= length for side, length in zip(size, window, strict=True)]
    return shift * (beyond[0].any() & beyond[1].any()).long()


def to_windows(x: Tensor, window: tuple[int, ...]) -> Tensor:
    """(B, rows, columns, dim) -> (B, windows, tokens of one, dim), windows and tokens in raster order."""
    batch, rows, columns, dim = x.shape
    height, width = window
    x = x.reshape(batch, rows // height, height, columns // width, width, dim).transpose(2, 3)
    return x.reshape(batch, -1, height * width, dim)


def from_windows(x: Tensor, window: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
    """(B, windows, tokens of one, dim) -> (B, *size, dim)."""
    (rows, columns), (height, width) = size, window
    x = x.reshape(x.shape[0], rows // height, columns // width, height, width, -1).transpose(2, 3)
    return x.reshape(x.shape[0], rows, columns, -1)


def window_regions(size: tuple[int, ...], window: tuple[int, ...], shift: Tensor) -> Tensor:
    """The region of each token after a shift, (windows, tokens): what the shift brought around is none of the rest's.

    Args:
        size: rows and columns of tokens.
        window: its sides.
        shift: of the tokens, to the front; a number.
    """
    places = [torch.arange(side, device=shift.device) for side in size]
    bands = [
        (place >= side - length).long() + (place >= side - shift).long()
        for place, side, length in zip(places, size, window, strict=True)
    ]
    regions = 3 * bands[0][:, None] + bands[1][None, :]
    return to_windows(regions[None, :, :, None], window)[0, :, :, 0]


def split_heads(x: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, windows, tokens, 3 dim) -> queries, keys and values, (B, windows, heads, tokens, dim / heads) each."""
    q, k, v = x.reshape(*x.shape[:3], 3, heads, -1).permute(3, 0, 1, 4, 2, 5)
    return q, k, v


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, regions: Tensor | None, scale: float | None = None) -> Tensor:
    """Attention within windows; batches share their biases, and windows and heads lie on one axis as others expect.

    Args:
        q, k, v: (B, windows, heads, tokens, channels).
        bias: (heads, tokens, tokens).
        regions: (windows, tokens); None of windows that are whole.
        scale: of the products; by default by the number of channels.
    Returns:
        (B, windows, tokens, heads * channels).
    """
    batch, windows, heads, tokens, channels = q.shape
    biases = bias[None].expand(windows, -1, -1, -1)  # (windows, heads, tokens, tokens)
    if regions is not None:
        apart = regions[:, None, :, None] != regions[:, None, None, :]  # (windows, 1, tokens, tokens)
        biases = bias + torch.zeros_like(apart, dtype=bias.dtype).masked_fill(apart, -100.0)
    mask = biases.reshape(1, windows * heads, tokens, tokens).to(q.dtype)
    q, k, v = (x.reshape(batch, windows * heads, tokens, channels) for x in (q, k, v))
    mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return mixed.reshape(batch, windows, heads, tokens, channels).transpose(2, 3).flatten(3)


def log_distances(window: tuple[int, ...]) -> Tensor:
    """How far tokens of a window can be apart, on a logarithmic scale, (offsets, 2), in the order of a bias table.

    Args:
        window: its sides; along each, the farthest tokens are 8 apart before the logarithm.
    """
    offsets = torch.arange(1 - max(window), max(window), dtype=torch.float32)
    scaled = (8 * offsets / max(1, side - 1) for side in window)
    logged = [far.sign() * (far.abs() + 1).log2() / 3 for far in scaled]
    return torch.stack(torch.meshgrid(*logged, indexing="ij"), dim=-1).flatten(0, 1)


def relative_positions(window: tuple[int, ...], tabled: int) -> Tensor:
    """The row of the bias table for each pair of tokens of a window, (tokens, tokens).

    Args:
        window: its sides, none above `tabled`.
        tabled: the side of the window that the table is made for.
    """
    rows, columns = (axis.flatten() for axis in torch.meshgrid(*map(torch.arange, window), indexing="ij"))
    down, right = rows[:, None] - rows[None, :], columns[:, None] - columns[None, :]
    return (down + tabled - 1) * (2 * tabled - 1) + right + tabled - 1


def window_of(table: Tensor) -> int:
    """The side of the window that a table of biases is made for, (rows, heads).

    Raises:
        ShapeError: the table is of no window.
    """
    side = math.isqrt(table.shape[0]) if table.dim() == 2 else 0
    if side % 2 == 0 or side**2 != table.shape[0]:
        raise ShapeError(f"a table of biases has (2 window - 1)^2 rows and a column a head, got {tuple(table.shape)}")
    return (side + 1) // 2


def padded_table(table: Tensor, window: int) -> Tensor:
    """A table of biases for a larger window: each offset keeps its bias, those beyond get that of the border.

    Args:
        table: (rows, heads).
        window: no smaller than the table's.
    """
    beyond = window - window_of(table)
    return _as_table(functional.pad(_as_picture(table), (beyond,) * 4, mode="replicate"))


def stretched_table(table: Tensor, window: int) -> Tensor:
    """A table of biases for a window that covers the same, in more tokens or fewer; bicubic.

    Args:
        table: (rows, heads).
        window: the new one.
    """
    size = (2 * window - 1,) * 2
    return _as_table(functional.interpolate(_as_picture(table), size=size, mode="bicubic", align_corners=False))


def _as_picture(table: Tensor) -> Tensor:
    side = 2 * window_of(table) - 1
    return table.float().T.reshape(1, -1, side, side)


def _as_table(picture: Tensor) -> Tensor:
    return picture[0].flatten(1).T
