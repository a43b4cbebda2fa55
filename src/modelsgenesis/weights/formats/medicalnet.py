"""MedicalNet's 3D residual networks, depth 10 to 200.

Layouts, and where each is known from: resnet_10.pth, resnet_18_23dataset.pth and their kin are {"state_dict"} with
names under "module." (MedicalNet's public loading code); MONAI and others strip that. Depths 18 and 34 were published
with shortcut A, which has no weights, the others with B. Layers 3 and 4 dilate by 2 and 4 in place of shrinking
(MedicalNet's public network); MONAI loads the same weights into a network that shrinks, which gives other features.
"""

import functools

from modelsgenesis.nets.resnet import ResNet, Shortcut
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.resnets import FIRST, STEM, depth_of, fill_encoder, shape_of

FORMAT = "MedicalNet"
READS = "torch"

SHORTCUT = "layer2.0.downsample.0.weight"
FRESH = "MedicalNet has an encoder alone"


def recognises(content: Content) -> bool:
    """Recognise the layers' names, and a first convolution of side 7 that takes one channel.

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


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    shortcut: Shortcut = "B" if SHORTCUT in inside else "A"
    make = functools.partial(ResNet, in_channels=1, shortcut=shortcut, **shape_of(inside))
    network, report = fill_encoder(make, inside, prefix, outside, FRESH)
    notes = {"prefix": prefix, "depth": depth_of(network), "shortcut": shortcut, **plain_values(content)}
    return LoadedWeights(network, report, FORMAT, notes=notes)
