"""The Swin Transformer as an encoder, under the names of its published weights, with a decoder of our own."""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch.utils.checkpoint
from torch import Tensor, nn

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.transformer import MLP, UperNetBackbone, begin, left_out
from modelsgenesis.nets.base.window_attention import (
    CosineAttention,
    WindowAttention,
    from_windows,
    moved,
    shift_of,
    to_windows,
    window_regions,
)
from modelsgenesis.nets.unet3d import Activation
from modelsgenesis.nets.upernet import UperNet

PATCH = 4  # pixels of a side that become one token
EPS = 1e-5

Version = Literal[1, 2]


class Swin(UperNetBackbone):
    """Attention within windows that are shifted in every other block, and a UperNet decoder.

    The encoder's tensors have the names and shapes of the published ones, so that their files fit it whole. Biases by
    relative position belong to a window, not to a picture: any size will do whose sides, at every stage, divide by the
    window or are smaller than it.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        embed: channels of the first stage; they double from stage to stage.
        depths: blocks of each stage.
        heads: of the attention of each stage.
        window: tokens along a side of a window.
        drop_path: the rate at which the last block is left out in training; it rises from 0 over the blocks.
        width: channels of the decoder.
        activation: after the last convolution; "identity" leaves the logits.
        units: (scale, shift), from our [0, 1] to the units of the encoder's weights: it sees image * scale + shift.
        version: 2 normalises what blocks add in place of what they take, compares tokens by their angle, and computes
            biases from distances by a small network, so that they fit any window.
        checkpointing: activations of the blocks are computed again in the backward pass, in place of being kept.
        axes: of space; 2 alone.
    Raises:
        ShapeError: stages of different numbers, or channels that do not divide among the heads.
    Source: Liu et al. 2021, Swin Transformer, and 2022, Swin Transformer V2; the names are those of its authors'
    release, and of timm before 0.9.
    Example: >>> Swin(embed=16, depths=(1, 1), heads=(1, 2), window=2)(torch.rand(1, 1, 32, 32)).shape
    torch.Size([1, 1, 32, 32])
    """

    encoder: "SwinEncoder"

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        embed: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        heads: Sequence[int] = (4, 8, 16, 32),
        window: int = 7,
        drop_path: float = 0.0,
        width: int = 128,
        activation: Activation = "sigmoid",
        units: Sequence[float] = (1.0, 0.0),
        version: Version = 1,
        checkpointing: bool = False,
        axes: int = 2,
    ) -> None:
        super().__init__()
        if axes != 2:
            raise ShapeError(f"a Swin Transformer takes pictures, of two axes, got {axes}; take unet3d for volumes")
        if version not in (1, 2):
            raise ShapeError(f"there are versions 1 and 2 of Swin Transformers, got {version}")
        if len(depths) != len(heads) or not depths or min(*depths, *heads, embed, window) < 1:
            raise ShapeError(f"every stage needs blocks and heads, 1 or more; got depths {depths}, heads {heads}")
        if any(embed * 2**stage % some for stage, some in enumerate(heads)):
            raise ShapeError(f"the channels, {embed} and twice as many from stage to stage, must divide by {heads}")
        self.in_channels, self.out_channels, self.axes = in_channels, out_channels, axes
        self.embed, self.depths, self.heads, self.window = embed, tuple(depths), tuple(heads), window
        self.drop_path, self.width, self.activation, self.checkpointing = drop_path, width, activation, checkpointing
        self.version = version
        self.units = (float(units[0]), float(units[1]))
        self.stride = (PATCH * 2 ** (len(depths) - 1) * window,) * axes
        stages = tuple(embed * 2**stage for stage in range(len(depths)))
        self.encoder = SwinEncoder(in_channels, embed, depths, heads, window, drop_path, version, checkpointing)
        self.decoder = UperNet(in_channels, stages, width)
        self.channels = (self.decoder.finest_channels, *stages)
        self.last = nn.Conv2d(self.channels[0], out_channels, 1)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a batch whose sides do not divide into windows; a stage smaller than a window is one.

        Args:
            shape: (B, C, X, Y).
        Raises:
            ShapeError: as said.
        """
        if len(shape) == self.axes + 2 and shape[1] == self.in_channels and self._fits(shape[2:]):
            return
        super().check(shape)

    def _fits(self, size: tuple[int, ...]) -> bool:
        steps = [PATCH * 2**stage for stage in range(len(self.depths))]
        if any(side % steps[-1] for side in size):
            return False
        sides = [side // step for side in size for step in steps]
        return all(side % self.window == 0 or side < self.window for side in sides)

    def down(self) -> list[nn.Module]:
        """The patches, the stages, and the last norm."""
        return [self.encoder.patch_embed, *self.encoder.layers, self.encoder.norm]


class SwinEncoder(nn.Module):
    """The stages, from a picture to tokens, under their published names."""

    def __init__(
        self,
        in_channels: int,
        embed: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int,
        drop_path: float,
        version: Version,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        rates = np.linspace(0, drop_path, sum(depths)).tolist()
        self.patch_embed = _PatchEmbed(in_channels, embed)
        self.layers = nn.ModuleList()
        for stage, (depth, some) in enumerate(zip(depths, heads, strict=True)):
            own, rates = rates[:depth], rates[depth:]
            more = stage < len(depths) - 1
            self.layers.append(_Stage(embed * 2**stage, some, window, own, more, version, checkpointing))
        self.norm = nn.LayerNorm(embed * 2 ** (len(depths) - 1), eps=EPS)
        begin(self)
        for module in self.modules():
            if version == 2 and isinstance(module, _Block):  # which adds nothing at first
                nn.init.zeros_(module.norm1.weight)
                nn.init.zeros_(module.norm2.weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, X, Y) -> the stages' features, (B, channels, X / step, Y / step), finest first; the last normed.

        The published networks see pictures of (rows, columns), ours are (X, Y), X along the rows: they are turned.
        """
        x = self.patch_embed(x.mT)
        features = []
        for layer in self.layers:
            x, whole = layer(x)
            features.append(whole)
        features[-1] = self.norm(features[-1])
        return [feature.permute(0, 3, 2, 1) for feature in features]


class _PatchEmbed(nn.Module):
    def __init__(self, in_channels: int, embed: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(embed, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, rows, columns) -> tokens, (B, rows / 4, columns / 4, embed)."""
        tokens: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return tokens


class _Stage(nn.Module):
    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        rates: Sequence[float],
        more: bool,
        version: Version,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        shifts = itertools.cycle((0, window // 2))
        self.blocks = nn.ModuleList(
            _Block(dim, heads, window, shift, rate, version) for rate, shift in zip(rates, shifts, strict=False)
        )
        self.downsample = _PatchMerging(dim, version) if more else None
        self.checkpointing = checkpointing

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, rows, columns, dim) -> those of the next stage, and this one's."""
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return (self.downsample(x) if self.downsample is not None else x), x


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, window: int, shift: int, rate: float, version: Version) -> None:
        super().__init__()
        self.window, self.shift, self.rate, self.version = window, shift, rate, version
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = WindowAttention(dim, heads, window) if version == 1 else CosineAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = MLP(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, rows, columns, dim) -> the same."""
        if self.version == 2:
            x = x + left_out(self.norm1(self._attended(x)), self.rate, self.training)
            return x + left_out(self.norm2(self.mlp(x)), self.rate, self.training)
        x = x + left_out(self._attended(self.norm1(x)), self.rate, self.training)
        return x + left_out(self.mlp(self.norm2(x)), self.rate, self.training)

    def _attended(self, x: Tensor) -> Tensor:
        """Attention within windows, shifted where there are several along both sides.

        The shift is a number of the graph, not a branch and no size, so that an exported one serves pictures of all
        sizes: symbols for sizes that are computed from sizes cost the exporter minutes.
        """
        size = x.shape[1:3]
        window = tuple(self.window if side >= self.window else int(side) for side in size)
        if not self.shift:
            return from_windows(self.attn(to_windows(x, window), window, None), window, tuple(size))
        shift = shift_of(tuple(size), window, self.shift, x.device)
        regions = window_regions(tuple(size), window, shift)
        x = self.attn(to_windows(moved(x, shift), window), window, regions)
        return moved(from_windows(x, window, tuple(size)), -shift)


class _PatchMerging(nn.Module):
    def __init__(self, dim: int, version: Version) -> None:
        super().__init__()
        self.version = version
        self.norm = nn.LayerNorm(4 * dim if version == 1 else 2 * dim, eps=EPS)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, rows, columns, dim) -> (B, rows / 2, columns / 2, 2 dim)."""
        batch, rows, columns, dim = x.shape
        corners = x.reshape(batch, rows // 2, 2, columns // 2, 2, dim)
        x = corners.permute(0, 1, 3, 4, 2, 5).flatten(3)  # (row, column) in the published order: 00, 10, 01, 11
        merged: Tensor = self.reduction(self.norm(x)) if self.version == 1 else self.norm(self.reduction(x))
        return merged
