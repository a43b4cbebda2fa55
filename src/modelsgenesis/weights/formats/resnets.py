"""What published encoders share: a residual network's size from its names, and a network filled up to its decoder."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.weights.formats.filling import B, build, fill_from
from modelsgenesis.weights.transfer import LoadingMap

STEM, FIRST, BOTTLENECK = "conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv3.weight"
ENCODER = "encoder."  # before the names of an encoder in our networks
DEPTHS: dict[tuple[int, ...], int] = {
    (1, 1, 1, 1): 10,
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 34,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
    (3, 24, 36, 3): 200,
}


def shape_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of `ResNet` that follow from the names and shapes of a state.

    Raises:
        WeightsError: a layer is missing.
    """
    blocks = tuple(count_blocks(tensors, f"layer{layer}.") for layer in (1, 2, 3, 4))
    if min(blocks) < 1:
        raise WeightsError(f"four layers were expected, with these numbers of blocks found: {blocks}")
    return {"blocks": blocks, "bottleneck": BOTTLENECK in tensors, "width": tensors[STEM].shape[0]}


def depth_of(network: ResNet) -> int | None:
    """The number in a network's name, such as 18; None for an unusual one."""
    depth = DEPTHS.get(network.blocks)
    return 50 if network.bottleneck and depth == 34 else depth


def fill_encoder(
    make: Callable[[], B], tensors: Mapping[str, Tensor], prefix: str, others: Iterable[str], fresh: str
) -> tuple[B, LoadingMap]:
    """Make a network, fill its encoder, and leave its decoder at random.

    Args:
        make: the network.
        tensors: by their names in the encoder.
        prefix: before these names in the file.
        others: names of what the file holds besides.
        fresh: why the decoder is left.
    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    network = build(make, tensors)
    own = {name.removeprefix(ENCODER) for name in network.state_dict() if name.startswith(ENCODER)}
    found = {ENCODER + name: tensor for name, tensor in tensors.items() if name in own}
    unused = (*(prefix + name for name in tensors if name not in own), *others)
    left = dict.fromkeys(("finest.", "rise.", "merge.", "decoder.", "last."), fresh)
    return network, fill_from(network, found, left=left, unused=unused)


def count_blocks(names: Iterable[str], layer: str) -> int:
    """How many blocks a layer has, numbered from 0 behind its name."""
    found = {name.removeprefix(layer).partition(".")[0] for name in names if name.startswith(layer)}
    return next(count for count in range(len(found) + 1) if str(count) not in found)
