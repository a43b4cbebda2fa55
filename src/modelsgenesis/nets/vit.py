"""The Vision Transformer as an encoder, under the names of its published weights, with a decoder of our own."""

import itertools
from typing import cast

import numpy as np
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.core.backbone import Part
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.transformer import INITIAL_STD, MLP, UperNetBackbone, begin, left_out
from modelsgenesis.nets.base.window_attention import split_heads
from modelsgenesis.nets.unet3d import Activation
from modelsgenesis.nets.upernet import UperNet

EPS = 1e-6
LEVELS = 4  # depths at which features are taken, at equal distances, the last block's among them
SLOWEST = 10_000.0  # the longest wave of a rotary embedding against its shortest


class ViT(UperNetBackbone):
    """Attention among all patches of a picture, and a UperNet decoder over a pyramid of tokens from several depths.

    The encoder's tensors have timm's names. The embedding by position belongs to a grid of patches; for a picture of
    another number of patches it is interpolated, bicubically, at each pass, so any size will do that patches divide.

    All features of the encoder lie on the grid of patches; the decoder enlarges the finer levels 4 and 2 times. The
    class token takes part in the attention, and is in no feature: a picture's vector is the mean of its patches'.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        embed: channels of a token.
        depth: blocks.
        heads: of the attention.
        patch: side in pixels of what becomes one token.
        grid: patches along a side of the pictures that the embedding by position is made for.
        hidden: channels inside a block's dense layers; 0 takes four times `embed`.
        drop_path: the rate at which the last block is left out in training; it rises from 0 over the blocks.
        width: channels of the decoder.
        activation: after the last convolution; "identity" leaves the logits.
        units: (scale, shift), from our [0, 1] to the units of the encoder's weights: it sees image * scale + shift.
        class_token: one more token goes along.
        layer_scale: what a block adds is scaled, by a learned number for each channel (DINOv2).
        gated: the dense layers have a gate (SwiGLU).
        norm_hidden: a norm lies before the second dense layer (EVA-02's base and large).
        rotary: queries and keys are turned by their place too (EVA-02).
        checkpointing: activations of the blocks are computed again in the backward pass, in place of being kept.
        axes: of space; 2 alone.
    Raises:
        ShapeError: volumes, a number below 1, or channels that do not divide among the heads.
    Source: Dosovitskiy et al. 2021, An image is worth 16x16 words; Oquab et al. 2023, DINOv2; Fang et al. 2023,
    EVA-02; the pyramid is that of Bao et al. 2022, BEiT, whose coarsest level is left to the decoder's pooling.
    Example: >>> ViT(embed=16, depth=4, heads=2, patch=8, grid=4)(torch.rand(1, 1, 32, 48)).shape
    torch.Size([1, 1, 32, 48])
    """

    encoder: "ViTEncoder"

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        embed: int = 768,
        depth: int = 12,
        heads: int = 12,
        patch: int = 16,
        grid: int = 14,
        hidden: int = 0,
        drop_path: float = 0.0,
        width: int = 128,
        activation: Activation = "sigmoid",
        units: tuple[float, float] = (1.0, 0.0),
        class_token: bool = True,
        layer_scale: bool = False,
        gated: bool = False,
        norm_hidden: bool = False,
        rotary: bool = False,
        checkpointing: bool = False,
        axes: int = 2,
    ) -> None:
        super().__init__()
        if axes != 2:
            raise ShapeError(f"a Vision Transformer takes pictures, of two axes, got {axes}; take unet3d for volumes")
        if min(embed, depth, heads, patch, grid) < 1 or hidden < 0:
            raise ShapeError("embed, depth, heads, patch and grid must be 1 or more, and hidden 0 or more")
        if embed % heads or (rotary and embed // heads % 4):
            fours = " into parts that 4 divides, two turns for each axis," if rotary else ""
            raise ShapeError(f"the channels, {embed}, must divide{fours} among the heads, {heads}")
        self.in_channels, self.out_channels, self.axes = in_channels, out_channels, axes
        self.embed, self.depth, self.heads, self.patch, self.grid = embed, depth, heads, patch, grid
        self.hidden, self.drop_path, self.width, self.activation = hidden, drop_path, width, activation
        self.class_token, self.layer_scale, self.gated, self.rotary = class_token, layer_scale, gated, rotary
        self.norm_hidden, self.checkpointing = norm_hidden, checkpointing
        self.units = (float(units[0]), float(units[1]))
        self.stride = (patch,) * axes
        self.encoder = ViTEncoder(self)
        levels = len(self.encoder.taken)
        rises = [max(0, min(2, levels - 2 - level)) for level in range(levels)]  # 4 times is twice 2 times
        self.rise = nn.ModuleList(_enlarging(embed, width, times) for times in rises)
        self.decoder = UperNet(in_channels, [width if times else embed for times in rises], width)
        self.channels = (self.decoder.finest_channels, *(embed,) * levels)
        self.last = nn.Conv2d(self.channels[0], out_channels, 1)

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], X, Y)."""
        finest, *tokens = features
        return super().decode([finest, *(rise(x) for rise, x in zip(self.rise, tokens, strict=True))])

    def down(self) -> list[nn.Module]:
        """The patches with their places, the blocks, and the last norm."""
        encoder = self.encoder
        places = nn.ParameterList(encoder.added())
        return [nn.ModuleList([encoder.patch_embed, places]), *encoder.blocks, encoder.norm]

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The encoder's steps, the pyramid with the decoder, and the last convolution."""
        decoder = nn.ModuleList([self.rise, self.decoder])
        return [(part, decoder if module is self.decoder else module) for part, module in super().parts()]


class ViTEncoder(nn.Module):
    """The blocks, from a picture to tokens, under their published names.

    Args:
        shape: the network whose arguments say what to make.
    """

    cls_token: nn.Parameter | None

    def __init__(self, shape: ViT) -> None:
        super().__init__()
        dim, depth, grid = shape.embed, shape.depth, shape.grid
        self.grid, self.checkpointing = grid, shape.checkpointing
        self.turned = dim // shape.heads if shape.rotary else 0  # channels of a head that are turned
        levels = min(LEVELS, depth)
        self.taken = tuple(depth * (level + 1) // levels for level in range(levels))  # blocks before each
        self.patch_embed = _PatchEmbed(shape.in_channels, dim, shape.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if shape.class_token else None
        self.pos_embed = nn.Parameter(torch.zeros(1, grid**2 + shape.class_token, dim))
        rates = np.linspace(0, shape.drop_path, depth).tolist()
        self.blocks = nn.ModuleList(_Block(shape, rate) for rate in rates)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        begin(self)
        for parameter in self.added():
            nn.init.trunc_normal_(parameter, std=INITIAL_STD)

    def added(self) -> list[nn.Parameter]:
        """What is learned of the class token and of the places."""
        return [self.pos_embed] if self.cls_token is None else [self.cls_token, self.pos_embed]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y) -> features of the depths taken, (B, embed, X / patch, Y / patch); the last normed.

        The published networks see pictures of (rows, columns), ours are (X, Y), X along the rows: they are turned.
        """
        x = self.patch_embed(x.mT)
        size = (x.shape[1], x.shape[2])
        x = self._placed(x.flatten(1, 2), size)
        turns = rotary_turns(size, self.turned, (self.grid,) * 2).to(x.device) if self.turned else None
        if turns is not None and self.cls_token is not None:
            turns = functional.pad(turns, (0, 0, 1, 0))  # the class token is not turned
        features = []
        for number, block in enumerate(self.blocks, 1):
            if self.checkpointing and self.training:
                x = torch.utils.checkpoint.checkpoint(block, x, turns, use_reentrant=False)
            else:
                x = block(x, turns)
            if number in self.taken:
                features.append(x if number < len(self.blocks) else self.norm(x))
        first = 0 if self.cls_token is None else 1
        return [feature[:, first:].reshape(x.shape[0], *size, -1).permute(0, 3, 2, 1) for feature in features]

    def _placed(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Patches (B, rows * columns, dim) -> tokens with their places, the class token first."""
        first = 0 if self.cls_token is None else 1
        places = self.pos_embed[:, first:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        places = functional.interpolate(places, size=size, mode="bicubic", align_corners=False)
        x = x + places.flatten(2).mT
        if self.cls_token is None:
            return x
        return torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(x.shape[0], -1, -1), x], dim=1)


class _PatchEmbed(nn.Module):
    def __init__(self, in_channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, rows, columns) -> tokens, (B, rows / patch, columns / patch, dim)."""
        tokens: Tensor = self.proj(x)
        return tokens.permute(0, 2, 3, 1)


class _Block(nn.Module):
    def __init__(self, shape: ViT, rate: float) -> None:
        super().__init__()
        dim, self.rate = shape.embed, rate
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = _Attention(dim, shape.heads)
        self.ls1 = _LayerScale(dim) if shape.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = MLP(dim, shape.hidden or 4 * dim, shape.gated, EPS if shape.norm_hidden else None)
        self.ls2 = _LayerScale(dim) if shape.layer_scale else nn.Identity()

    def forward(self, x: Tensor, turns: Tensor | None) -> Tensor:
        """Tokens (B, tokens, dim) -> the same."""
        x = x + left_out(self.ls1(self.attn(self.norm1(x), turns)), self.rate, self.training)
        return x + left_out(self.ls2(self.mlp(self.norm2(x))), self.rate, self.training)


class _LayerScale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, turns: Tensor | None) -> Tensor:
        """Tokens (B, tokens, dim) and the angles of `rotary_turns` -> tokens."""
        q, k, v = (part.squeeze(1) for part in split_heads(self.qkv(x).unsqueeze(1), self.heads))
        if turns is not None:
            q, k = turned(q, turns), turned(k, turns)
        mixed = functional.scaled_dot_product_attention(q, k, v)  # (B, heads, tokens, dim / heads)
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))


def rotary_turns(size: tuple[int, ...], channels: int, grid: tuple[int, ...]) -> Tensor:
    """The angles by which the channels of a token are turned, two by two, (tokens, channels).

    The first part of the channels tells the row, the next the column, and so on along the axes. An image of more
    patches is spread over the same angles.

    Args:
        size: tokens along each axis.
        channels: of a head; twice the number of axes divides them.
        grid: patches along the axes of the images that the weights are made for.
    """
    axes, bands = len(size), channels // (2 * len(size))
    waves = SLOWEST ** -(torch.arange(bands) / bands)
    parts = []
    for axis, (side, known) in enumerate(zip(size, grid, strict=True)):
        place = torch.arange(side)[:, None] * known
        own = place / torch.full_like(place, side) * waves
        parts.append(own.reshape(*(-1 if axis == other else 1 for other in range(axes)), bands).expand(*size, -1))
    return torch.cat(parts, dim=-1).flatten(0, axes - 1).repeat_interleave(2, dim=1)


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """(..., tokens, channels) with every two channels turned by their angle."""
    first, second = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
    across = torch.stack([-second, first], dim=-1).flatten(-2)
    return (x * angles.cos() + across * angles.sin()).to(x.dtype)


def _enlarging(dim: int, width: int, times: int) -> nn.Module:
    """Double the sides so many times; nothing at all for none."""
    channels = [dim, *(width,) * times]
    steps = [nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in itertools.pairwise(channels)]
    return nn.Sequential(*(layer for step in steps for layer in (step, nn.GELU()))) if steps else nn.Identity()
