"""ConvNeXt, a convolutional network of ImageNet built like a transformer, as an encoder under a small decoder."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.stepped_decoder import SteppedDecoder
from modelsgenesis.nets.resnet import FINEST, convolved
from modelsgenesis.nets.unet3d import Activation

EPS = 1e-6  # of the layer norms
SCALE = 1e-6  # of a block's part in its sum, at the start


class ConvNeXt(SteppedDecoder):
    """Four stages of blocks at a 4th to a 32nd of a picture's size, and a decoder with a skip at each size.

    The decoder makes a feature at the size of the picture by one convolution of it, as that of `ResNet` does. Blocks
    are never dropped at random.

    Args:
        in_channels: of the picture.
        out_channels: of the prediction.
        blocks: of each of the four stages; (3, 3, 9, 3) is ConvNeXt-Tiny, (3, 3, 27, 3) Small.
        width: channels of the first stage; they double from stage to stage.
        activation: after the last convolution; "identity" leaves the logits.
        axes: of space; 2.
        units: (scale, shift), from our [0, 1] to the units of the encoder's weights: it sees picture * scale + shift.
    Raises:
        ShapeError: not four stages, a number below 1, or images of three axes.
    Source: Liu et al. 2022, A ConvNet for the 2020s.
    Example: >>> ConvNeXt(width=8, blocks=(1, 1, 1, 1))(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 1, 64, 64])
    """

    encoder: "_Encoder"

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        blocks: Sequence[int] = (3, 3, 9, 3),
        width: int = 96,
        activation: Activation = "sigmoid",
        axes: int = 2,
        units: Sequence[float] = (1.0, 0.0),
    ) -> None:
        super().__init__()
        if axes != 2:
            raise ShapeError(f"a ConvNeXt is for pictures, of 2 axes, got {axes}; use resnet, unet3d or residual-unet")
        if len(blocks) != 4 or min(*blocks, width) < 1:
            raise ShapeError(
                f"blocks must be four numbers and all of them, and width, 1 or more; got {blocks}, {width}"
            )
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        self.blocks, self.width, self.axes = tuple(blocks), width, axes
        self.units = (float(units[0]), float(units[1]))
        self.stride = (32, 32)
        self.channels = (FINEST, *(width * 2**stage for stage in range(4)))
        self.encoder = _Encoder(in_channels, blocks, width)
        self.finest = convolved(in_channels, FINEST, axes)
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, step, stride=step)
            for coarse, fine, step in zip(self.channels[:0:-1], self.channels[-2::-1], (2, 2, 2, 4), strict=True)
        )
        self.merge = nn.ModuleList(convolved(2 * fine, fine, axes) for fine in self.channels[-2::-1])
        self.last = nn.Conv2d(FINEST, out_channels, 1)

    def down(self) -> list[nn.Module]:
        """The stem and the stages, with what shrinks before them."""
        return list(self.encoder.features)


class _Encoder(nn.Module):
    """The layers under torchvision's names: even ones shrink the picture, odd ones are stages."""

    def __init__(self, in_channels: int, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(in_channels, width, 4, stride=4), _ChannelNorm(width, eps=EPS))
        ]
        for stage, count in enumerate(blocks):
            channels = width * 2**stage
            if stage:
                shrink = nn.Conv2d(channels // 2, channels, 2, stride=2)
                layers.append(nn.Sequential(_ChannelNorm(channels // 2, eps=EPS), shrink))
            layers.append(nn.Sequential(*(_Block(channels) for _ in range(count))))
        self.features = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features after each stage."""
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number % 2:
                found.append(x)
        return found


class _ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of every pixel, (B, C, X, Y)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Block(nn.Module):
    """A wide convolution channel by channel, then two dense layers at every pixel, scaled and added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), SCALE))
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            nn.Identity(),  # torchvision turns the axes here, which counts among the names
            nn.LayerNorm(channels, eps=EPS),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, X, Y) -> the same."""
        across, *dense = self.block
        y = across(x).movedim(1, -1)
        for layer in dense:
            y = layer(y)
        out: Tensor = x + self.layer_scale * y.movedim(-1, 1)
        return out
