"""The residual network with a decoder that MONAI calls SegResNetDS: CT-FM's, under its published names."""

from collections.abc import Sequence

from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.norms import Norm, make_norm
from modelsgenesis.nets.unet3d import Activation


class SegResNet(Backbone):
    """Levels of residual blocks that normalise first; a finer level's feature is added on the way up, not appended.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        width: channels of the finest level; they double from level to level.
        blocks: residual blocks of each level on the way down, finest first; (1, 2, 2, 4, 4) is CT-FM's.
        blocks_up: residual blocks of each level on the way up, coarsest first; one each by default.
        norm: of the blocks: batch, batch_stats, instance or group.
        activation: after the last convolution; "identity" leaves the logits.
        axes: of space; 2 for pictures.
    Raises:
        ShapeError: fewer than two levels, a number below 1, or another number of levels up than down.
    Source: Myronenko 2019, 3D MRI brain tumor segmentation using autoencoder regularization, arXiv:1810.11654, as
        MONAI's SegResNetDS has it without a resolution.
    Example: >>> SegResNet(width=4, blocks=(1, 1))(torch.rand(1, 1, 8, 8, 8)).shape
    torch.Size([1, 1, 8, 8, 8])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        blocks: Sequence[int] = (1, 2, 2, 4, 4),
        blocks_up: Sequence[int] | None = None,
        norm: Norm = "batch",
        activation: Activation = "sigmoid",
        axes: int = 3,
    ) -> None:
        super().__init__()
        if axes not in (2, 3):
            raise ValueError(f"axes must be 2 or 3, got {axes}")
        steps = len(blocks) - 1
        up = (1,) * steps if blocks_up is None else tuple(blocks_up)
        if steps < 1 or len(up) != steps or min(*blocks, *up, width) < 1:
            raise ShapeError(
                "blocks must be two or more numbers, blocks_up one fewer, and all of them and width 1 or more; "
                f"got {tuple(blocks)}, {up}, {width}"
            )
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        self.width, self.blocks, self.blocks_up, self.norm, self.axes = width, tuple(blocks), up, norm, axes
        self.channels = tuple(width * 2**level for level in range(len(blocks)))
        self.stride = (2**steps,) * axes
        self.encoder = _Encoder(in_channels, self.channels, self.blocks, norm, axes)
        self.up_layers = nn.ModuleList(
            _Rise(fine, count, norm, axes) for fine, count in zip(self.channels[-2::-1], up, strict=True)
        )
        self.last = _kind(axes)(width, out_channels, 1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> one feature a level, finest first."""
        return list(self.encoder(x))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], *space)."""
        x = features[-1]
        for rise, skip in zip(self.up_layers, features[-2::-1], strict=True):
            x = rise(x, skip)
        return x

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space)."""
        x = self.last(x)
        return x.sigmoid() if self.activation == "sigmoid" else x

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The first convolution, each level down, each level up, and the last convolution."""
        return [
            ("encoder", self.encoder.conv_init),
            *(("encoder", level) for level in self.encoder.layers),
            *(("decoder", level) for level in self.up_layers),
            ("head", self.last),
        ]


class _Encoder(nn.Module):
    """The levels under their published names; every level but the last ends in a convolution that halves the size."""

    def __init__(self, in_channels: int, channels: Sequence[int], blocks: Sequence[int], norm: Norm, axes: int) -> None:
        super().__init__()
        self.conv_init = _convolution(in_channels, channels[0], axes)
        self.layers = nn.ModuleList()
        for level, (own, count) in enumerate(zip(channels, blocks, strict=True)):
            is_last = level + 1 == len(channels)
            down = nn.Identity() if is_last else _convolution(own, 2 * own, axes, stride=2)
            self.layers.append(nn.ModuleDict({"blocks": _blocks(own, count, norm, axes), "downsample": down}))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> one feature a level, finest first."""
        features, x = [], self.conv_init(x)
        for level in self.layers:
            blocks, downsample = level.children()
            x = blocks(x)
            features.append(x)
            x = downsample(x)
        return features


class _Rise(nn.Module):
    """A step up: a transposed convolution doubles the size, the finer feature is added, blocks follow."""

    def __init__(self, channels: int, count: int, norm: Norm, axes: int) -> None:
        super().__init__()
        kind = nn.ConvTranspose3d if axes == 3 else nn.ConvTranspose2d
        rising = kind(2 * channels, channels, 3, stride=2, padding=1, output_padding=1, bias=False)
        self.upsample = nn.ModuleDict({"deconv": rising})
        self.blocks = _blocks(channels, count, norm, axes)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, 2C, *space / 2) and (B, C, *space) -> (B, C, *space)."""
        merged: Tensor = self.blocks(self.upsample["deconv"](x) + skip)
        return merged


class _Block(nn.Module):
    """Norm, ReLU and convolution, twice, around which the image passes unchanged."""

    def __init__(self, channels: int, norm: Norm, axes: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = make_norm(norm, channels, axes), make_norm(norm, channels, axes)
        self.conv1, self.conv2 = _convolution(channels, channels, axes), _convolution(channels, channels, axes)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *space) -> the same."""
        y = self.conv1(self.relu(self.norm1(x)))
        changed: Tensor = x + self.conv2(self.relu(self.norm2(y)))
        return changed


def _blocks(channels: int, count: int, norm: Norm, axes: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels, norm, axes) for _ in range(count)))


def _kind(axes: int) -> type[nn.Conv2d | nn.Conv3d]:
    return nn.Conv3d if axes == 3 else nn.Conv2d


def _convolution(in_channels: int, out_channels: int, axes: int, stride: int = 1) -> nn.Module:
    return _kind(axes)(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
