"""A network as nnU-Net's plans describe it, and as its own package builds it."""

from typing import Any

from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

KWARGS: dict[str, Any] = {
    "n_stages": 3,
    "features_per_stage": [4, 8, 12],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
PLANNED: dict[str, Any] = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": KWARGS,
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def reference(channels: int = 1, classes: int = 2) -> PlainConvUNet:
    """The same network by nnU-Net's package, layers given as classes."""
    layers = {"conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "nonlin": nn.LeakyReLU}
    return PlainConvUNet(
        input_channels=channels, num_classes=classes, deep_supervision=True, **{**KWARGS, **layers}
    ).eval()
