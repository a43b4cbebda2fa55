"""Primus, a transformer for volumes, as an encoder under the names of its weights, with a decoder of our own."""

import itertools
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.stepped_decoder import SteppedDecoder
from modelsgenesis.nets.base.transformer import INITIAL_STD, MLP, begin, left_out
from modelsgenesis.nets.base.window_attention import split_heads
from modelsgenesis.nets.norms import make_norm
from modelsgenesis.nets.unet3d import Activation
from modelsgenesis.nets.vit import rotary_turns, turned

EPS = 1e-5
FINEST = 16  # channels of the skip at the size of the image
AXES = 3


class Primus(SteppedDecoder):
    """Attention among all patches of a volume, and a decoder of transposed convolutions from the last block's tokens.

    The embedding by position belongs to a grid of patches; for a volume of another number of patches it is
    interpolated, linearly, at each pass, and the rotary angles are spread over it, so any size will do that patches
    divide. A volume's feature is that of its patches; there is no class token.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        embed: channels of a token; Primus-M has 864.
        depth: blocks.
        heads: of the attention.
        patch: side in voxels of what becomes one token; a power of 2.
        grid: patches along the encoder's axes that the embedding by position is made for.
        hidden: channels inside a block's dense layers; 0 takes 8/3 of `embed`.
        drop_path: the rate at which the last block is left out in training; it rises from 0 over the blocks.
        activation: after the last convolution; "identity" leaves the logits.
        units: (scale, shift), from our [0, 1] to the units of the encoder's weights: it sees image * scale + shift.
        axis_order: which of our axes (0 is X) each of the encoder's axes is; nnU-Net's are (Z, Y, X).
        layer_scale: what a block adds is scaled, by a learned number for each channel.
        norm_inner: a norm lies before the last dense layer of the attention.
        checkpointing: activations of the blocks are computed again in the backward pass, in place of being kept.
        axes: of space; 3 alone.
    Raises:
        ShapeError: pictures, a number below 1, a patch that is no power of 2, channels that do not divide among heads
            and axes, or an order that does not name each axis once.
    Source: Wald et al. 2025, Primus: Enforcing attention usage for 3D medical image segmentation, arXiv:2503.01835.
    Example: >>> Primus(embed=12, depth=1, heads=1, patch=4, grid=(2, 2, 2))(torch.rand(1, 1, 8, 8, 16)).shape
    torch.Size([1, 1, 8, 8, 16])
    """

    encoder: "PrimusEncoder"

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        embed: int = 864,
        depth: int = 16,
        heads: int = 12,
        patch: int = 8,
        grid: Sequence[int] = (20, 20, 20),
        hidden: int = 0,
        drop_path: float = 0.0,
        activation: Activation = "sigmoid",
        units: tuple[float, float] = (1.0, 0.0),
        axis_order: Sequence[int] = (2, 1, 0),
        layer_scale: bool = True,
        norm_inner: bool = True,
        checkpointing: bool = False,
        axes: int = AXES,
    ) -> None:
        super().__init__()
        if axes != AXES or len(grid) != AXES:
            raise ShapeError(f"Primus takes volumes, of three axes, got {axes} and a grid of {tuple(grid)}; take vit")
        if min(embed, depth, heads, *grid) < 1 or hidden < 0 or patch < 2 or patch & (patch - 1):
            raise ShapeError(f"embed, depth, heads and grid must be 1 or more, patch a power of 2; got patch {patch}")
        if embed % (heads * 2 * AXES):
            raise ShapeError(f"the channels, {embed}, must divide among {heads} heads into parts that 6 divides")
        if sorted(axis_order) != list(range(AXES)):
            raise ShapeError(f"axis_order names each of 3 axes once, got {tuple(axis_order)}; usual is (2, 1, 0)")
        self.in_channels, self.out_channels, self.axes = in_channels, out_channels, axes
        self.embed, self.depth, self.heads, self.patch, self.grid = embed, depth, heads, patch, tuple(grid)
        self.hidden, self.drop_path, self.activation = hidden, drop_path, activation
        self.layer_scale, self.norm_inner, self.checkpointing = layer_scale, norm_inner, checkpointing
        self.units, self.axis_order = (float(units[0]), float(units[1])), tuple(axis_order)
        self.stride = (patch,) * axes
        self.channels = (FINEST, embed)
        self.encoder = PrimusEncoder(self)
        self.finest = nn.Conv3d(in_channels, FINEST, 3, padding=1)
        self.rise = nn.ModuleList([_rising(embed, patch)])
        merge = nn.Conv3d(2 * FINEST, FINEST, 3, padding=1, bias=False)
        self.merge = nn.ModuleList([nn.Sequential(merge, make_norm("instance", FINEST, axes), nn.GELU())])
        self.last = nn.Conv3d(FINEST, out_channels, 1)

    def down(self) -> list[nn.Module]:
        """The patches with their places, the blocks, and the last norm."""
        eva = self.encoder.eva
        places = nn.ModuleList([self.encoder.down_projection, nn.ParameterList([eva.pos_embed])])
        return [places, *eva.blocks, eva.norm]


class PrimusEncoder(nn.Module):
    """The patches and the blocks, from a volume to tokens, under their published names.

    Args:
        shape: the network whose arguments say what to make.
    """

    def __init__(self, shape: Primus) -> None:
        super().__init__()
        self.inwards = (0, 1, *(2 + axis for axis in shape.axis_order))
        self.outwards = (0, 1, *(2 + shape.axis_order.index(axis) for axis in range(AXES)))
        projection = nn.Conv3d(shape.in_channels, shape.embed, shape.patch, stride=shape.patch)
        self.down_projection = nn.ModuleDict({"proj": projection})
        self.eva = _Eva(shape)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y, Z) -> the tokens of the last block, normed, (B, embed, X / patch, Y / patch, Z / patch)."""
        x = self.down_projection["proj"](x.permute(self.inwards))
        return [self.eva(x).permute(self.outwards)]


class _Eva(nn.Module):
    def __init__(self, shape: Primus) -> None:
        super().__init__()
        self.grid, self.turned, self.checkpointing = shape.grid, shape.embed // shape.heads, shape.checkpointing
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(shape.grid), shape.embed))
        rates = np.linspace(0, shape.drop_path, shape.depth).tolist()
        self.blocks = nn.ModuleList(_Block(shape, rate) for rate in rates)
        self.norm = nn.LayerNorm(shape.embed, eps=EPS)
        begin(self)
        nn.init.trunc_normal_(self.pos_embed, std=INITIAL_STD)

    def forward(self, x: Tensor) -> Tensor:
        """Patches (B, embed, *grid) -> the same, normed."""
        size = tuple(x.shape[2:])
        x = (x + self._places(size)).flatten(2).mT  # (B, patches, embed)
        turns = rotary_turns(size, self.turned, self.grid).to(x.device)
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = torch.utils.checkpoint.checkpoint(block, x, turns, use_reentrant=False)
            else:
                x = block(x, turns)
        return cast(Tensor, self.norm(x)).mT.reshape(x.shape[0], -1, *size)

    def _places(self, size: tuple[int, ...]) -> Tensor:
        """The embedding by position for a grid of patches, (1, embed, *size)."""
        places = self.pos_embed.mT.reshape(1, -1, *self.grid)
        if size == self.grid:
            return places
        return functional.interpolate(places, size=size, mode="trilinear", align_corners=False)


class _Block(nn.Module):
    def __init__(self, shape: Primus, rate: float) -> None:
        super().__init__()
        dim, self.rate = shape.embed, rate
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = _Attention(dim, shape.heads, shape.norm_inner)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = MLP(dim, shape.hidden or dim * 8 // 3, gated=True, norm_eps=EPS)
        self.gamma_1 = nn.Parameter(torch.full((dim,), 0.1)) if shape.layer_scale else None
        self.gamma_2 = nn.Parameter(torch.full((dim,), 0.1)) if shape.layer_scale else None

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """Tokens (B, tokens, dim) -> the same."""
        first, second = (1.0 if gamma is None else gamma for gamma in (self.gamma_1, self.gamma_2))
        x = x + left_out(first * self.attn(self.norm1(x), turns), self.rate, self.training)
        return x + left_out(second * self.mlp(self.norm2(x)), self.rate, self.training)


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int, norm_inner: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=EPS) if norm_inner else nn.Identity()

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """Tokens (B, tokens, dim) and the angles of `rotary_turns` -> tokens."""
        q, k, v = (part.squeeze(1) for part in split_heads(self.qkv(x).unsqueeze(1), self.heads))
        mixed = functional.scaled_dot_product_attention(turned(q, turns), turned(k, turns), v)
        return cast(Tensor, self.proj(self.norm(mixed.transpose(1, 2).flatten(2))))


def _rising(embed: int, patch: int) -> nn.Module:
    """Double the sides as often as patches ask for, down to the channels of the skip."""
    steps = patch.bit_length() - 1
    channels = [embed, *(FINEST * 2**step for step in reversed(range(steps)))]
    layers: list[nn.Module] = []
    for few, fewer in itertools.pairwise(channels):
        layers += [nn.ConvTranspose3d(few, fewer, 2, stride=2), make_norm("instance", fewer, AXES), nn.GELU()]
    return nn.Sequential(*layers)
