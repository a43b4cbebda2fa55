"""The residual networks of ImageNet and MedicalNet as encoders, under a small decoder of our own."""

import functools
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.base.stepped_decoder import SteppedDecoder
from modelsgenesis.nets.norms import make_norm
from modelsgenesis.nets.unet3d import Activation

Shortcut = Literal["A", "B"]

STRIDES = (1, 2, 2, 2)  # of the four layers
DILATED = (1, 2, 1, 1), (1, 1, 2, 4)  # strides and dilations where the last two dilate in place of shrinking
FINEST = 32  # channels of the decoder at the size of the image


class ResNet(SteppedDecoder):
    """Four layers of residual blocks down to a 32nd or an eighth of the size, and a decoder with a skip at each size.

    Such networks have no feature at the size of the image; the decoder makes one, by one convolution of the image.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        blocks: of each of the four layers: (1, 1, 1, 1) is depth 10, (2, 2, 2, 2) 18, (3, 4, 6, 3) 34 and, with
            bottlenecks, 50.
        bottleneck: blocks of three convolutions with four times the channels, in place of two.
        shortcut: around a block that changes the shape: "A" takes every other voxel and appends zero channels, "B" is a
            convolution.
        width: channels of the first convolution and layer; they double from layer to layer.
        activation: after the last convolution; "identity" leaves the logits.
        axes: of space; 2 for pictures.
        dilated: the last two layers dilate by 2 and 4 in place of halving the size, as MedicalNet's do for
            segmentation; ImageNet's do not.
        units: (scale, shift), from our [0, 1] to the units of the encoder's weights: it sees image * scale + shift.
    Raises:
        ShapeError: not four layers, or a number below 1.
    Source: He et al. 2016, Deep Residual Learning, with the stride of a bottleneck in its middle convolution, as
        torchvision has it; Chen, Ma and Zheng 2019, Med3D, for strides, dilations and shortcuts of theirs. MONAI's
        network of the same name is not dilated.
    Example: >>> ResNet(width=8, axes=2, dilated=False)(torch.rand(1, 1, 64, 64)).shape
    torch.Size([1, 1, 64, 64])
    """

    encoder: "_Encoder"

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        blocks: Sequence[int] = (2, 2, 2, 2),
        bottleneck: bool = False,
        shortcut: Shortcut = "B",
        width: int = 64,
        activation: Activation = "sigmoid",
        axes: int = 3,
        dilated: bool = True,
        units: Sequence[float] = (1.0, 0.0),
    ) -> None:
        super().__init__()
        if axes not in (2, 3):
            raise ValueError(f"axes must be 2 or 3, got {axes}")
        if len(blocks) != 4 or min(*blocks, width) < 1:
            raise ShapeError(
                f"blocks must be four numbers and all of them, and width, 1 or more; got {blocks}, {width}"
            )
        if shortcut not in ("A", "B"):
            raise ValueError(f"shortcut must be A or B, got {shortcut!r}")
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        self.blocks, self.bottleneck, self.shortcut, self.width = tuple(blocks), bottleneck, shortcut, width
        self.axes, self.dilated, self.units = axes, dilated, (float(units[0]), float(units[1]))
        self.stride = (8 if dilated else 32,) * axes
        spread = 4 if bottleneck else 1
        deeper = (8,) if dilated else (2, 4, 8)
        self.channels = (FINEST, width, width * spread, *(times * width * spread for times in deeper))
        self.encoder = _Encoder(in_channels, blocks, bottleneck, shortcut, width, axes, dilated)
        self.finest = convolved(in_channels, FINEST, axes)
        rising = nn.ConvTranspose3d if axes == 3 else nn.ConvTranspose2d
        self.rise = nn.ModuleList(
            rising(coarse, fine, 2, stride=2)
            for coarse, fine in zip(self.channels[:0:-1], self.channels[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(convolved(2 * fine, fine, axes) for fine in self.channels[-2::-1])
        self.last = _kind(axes)(FINEST, out_channels, 1)

    def down(self) -> list[nn.Module]:
        """The first convolution and the four layers."""
        encoder = self.encoder
        stem = nn.ModuleList([encoder.conv1, encoder.bn1])
        return [stem, encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4]


class _Encoder(nn.Module):
    """The layers under their published names, which are torchvision's and MedicalNet's alike."""

    def __init__(
        self,
        in_channels: int,
        blocks: Sequence[int],
        bottleneck: bool,
        shortcut: Shortcut,
        width: int,
        axes: int,
        dilated: bool,
    ) -> None:
        super().__init__()
        self.dilated = dilated
        self.conv1 = _kind(axes)(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = make_norm("batch", width, axes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = (nn.MaxPool3d if axes == 3 else nn.MaxPool2d)(3, stride=2, padding=1)
        layers, channels = [], width
        strides, dilations = DILATED if dilated else (STRIDES, (1,) * 4)
        for level, (count, stride, dilation) in enumerate(zip(blocks, strides, dilations, strict=True)):
            inner = width * 2**level
            steps = []
            for index in range(count):
                step = stride if index == 0 else 1
                steps.append(_Block(channels, inner, step, dilation, bottleneck, shortcut, axes))
                channels = inner * (4 if bottleneck else 1)
            layers.append(nn.Sequential(*steps))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """The last features of each size: of the first convolution, and of layers."""
        half = self.relu(self.bn1(self.conv1(x)))
        quarter = self.layer1(self.pool(half))
        eighth = self.layer2(quarter)
        deeper = self.layer3(eighth)
        last = self.layer4(deeper)
        return [half, quarter, last] if self.dilated else [half, quarter, eighth, deeper, last]


class _Block(nn.Module):
    """Two convolutions, or three around a bottleneck, beside a shortcut."""

    def __init__(
        self,
        channels: int,
        inner: int,
        stride: int,
        dilation: int,
        bottleneck: bool,
        shortcut: Shortcut,
        axes: int,
    ) -> None:
        super().__init__()
        self.stride, self.out_channels = stride, inner * 4 if bottleneck else inner
        around = functools.partial(_kind(axes), kernel_size=3, padding=dilation, dilation=dilation, bias=False)
        if bottleneck:
            self.conv1 = _kind(axes)(channels, inner, 1, bias=False)
            self.bn1 = make_norm("batch", inner, axes)
            self.conv2 = around(inner, inner, stride=stride)
            self.bn2 = make_norm("batch", inner, axes)
            self.conv3 = _kind(axes)(inner, self.out_channels, 1, bias=False)
            self.bn3 = make_norm("batch", self.out_channels, axes)
        else:
            self.conv1 = around(channels, inner, stride=stride)
            self.bn1 = make_norm("batch", inner, axes)
            self.conv2 = around(inner, inner)
            self.bn2 = make_norm("batch", inner, axes)
        self.bottleneck = bottleneck
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or channels != self.out_channels
        self.downsample: nn.Module | None = None
        if changes and shortcut == "B":
            convolution = _kind(axes)(channels, self.out_channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, make_norm("batch", self.out_channels, axes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B, out_channels, *space / stride)."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(self.relu(y)))
        around = self._around(x) if self.downsample is None else self.downsample(x)
        merged: Tensor = self.relu(y + around)
        return merged

    def _around(self, x: Tensor) -> Tensor:
        """The shortcut without weights: every stride-th voxel, zeros for further channels."""
        space = (slice(None, None, self.stride),) * (x.dim() - 2)
        x = x[(slice(None), slice(None), *space)]
        return nn.functional.pad(x, (*(0, 0) * len(space), 0, self.out_channels - x.shape[1]))


def _kind(axes: int) -> type[nn.Conv2d | nn.Conv3d]:
    return nn.Conv3d if axes == 3 else nn.Conv2d


def convolved(in_channels: int, out_channels: int, axes: int) -> nn.Sequential:
    """A step of the decoder: a convolution, a batch norm, a ReLU."""
    return nn.Sequential(
        _kind(axes)(in_channels, out_channels, 3, padding=1),
        make_norm("batch", out_channels, axes),
        nn.ReLU(inplace=True),
    )
