"""Layers that are computed in 32 bits on a CPU, where PyTorch's kernels for bf16 give wrong numbers."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

BROKEN_SIDE = 2  # voxels of the first spatial side
TESTED_SIDE = 4  # voxels up to which a layer is tested at its own size, if it takes so few; faults are of small sides
WRONG = 0.1  # relative difference from 32 bits; that of bf16 itself is 0.004
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def keep_exact(module: nn.Module) -> None:
    """Let the convolutions of a module compute in 32 bits wherever bf16 on a CPU would give noise.

    Those known to be wrong do, and where gradients are wanted those that a test of their own finds out: at the first
    image of each size, one small gradient in bf16 is held against that in 32 bits, once for layers that are alike.

    Args:
        module: the network or learner; its convolutions keep their types, names and weights.
    Source: findings/torch-bf16-conv3d-gradient.sh: in PyTorch 2.13, on processors with bf16 instructions, the gradient
        of the weights of a convolution of 3 x 3 x 3 and stride 1 is garbage where the input's first spatial side has
        two voxels; sides of 1, 3 and 4 are right, and so is 2D. PyTorch's issue 169688 tells of another case on
        processors with AMX: 3D convolutions strided along the last side whose output has one voxel there.
    """
    for layer in module.modules():
        if isinstance(layer, CONVOLUTIONS):
            layer.forward = functools.partial(_forward, layer)  # type: ignore[method-assign]


def kept_exact(module: nn.Module) -> list[str]:
    """The names of those convolutions that have computed in 32 bits since bf16 would have been wrong."""
    return [name for name, layer in module.named_modules() if getattr(layer, "in_32_bits", False)]


def _forward(layer: nn.Module, image: Tensor, *others: Any) -> Tensor:
    """The layer's own answer, outside bf16 if need be."""
    if image.device.type == "cpu" and torch.is_autocast_enabled("cpu") and _is_wrong(layer, image):
        layer.in_32_bits = True  # type: ignore[assignment]
        with torch.autocast("cpu", enabled=False):
            return type(layer).forward(layer, image.float(), *others)  # type: ignore[no-any-return]
    return type(layer).forward(layer, image, *others)  # type: ignore[no-any-return]


def _is_wrong(layer: Any, image: Tensor) -> bool:
    """Whether bf16 gives this layer wrong numbers for images of this size."""
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    if isinstance(layer, nn.Conv3d) and layer.stride[-1] > 1 and _last_side(layer, image.shape[-1]) == 1:
        return True
    if not torch.is_grad_enabled():
        return False
    if isinstance(layer, nn.Conv3d) and image.shape[2] == BROKEN_SIDE and max(layer.kernel_size) > 1:
        return True
    if torch.compiler.is_compiling():
        return False
    kind: Any = type(layer)
    size = tuple(min(side, enough) for side, enough in zip(image.shape[2:], _tested_sides(layer), strict=True))
    return _fails(kind, layer.in_channels, layer.out_channels, layer.groups, settings, size)


def _tested_sides(layer: Any) -> list[int]:
    """The sides of images that a layer is tested on: where its kernel is wider, two of its steps, as in a ViT."""
    padding = layer.padding if isinstance(layer.padding, tuple) else (0,) * len(layer.stride)
    axes = zip(layer.kernel_size, layer.stride, layer.dilation, padding, strict=True)
    return [max(TESTED_SIDE, apart * (kernel - 1) + 1 - 2 * added + step) for kernel, step, apart, added in axes]


def _last_side(layer: nn.Conv3d, side: int) -> int:
    """The voxels of the output's last side."""
    padding = layer.padding[-1] if isinstance(layer.padding, tuple) else 0  # by name only where nothing is strided
    return (side + 2 * int(padding) - layer.dilation[-1] * (layer.kernel_size[-1] - 1) - 1) // layer.stride[-1] + 1


@functools.cache
def _fails(
    kind: Any, in_channels: int, out_channels: int, groups: int, settings: tuple[Any, ...], size: tuple[int, ...]
) -> bool:
    """Whether answer and gradients in bf16 are not those of 32 bits, for made-up numbers; nothing global is drawn."""
    found = []
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(0)
        layer = kind(in_channels, out_channels, *settings[:3], dilation=settings[3], groups=groups)
        image = torch.randn(1, in_channels, *size, requires_grad=True)
        for bf16 in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                answer = layer(image)
            gradients = torch.autograd.grad(answer.float().square().sum(), [image, layer.weight])
            found.append([answer.detach().float(), *gradients])
    apart = [(other - exact).norm() / exact.norm() for exact, other in zip(*found, strict=True)]
    return not all(float(gap) < WRONG for gap in apart)
