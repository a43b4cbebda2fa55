"""Layers that are computed in 32 bits on a CPU, where PyTorch's kernels for bf16 give wrong gradients."""

import functools

import torch
from torch import Tensor, nn

BROKEN_SIDE = 2  # voxels of the first spatial side


def keep_exact(module: nn.Module) -> None:
    """Let the 3D convolutions of a module compute in 32 bits wherever bf16 on a CPU would train on noise.

    Args:
        module: the network or learner; its convolutions keep their types, names and weights.
    Source: findings/torch-bf16-conv3d-gradient.sh: in PyTorch 2.13, on processors with bf16 instructions, the gradient
        of the weights of a convolution of 3 x 3 x 3 and stride 1 is garbage where the input's first spatial side has
        two voxels; sides of 1, 3 and 4 are right, and so is 2D. PyTorch's issue 169688 tells of another case on
        processors with AMX: strided convolutions whose output has one voxel along its last side.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d):
            layer.forward = functools.partial(_forward, layer)  # type: ignore[method-assign]


def _forward(layer: nn.Conv3d, image: Tensor) -> Tensor:
    """The layer's own answer, outside bf16 if need be."""
    if not _is_broken(layer, image):
        return type(layer).forward(layer, image)
    with torch.autocast("cpu", enabled=False):
        return type(layer).forward(layer, image.float())


def _is_broken(layer: nn.Conv3d, image: Tensor) -> bool:
    """Whether bf16 gives this layer wrong gradients for images of this size."""
    if image.device.type != "cpu" or max(layer.kernel_size) == 1:
        return False
    strided = max(layer.stride) > 1 and image.shape[-1] <= layer.stride[-1]
    return image.shape[2] == BROKEN_SIDE or strided
