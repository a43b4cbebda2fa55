"""What nnU-Net's networks have in common, whichever of them and however built."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from modelsgenesis.core.backbone import Part
from modelsgenesis.core.errors import MissingExtraError


def architectures() -> ModuleType:
    """Import the package that holds nnU-Net's U-Nets.

    Raises:
        MissingExtraError: dynamic-network-architectures is not installed.
    """
    try:
        from dynamic_network_architectures.architectures import unet
    except ImportError as error:
        line = "pip install -c constraints.txt --no-deps dynamic-network-architectures"
        raise MissingExtraError(f"nnU-Net's networks need dynamic-network-architectures: {line}") from error
    module: ModuleType = unet
    return module


def supervise(network: Any, deeply: bool) -> None:
    """Freeze the heads that are not used, since DDP waits for the gradient of every parameter that requires one."""
    for coarse in list(network.decoder.seg_layers)[:-1]:
        coarse.requires_grad_(deeply)


def decoded(network: Any, features: list[Tensor]) -> list[Tensor]:
    """Compute the output of each stage of the decoder from the encoder's features, finest first."""
    decoder, x = network.decoder, features[-1]
    scales: list[Tensor] = []
    for rise, stage, skip in zip(decoder.transpconvs, decoder.stages, features[-2::-1], strict=True):
        x = stage(torch.cat((rise(x), skip), dim=1))
        scales.insert(0, x)
    return scales


def parts_of(network: Any) -> list[tuple[Part, nn.Module]]:
    """The stem if there is one, each stage down, each stage up, and the heads of all scales together."""
    encoder, decoder = network.encoder, network.decoder
    stem = getattr(encoder, "stem", None)
    down: list[tuple[Part, nn.Module]] = [
        ("encoder", stage) for stage in (*([] if stem is None else [stem]), *encoder.stages)
    ]
    up = [nn.ModuleList(pair) for pair in zip(decoder.transpconvs, decoder.stages, strict=True)]
    return [*down, *(("decoder", stage) for stage in up), ("head", decoder.seg_layers)]
