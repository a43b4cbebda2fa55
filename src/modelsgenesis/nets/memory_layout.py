"""How the weights of a network and what flows through it lie in memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm


def choose_layout(module: nn.Module, device: torch.device) -> None:
    """Lay a network out in place as its device computes it fastest.

    That is with channels last, but for networks on a GPU whose norms take every image by itself: PyTorch has no such
    kernel for channels last, and copies.

    Source: benchmarks/results/channels_last.md for CPUs, benchmarks/gpu/README.md for a GPU.
    """
    per_image = any(isinstance(part, (_InstanceNorm, nn.GroupNorm)) for part in module.modules())
    if device.type == "cpu":
        put_channels_last(module)
    elif not per_image:
        put_channels_last(module)
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Conv3d)) and part.in_channels == 1:
                part.register_forward_pre_hook(_say_channels_last)


def put_channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions in 2D and 3D out with channels last, in place."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])


def _say_channels_last(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let the strides of images of one channel say channels last; a convolution else answers with channels first."""
    images: Tensor = inputs[0].contiguous()
    strides = images.stride()
    return (images.as_strided(images.shape, (strides[0], 1, *strides[2:])), *inputs[1:])
