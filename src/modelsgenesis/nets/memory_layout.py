"""How the weights of a network and what flows through it lie in memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm


def choose_layout(module: nn.Module, device: torch.device) -> None:
    """Lay a network out in place as its device computes it fastest.

    That is with channels last, but for networks on a GPU whose norms take every image by itself: PyTorch has no such
    kernel for channels last, and copies. Networks of two axes stay as they are: a U-Net's steps took 0.8 of the time
    with channels last on a CPU, but in 32 bits a ResNet's ended in corrupted memory (PyTorch 2.13).

    Source: benchmarks/results/channels_last.md for CPUs, benchmarks/gpu/README.md for a GPU.
    """
    per_image = any(isinstance(part, (_InstanceNorm, nn.GroupNorm)) for part in module.modules())
    if device.type == "cpu":
        put_channels_last(module)
    elif not per_image:
        put_channels_last(module)
        for part in module.modules():
            if isinstance(part, nn.Conv3d) and part.in_channels == 1:
                part.register_forward_pre_hook(_say_channels_last)


def put_channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions in 3D out with channels last, in place."""
    for parameter in module.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def _say_channels_last(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let the strides of images of one channel say channels last; a convolution else answers with channels first."""
    images: Tensor = inputs[0].contiguous()
    x, y, z = images.shape[2:]
    return (images.as_strided(images.shape, (x * y * z, 1, y * z, z, 1)), *inputs[1:])
