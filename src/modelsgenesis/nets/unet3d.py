"""The U-Net of Models Genesis, in 3D and, from the same code, in 2D."""

from typing import Literal

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.norms import Norm, make_norm

Up = Literal["transposed", "nearest"]
Activation = Literal["sigmoid", "identity"]


class UNet3D(Backbone):
    """Four levels of two convolutions, three poolings, skips by concatenation.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        width: of the first convolution; the deepest features have 16 times as many channels.
        norm: "batch_stats" is the authors' PyTorch network, "batch" their Keras one.
        up: "transposed" is the authors' PyTorch network, "nearest" their Keras one.
        activation: after the last convolution; "identity" leaves the logits.
        axes: of space; 2 gives the twin for radiographs and slices.
        eps: that the norm adds to the variance; Keras adds 1e-3.
    Source: Zhou et al. 2021, section 3, and the authors' published layer names; width 32, norm "batch_stats" and up
        "transposed" has their 19,073,665 parameters.
    Example: >>> UNet3D(width=8)(torch.rand(1, 1, 64, 64, 32)).shape
    torch.Size([1, 1, 64, 64, 32])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        norm: Norm = "batch",
        up: Up = "transposed",
        activation: Activation = "sigmoid",
        axes: int = 3,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ShapeError(f"width must be 1 or more, got {width}")
        if axes not in (2, 3):
            raise ValueError(f"axes must be 2 or 3, got {axes}")
        if activation not in ("sigmoid", "identity"):
            raise ValueError(f"activation must be sigmoid or identity, got {activation!r}")
        self.in_channels, self.out_channels, self.width = in_channels, out_channels, width
        self.norm, self.up, self.activation, self.axes = norm, up, activation, axes
        self.eps = eps
        self.channels = tuple(2 * width * 2**level for level in range(4))
        self.stride = (8,) * axes
        inner = (in_channels, *self.channels)
        self.down = nn.ModuleList(
            _Level(inner[level], width * 2**level, inner[level + 1], norm, axes, eps) for level in range(4)
        )
        self.rise = nn.ModuleList(_make_up(up, channels, axes) for channels in self.channels[:0:-1])
        self.merge = nn.ModuleList(
            _Level(coarse + fine, fine, fine, norm, axes, eps)
            for coarse, fine in zip(self.channels[:0:-1], self.channels[-2::-1], strict=True)
        )
        self.pool = nn.MaxPool3d(2) if axes == 3 else nn.MaxPool2d(2)
        self.last = _convolution(axes)(self.channels[0], out_channels, 1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> four features, at 1, 1/2, 1/4 and 1/8 of the size."""
        features: list[Tensor] = []
        for level in self.down:
            x = level(self.pool(features[-1]) if features else x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """Four features -> (B, channels[0], *space)."""
        x = features[-1]
        for rise, merge, skip in zip(self.rise, self.merge, features[-2::-1], strict=True):
            x = merge(torch.cat([rise(x), skip], dim=1))
        return x

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space)."""
        x = self.last(x)
        return x.sigmoid() if self.activation == "sigmoid" else x

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """Four levels down, three up with their convolutions, and the last convolution."""
        down: list[tuple[Part, nn.Module]] = [("encoder", level) for level in self.down]
        up = [nn.ModuleList(pair) for pair in zip(self.rise, self.merge, strict=True)]
        return [*down, *(("decoder", level) for level in up), ("head", self.last)]


class _Level(nn.Sequential):
    """Twice a convolution, a norm and a ReLU."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, norm: Norm, axes: int, eps: float) -> None:
        convolution = _convolution(axes)
        super().__init__(
            convolution(in_channels, middle, 3, padding=1),
            make_norm(norm, middle, axes, eps),
            nn.ReLU(inplace=True),
            convolution(middle, out_channels, 3, padding=1),
            make_norm(norm, out_channels, axes, eps),
            nn.ReLU(inplace=True),
        )


def _convolution(axes: int) -> type[nn.Conv2d | nn.Conv3d]:
    return nn.Conv3d if axes == 3 else nn.Conv2d


def _make_up(up: Up, channels: int, axes: int) -> nn.Module:
    if up == "nearest":
        return nn.Upsample(scale_factor=2, mode="nearest")
    if up == "transposed":
        kind = nn.ConvTranspose3d if axes == 3 else nn.ConvTranspose2d
        return kind(channels, channels, 2, stride=2)
    raise ValueError(f"up must be transposed or nearest, got {up!r}")
