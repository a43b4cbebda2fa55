"""What nnU-Net's two versions share: from the names and shapes of a state to the architecture that has them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.nnunet_plans import UNET
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.formats import filling
from modelsgenesis.weights.transfer import LoadingMap

STEM = "encoder.stem.convs.0.conv.weight"
PLAIN = "encoder.stages.0.0.convs.0.conv.weight"
OURS = "network."  # before the names of the wrapped network


def architecture_of(tensors: Mapping[str, Tensor], *, halves: bool = False) -> dict[str, Any]:
    """The architecture of a whole U-Net of nnU-Net v2, read off its state; its leaky ReLU is taken for the usual one.

    Args:
        tensors: by nnU-Net v2's names.
        halves: the network is known to halve every side at each stage but the first: then an encoder alone is enough,
            whose tensors do not show its strides, and a decoder of one convolution a stage is added.
    Raises:
        WeightsError: names or shapes are not those of its U-Nets.
    """
    residual = STEM in tensors
    unit = "encoder.stages.{}.blocks.{}.conv1.conv.weight" if residual else "encoder.stages.{}.0.convs.{}.conv.weight"
    if any(".conv3." in name for name in tensors):
        raise WeightsError("its blocks have bottlenecks, which is no planned U-Net of nnU-Net; only such can be built")
    num = _count(tensors, r"encoder\.stages\.(\d+)\.")
    alone = halves and not any(name.startswith("decoder.") for name in tensors)
    try:
        firsts = [tensors[unit.format(stage, 0)] for stage in range(num)]
        axes = firsts[0].dim() - 2
        rises = [f"decoder.transpconvs.{num - 1 - stage}.weight" for stage in range(1, num)]
        steps = [(2,) * axes if alone else tuple(tensors[rise].shape[2:]) for rise in rises]
    except KeyError as error:
        raise WeightsError(f"it lacks {error.args[0]}; it is cut down, or of another network") from error
    batch = any(name.endswith("norm.running_mean") for name in tensors)
    inside = r"blocks\.(\d+)\." if residual else r"0\.convs\.(\d+)\."
    return {
        "network_class_name": f"{UNET}.{'ResidualEncoderUNet' if residual else 'PlainConvUNet'}",
        "arch_kwargs": {
            "n_stages": num,
            "features_per_stage": [first.shape[0] for first in firsts],
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": [list(first.shape[2:]) for first in firsts],
            "strides": [[1] * axes, *(list(step) for step in steps)],
            "n_blocks_per_stage" if residual else "n_conv_per_stage": [
                _count(tensors, rf"encoder\.stages\.{stage}\.{inside}") for stage in range(num)
            ],
            "n_conv_per_stage_decoder": [
                1 if alone else _count(tensors, rf"decoder\.stages\.{stage}\.convs\.(\d+)\.")
                for stage in range(num - 1)
            ],
            "conv_bias": any(name.endswith("convs.0.conv.bias") for name in tensors),
            "norm_op": f"torch.nn.{'BatchNorm' if batch else 'InstanceNorm'}{axes}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def fill(
    network: PlannedUNet,
    tensors: Mapping[str, Tensor],
    *,
    adapted: Mapping[str, str],
    left: Mapping[str, str],
    unused: Iterable[str],
) -> LoadingMap:
    """Copy a state by nnU-Net v2's names into a network; see `fill_from`.

    The names that nnU-Net has twice for one tensor are taken once.
    """
    own, known = distinct(network), network.state_dict()
    found = {OURS + name: tensor for name, tensor in tensors.items() if OURS + name in own}
    strange = [name for name in tensors if OURS + name not in known]
    return filling.fill_from(
        network,
        found,
        adapted={OURS + name: why for name, why in adapted.items()},
        left={OURS + name: why for name, why in left.items()},
        unused=(*strange, *unused),
    )


def _count(tensors: Iterable[str], pattern: str) -> int:
    """Count the modules of a list, from their highest number."""
    numbers = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1
