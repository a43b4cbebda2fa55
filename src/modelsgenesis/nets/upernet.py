"""UperNet: a decoder for encoders whose features lie at falling sizes, such as transformers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelsgenesis.nets.norms import make_norm

POOLED = (1, 2, 3, 6)  # positions along a side to which the deepest feature is pooled
FINEST = 16  # channels of the skip at the size of the image


class UperNet(nn.Module):
    """Pool the deepest feature at several sizes, add it to the finer ones from the top down, and fuse all of them.

    The published decoder ends at the size of the finest feature. Here it is enlarged, and joined by one convolution of
    the image itself, so that a network with this decoder can restore detail.

    Args:
        in_channels: of the image.
        channels: of the encoder's features, finest first.
        width: channels of every step.
    Source: Xiao et al. 2018, Unified perceptual parsing for scene understanding.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.finest_channels = FINEST
        self.finest = _convolved(in_channels, FINEST, 3)
        self.pooled = nn.ModuleList(_convolved(channels[-1], width, 1) for _ in POOLED)
        self.bottleneck = _convolved(channels[-1] + len(POOLED) * width, width, 3)
        self.lateral = nn.ModuleList(_convolved(some, width, 1) for some in channels[:-1])
        self.smooth = nn.ModuleList(_convolved(width, width, 3) for _ in channels[:-1])
        self.fuse = _convolved(len(channels) * width, width, 3)
        self.merge = _convolved(width + FINEST, FINEST, 3)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The feature of the image's size and the encoder's, finest first -> (B, finest_channels, X, Y)."""
        finest, *features = features
        deepest = features[-1]
        pooled = [
            _enlarged(part(pooled_to(deepest, side)), deepest) for side, part in zip(POOLED, self.pooled, strict=True)
        ]
        x = self.bottleneck(torch.cat([deepest, *pooled], dim=1))
        levels = [x]
        for feature, lateral in zip(features[-2::-1], reversed(self.lateral), strict=True):
            x = lateral(feature) + _enlarged(x, feature)
            levels.append(x)
        smoothed = [levels[0], *(smooth(x) for smooth, x in zip(reversed(self.smooth), levels[1:], strict=True))]
        fused = self.fuse(torch.cat([_enlarged(x, smoothed[-1]) for x in reversed(smoothed)], dim=1))
        merged: Tensor = self.merge(torch.cat([finest, _enlarged(fused, finest)], dim=1))
        return merged


def pooled_to(x: Tensor, side: int) -> Tensor:
    """Means over side x side areas, as adaptive pooling has them, by products: these export for pictures of any size.

    Args:
        x: (B, C, X, Y).
        side: areas along each axis; they overlap where the sides do not divide.
    """
    areas = torch.arange(side, device=x.device)[:, None]
    shares = []
    for length in x.shape[2:]:
        places = torch.arange(length, device=x.device)
        inside = (places >= areas * length // side) & (places < ((areas + 1) * length + side - 1) // side)
        shares.append(inside.to(x.dtype) / inside.sum(1, keepdim=True).to(x.dtype))  # (side, length)
    return shares[0] @ x @ shares[1].mT


def _convolved(in_channels: int, out_channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False),
        make_norm("group", out_channels, 2),
        nn.ReLU(inplace=True),
    )


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
