"""torchvision's ConvNeXt networks of ImageNet, Tiny to Large.

Layout, and where it is known from: convnext_tiny-983f1562.pth and its kin are a flat state dict of "features", the
encoder, and "classifier", a layer norm and a dense layer of 1000 classes (torchvision's documented models). Pictures
are normalised, and kernels turned, as for the residual networks.
"""

import functools

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.convnext import ConvNeXt
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.resnets import count_blocks, fill_encoder
from modelsgenesis.weights.formats.torchvision_resnet import FRESH, SIZE, UNITS, upright

FORMAT = "torchvision ConvNeXt"
READS = "torch"

STEM, FIRST = "features.0.0.weight", "features.1.0.layer_scale"


def recognises(content: Content) -> bool:
    """Recognise a block's scale, and a first convolution of side 4 that takes three colours."""
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST)
    return prefix is not None and prefix + STEM in tensors and tuple(tensors[prefix + STEM].shape[1:]) == (3, 4, 4)


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a stage or a tensor is missing, or one of another shape.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    inside = upright(inside)
    blocks = tuple(count_blocks(inside, f"features.{stage}.") for stage in (1, 3, 5, 7))
    if min(blocks) < 1:
        raise WeightsError(f"four stages were expected, with these numbers of blocks found: {blocks}")
    width = inside[STEM].shape[0]
    make = functools.partial(ConvNeXt, in_channels=3, blocks=blocks, width=width, units=UNITS)
    network, report = fill_encoder(make, inside, prefix, outside, FRESH)
    notes = {"prefix": prefix, **plain_values(content)}
    return LoadedWeights(network, report, FORMAT, size=SIZE, notes=notes)
