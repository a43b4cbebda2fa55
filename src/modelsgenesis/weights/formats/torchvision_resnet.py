"""torchvision's 2D residual networks of ImageNet, depth 18 to 152.

Layouts, and where each is known from: resnet18-f37072fd.pth and its kin are a flat state dict with a dense layer "fc"
of 1000 classes (torchvision's documented models); programs that trained on several GPUs put "module." before the
names. torchvision normalises each colour by its own mean and deviation, (0.485, 0.456, 0.406) and (0.229, 0.224,
0.225); a grey image has one of each, so the network made here sees (image - 0.449) / 0.226, their means, in all three
colours. A task of one channel sums the colours of the first convolution (`transfer`).

torchvision's pictures are (rows, columns), ours are (X, Y), X along the rows: every kernel is turned accordingly, so
that the network sees pictures upright, as it was trained.
"""

import functools
from collections.abc import Mapping

from torch import Tensor

from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.resnets import FIRST, STEM, depth_of, fill_encoder, shape_of

FORMAT = "torchvision ResNet"
READS = "torch"

MEAN, DEVIATION = 0.449, 0.226
UNITS = (1 / DEVIATION, -MEAN / DEVIATION)  # from [0, 1] to those of the weights
SIZE = (224, 224)  # of the pictures that they were trained on
FRESH = "an ImageNet network has an encoder alone"


def recognises(content: Content) -> bool:
    """Recognise the layers' names, and a first convolution of side 7 that takes three colours."""
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST)
    return prefix is not None and prefix + STEM in tensors and tuple(tensors[prefix + STEM].shape[1:]) == (3, 7, 7)


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape, as in networks of wide or grouped blocks.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    inside = upright(inside)
    make = functools.partial(ResNet, in_channels=3, axes=2, dilated=False, units=UNITS, **shape_of(inside))
    network, report = fill_encoder(make, inside, prefix, outside, FRESH)
    notes = {"prefix": prefix, "depth": depth_of(network), **plain_values(content)}
    return LoadedWeights(network, report, FORMAT, size=SIZE, notes=notes)


def upright(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with every kernel turned from (rows, columns) to (X, Y)."""
    return {name: tensor.mT.contiguous() if tensor.dim() == 4 else tensor for name, tensor in tensors.items()}
