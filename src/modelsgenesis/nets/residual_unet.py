"""The residual-encoder U-Net of nnU-Net, the field's strongest convolutional backbone, behind our interface."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.nets.nnunet_blocks import architectures, decoded, parts_of, supervise
from modelsgenesis.nets.unet3d import Activation

Strides = Sequence[int | Sequence[int]]


class ResidualUNet(Backbone):
    """A U-Net whose encoder is made of residual blocks; the defaults are nnU-Net's ResEnc-L without its patch size.

    Args:
        in_channels: of the image.
        out_channels: of the prediction.
        width: channels of the first stage; they double from stage to stage, up to ten times the width.
        features: channels of each stage, finest first, in place of those that follow from the width.
        strides: of each stage, one number or one an axis; the first is 1.
        blocks: residual blocks of each encoder stage.
        activation: after the last convolution; "identity" leaves the logits.
        axes: of space, 2 or 3.
        deep_supervision: the coarser scales' heads learn too, through `predict_scales`; otherwise they are frozen.
    Raises:
        MissingExtraError: dynamic-network-architectures is not installed.
    Source: Isensee et al. 2024, nnU-Net Revisited; built by their package dynamic-network-architectures.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        features: Sequence[int] | None = None,
        strides: Strides = (1, 2, 2, 2, 2, 2),
        blocks: Sequence[int] = (1, 3, 4, 6, 6, 6),
        activation: Activation = "sigmoid",
        axes: int = 3,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        features = (
            tuple(min(width * 2**stage, 10 * width) for stage in range(len(strides))) if features is None else features
        )
        if not len(features) == len(strides) == len(blocks):
            raise ValueError(
                f"features, strides and blocks need one entry a stage, got {features}, {strides}, {blocks}"
            )
        self.in_channels, self.out_channels, self.activation, self.axes = in_channels, out_channels, activation, axes
        self.width, self.features, self.strides, self.blocks = width, tuple(features), tuple(strides), tuple(blocks)
        self.channels, self.deep_supervision = tuple(features), deep_supervision
        steps = [(step,) * axes if isinstance(step, int) else tuple(step) for step in strides]
        self.stride = tuple(math.prod(step[axis] for step in steps) for axis in range(axes))
        self.network: Any = _build(in_channels, out_channels, features, steps, blocks, axes)
        supervise(self.network, deep_supervision)

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> one feature a stage, finest first."""
        return list(self.network.encoder(x))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], *space)."""
        return decoded(self.network, features)[0]

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space)."""
        return self._activated(self.network.decoder.seg_layers[-1](x))

    def predict_scales(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> a prediction a stage, finest first; the finest alone without deep supervision."""
        if not self.deep_supervision:
            return [self(x)]
        self.check(tuple(x.shape))
        heads = reversed(self.network.decoder.seg_layers)
        scales = decoded(self.network, self.encode(x))
        return [self._activated(head(scale)) for head, scale in zip(heads, scales, strict=True)]

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The stem, each stage down, each stage up, and the heads of all scales together."""
        return parts_of(self.network)

    def _activated(self, x: Tensor) -> Tensor:
        return x.sigmoid() if self.activation == "sigmoid" else x


def _build(
    in_channels: int,
    out_channels: int,
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    blocks: Sequence[int],
    axes: int,
) -> Any:
    kind = architectures().ResidualEncoderUNet
    network: Any = kind(
        input_channels=in_channels,
        n_stages=len(features),
        features_per_stage=list(features),
        conv_op=nn.Conv3d if axes == 3 else nn.Conv2d,
        kernel_sizes=3,
        strides=[list(step) for step in strides],
        n_blocks_per_stage=list(blocks),
        num_classes=out_channels,
        n_conv_per_stage_decoder=1,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d if axes == 3 else nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    network.apply(kind.initialize)
    return network
