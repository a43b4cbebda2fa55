"""The very network that nnU-Net planned for a data set, behind our interface."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.naming import describe
from modelsgenesis.nets.nnunet_blocks import architectures, decoded, parts_of, supervise
from modelsgenesis.nets.unet3d import Activation

CLASSES = ("PlainConvUNet", "ResidualEncoderUNet")
LAYERS = (
    *("Conv2d", "Conv3d", "InstanceNorm2d", "InstanceNorm3d", "BatchNorm2d", "BatchNorm3d"),
    *("LeakyReLU", "ReLU", "GELU", "SiLU", "Dropout2d", "Dropout3d"),
)
OURS_TO_SET = ("input_channels", "num_classes", "deep_supervision")


class PlannedUNet(Backbone):
    """One of nnU-Net's U-Nets, built from the architecture in its plans.

    The wrapped network is nnU-Net's in its own order of axes: dropping the prefix "network." of the state's names gives
    nnU-Net's own state. Images, features and predictions are in ours.

    Args:
        architecture: as plans have it: network_class_name, arch_kwargs, _kw_requires_import.
        in_channels: of the image.
        out_channels: of the prediction.
        activation: after the last convolution; "identity" leaves the logits.
        deep_supervision: the coarser scales' heads learn too, through `predict_scales`; otherwise they are frozen.
        axis_order: which of our axes (0 is X) each axis of the wrapped network is; by default nnU-Net's, (Z, Y, X).
        units: (scale, shift), from our [0, 1] to what nnU-Net feeds, such as the z-score: the wrapped network sees
            image * scale + shift.
    Raises:
        ShapeError: the architecture is not one of these, or its numbers make no network.
        MissingExtraError: dynamic-network-architectures is not installed.
    Source: Isensee et al. 2021, nnU-Net; built by their package dynamic-network-architectures.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        in_channels: int = 1,
        out_channels: int = 1,
        activation: Activation = "sigmoid",
        deep_supervision: bool = False,
        axis_order: Sequence[int] | None = None,
        units: Sequence[float] = (1.0, 0.0),
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = describe(dict(architecture))
        self.in_channels, self.out_channels, self.activation = in_channels, out_channels, activation
        self.deep_supervision = deep_supervision
        kind, settings = _resolved(self.architecture)
        self.axes = 3 if settings.get("conv_op") is nn.Conv3d else 2
        self.axis_order = tuple(range(self.axes))[::-1] if axis_order is None else tuple(axis_order)
        if sorted(self.axis_order) != list(range(self.axes)):
            raise ShapeError(f"axis_order names each of {self.axes} axes once, got {axis_order}; usual is (2, 1, 0)")
        self.units = (float(units[0]), float(units[1]))
        self._inwards = (0, 1, *(2 + axis for axis in self.axis_order))
        self._outwards = (0, 1, *(2 + self.axis_order.index(axis) for axis in range(self.axes)))
        try:
            network = kind(input_channels=in_channels, num_classes=out_channels, deep_supervision=False, **settings)
        except (TypeError, ValueError, LookupError, AssertionError, RuntimeError) as error:
            raise ShapeError(f"the planned architecture makes no network ({error}); are the plans whole?") from error
        network.apply(kind.initialize)
        supervise(network, deep_supervision)
        self.channels = tuple(network.encoder.output_channels)
        self.stride = self._stride(network.encoder.strides)
        self.network: Any = network

    def _stride(self, steps: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The stride along our axes, from the stages' strides along the wrapped network's."""
        if any(step != 1 for step in steps[0]):
            raise ShapeError(f"the first stage must keep the image's size, but its strides are {list(steps[0])}")
        return tuple(math.prod(step[self.axis_order.index(axis)] for step in steps) for axis in range(self.axes))

    def encode(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> one feature a stage, finest first."""
        return [self._outward(feature) for feature in self._encoded(x)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> (B, channels[0], *space)."""
        return self._outward(decoded(self.network, [feature.permute(self._inwards) for feature in features])[0])

    def head(self, x: Tensor) -> Tensor:
        """(B, channels[0], *space) -> (B, out_channels, *space)."""
        return self._activated(self.network.decoder.seg_layers[-1](x))  # one voxel at a time: any order will do

    def predict_scales(self, x: Tensor) -> list[Tensor]:
        """(B, C, *space) -> a prediction a stage, finest first; the finest alone without deep supervision."""
        if not self.deep_supervision:
            return [self(x)]
        self.check(tuple(x.shape))
        heads = reversed(self.network.decoder.seg_layers)
        scales = decoded(self.network, self._encoded(x))
        return [self._outward(self._activated(head(scale))) for head, scale in zip(heads, scales, strict=True)]

    def parts(self) -> list[tuple[Part, nn.Module]]:
        """The stem if there is one, each stage down, each stage up, and the heads of all scales together."""
        return parts_of(self.network)

    def _encoded(self, x: Tensor) -> list[Tensor]:
        """The features with axes in the wrapped network's order."""
        scale, shift = self.units
        return list(self.network.encoder((x * scale + shift).permute(self._inwards)))

    def _outward(self, x: Tensor) -> Tensor:
        return x.permute(self._outwards)

    def _activated(self, x: Tensor) -> Tensor:
        return x.sigmoid() if self.activation == "sigmoid" else x


def _resolved(architecture: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The network's class and its arguments, layers' names resolved; nothing else is ever imported by its name."""
    path, settings = str(architecture.get("network_class_name", "")), architecture.get("arch_kwargs")
    module, _, name = path.rpartition(".")
    if name not in CLASSES or module.partition(".")[0] not in ("", "dynamic_network_architectures"):
        raise ShapeError(f"the planned network is {path or 'not named'}; only {' and '.join(CLASSES)} can be built")
    if not isinstance(settings, dict) or any(setting in settings for setting in OURS_TO_SET):
        raise ShapeError(f"arch_kwargs must be a mapping without {', '.join(OURS_TO_SET)}; are the plans whole?")
    named = architecture.get("_kw_requires_import") or ()
    layers = {argument: _layer(settings.get(argument)) for argument in named if argument in settings}
    return getattr(architectures(), name), {**settings, **layers}


def _layer(path: Any) -> Any:
    """A layer of PyTorch by its name in plans, such as torch.nn.modules.conv.Conv3d."""
    if path is None:
        return None
    module, _, name = str(path).rpartition(".")
    if name not in LAYERS or not f"{module}.".startswith("torch.nn."):
        raise ShapeError(f"the plans name the layer {path}; only these of torch.nn are taken: {', '.join(LAYERS)}")
    return getattr(nn, name)
