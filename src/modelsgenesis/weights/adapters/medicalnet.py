"""MedicalNet's 3D residual networks, depth 10 to 200.

Layouts, and where each is known from: resnet_10.pth, resnet_18_23dataset.pth and their kin are {"state_dict"} with
names under "module." (MedicalNet's public loading code); MONAI and others strip that. Depths 18 and 34 were published
with shortcut A, which has no weights, the others with B. Layers 3 and 4 dilate by 2 and 4 in place of shrinking
(MedicalNet's public network); MONAI loads the same weights into a network that shrinks, which gives other answers.
"""

import functools
from collections.abc import Iterable, Mapping

from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.resnet import ResNet, Shortcut
from modelsgenesis.weights.adapters import Content, Opened
from modelsgenesis.weights.adapters._filling import (
    build,
    fill_from,
    prefix_of,
    said_by,
    tensors_of,
    without_prefix,
)

FORMAT = "MedicalNet"
READS = "torch"

STEM, FIRST = "conv1.weight", "layer1.0.conv1.weight"
BOTTLENECK, SHORTCUT = "layer1.0.conv3.weight", "layer2.0.downsample.0.weight"
DEPTHS: dict[tuple[int, ...], int] = {
    (1, 1, 1, 1): 10,
    (2, 2, 2, 2): 18,
    (3, 4, 6, 3): 34,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
    (3, 24, 36, 3): 200,
}
FRESH = "MedicalNet has an encoder alone"


def recognises(content: Content) -> bool:
    """By its layers' names, and a first convolution of side 7 that takes one channel.

    Networks of videos and MONAI's own have these names too, but other strides; they also have a dense layer, biases in
    their shortcuts, or three channels.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST)
    if prefix is None or prefix + STEM not in tensors:
        return False
    inside, _ = without_prefix(tensors, prefix)
    other = any(name.startswith("fc.") or name.endswith("downsample.0.bias") for name in inside)
    return not other and inside[FIRST].dim() == 5 and tuple(inside[STEM].shape[1:]) == (1, 7, 7, 7)


def adapt(content: Content) -> Opened:
    """Make the encoder, under a decoder that is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    stem, blocks = inside[STEM], _blocks(inside)
    bottleneck = BOTTLENECK in inside
    shortcut: Shortcut = "B" if SHORTCUT in inside else "A"
    make = functools.partial(
        ResNet, in_channels=stem.shape[1], blocks=blocks, bottleneck=bottleneck, shortcut=shortcut, width=stem.shape[0]
    )
    network = build(make, inside)
    own = network.encoder.state_dict()
    found = {f"encoder.{name}": tensor for name, tensor in inside.items() if name in own}
    unused = (*(prefix + name for name in inside if name not in own), *outside)
    left = dict.fromkeys(("finest.", "rise.", "merge.", "last."), FRESH)
    report = fill_from(network, found, left=left, unused=unused)
    depth = 50 if bottleneck and DEPTHS.get(blocks) == 34 else DEPTHS.get(blocks)
    notes = {"prefix": prefix, "depth": depth, "shortcut": shortcut, **said_by(content)}
    return Opened(network, report, FORMAT, notes=notes)


def _blocks(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Blocks of each of the four layers, by the names.

    Raises:
        WeightsError: a layer is missing.
    """
    blocks = tuple(_count(tensors, f"layer{layer}.") for layer in (1, 2, 3, 4))
    if min(blocks) < 1:
        raise WeightsError(f"four layers were expected, with these numbers of blocks found: {blocks}")
    return blocks


def _count(names: Iterable[str], layer: str) -> int:
    found = {name.removeprefix(layer).partition(".")[0] for name in names if name.startswith(layer)}
    return next(count for count in range(len(found) + 1) if str(count) not in found)
