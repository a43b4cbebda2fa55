"""The authors' Keras U-Net: Genesis_Chest_CT.h5, and what today's Keras writes of the same network.

Layouts, and where each is known from:
- A whole model has its layers under the group "model_weights", a file of weights alone at its root (Keras's own format;
  the published file is a whole model written by Keras 2.2.4).
- A layer's group holds its data sets, below one or more groups of its name: "depth_0_conv/depth_0_conv/kernel:0" from
  Keras 2, without ":0" from Keras 3.
- Layers are named depth_K_conv and depth_K_bn, K from 0 to 13 in the order of construction; the last convolution has
  the name that Keras gave it, conv3d_N.
- Kernels are (x, y, z, in, out); ours are (out, in, x, y, z).
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.unet3d import UNet3D
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import build, fill_from
from modelsgenesis.weights.formats.official_torch import READING, SIZE

FORMAT = "official Models Genesis, Keras"
READS = "hdf5"

EPS = 1e-3  # of Keras's batch norm
FIRST, DEPTHS = "depth_0_conv", range(14)
WEIGHTS = {  # of a layer: theirs to ours
    "conv": {"kernel": "weight", "bias": "bias"},
    "bn": {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
}


def recognises(content: Content) -> bool:
    """Recognise the name of the first layer."""
    return FIRST in _layers(content)


def adapt(content: Content) -> LoadedWeights:
    """Make the network, with up-sampling to the nearest voxel and Keras's batch norm.

    Raises:
        WeightsError: a layer is missing or of another shape.
    """
    tensors = {
        f"{layer}/{name}": tensor for layer, group in _layers(content).items() for name, tensor in _leaves(group)
    }
    first, last = tensors.get(f"{FIRST}/kernel"), _last(tensors)
    if first is None or first.dim() != 5:
        raise WeightsError(f"{FIRST} has no kernel of five axes")
    make = functools.partial(
        UNet3D,
        in_channels=first.shape[3],
        out_channels=tensors[f"{last}/kernel"].shape[-1],
        width=first.shape[4],
        up="nearest",
        eps=EPS,
    )
    network = build(make, tensors)
    names = {theirs: ours for ours, theirs in names_of(last)}
    found = {names[name]: _turned(tensor) for name, tensor in tensors.items() if name in names}
    turned = {
        names[name]: "axes in our order" for name, tensor in tensors.items() if name in names and tensor.dim() > 1
    }
    unused = [name for name in tensors if name not in names]
    report = fill_from(network, found, adapted=turned, unused=unused)
    level = "model_weights" if "model_weights" in content else "the root"
    return LoadedWeights(network, report, FORMAT, READING, SIZE, {"prefix": level, "last layer": last})


def names_of(last: str) -> Iterator[tuple[str, str]]:
    """Map our name of each tensor to theirs; the last convolution's layer is called `last`."""
    for depth in DEPTHS:
        level, index = divmod(depth, 2)
        place = f"down.{level}" if level < 4 else f"merge.{level - 4}"
        for kind, offset in (("conv", 0), ("bn", 1)):
            for theirs, ours in WEIGHTS[kind].items():
                yield f"{place}.{3 * index + offset}.{ours}", f"depth_{depth}_{kind}/{theirs}"
    for theirs, ours in WEIGHTS["conv"].items():
        yield f"last.{ours}", f"{last}/{theirs}"


def _layers(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find the groups of the layers, in a file of a whole model or of weights alone."""
    inner = content.get("model_weights")
    return inner if isinstance(inner, Mapping) else content


def _leaves(group: Any) -> Iterator[tuple[str, Tensor]]:
    """A layer's data sets by their last names, without Keras 2's output number."""
    for name, value in group.items() if isinstance(group, Mapping) else ():
        if isinstance(value, Tensor):
            yield name.partition(":")[0], value
        else:
            yield from _leaves(value)


def _last(tensors: Mapping[str, Tensor]) -> str:
    """Find the one convolution of side 1 that has no depth in its name."""
    layers = [
        name.partition("/")[0]
        for name, tensor in tensors.items()
        if name.endswith("/kernel") and not name.startswith("depth_") and tuple(tensor.shape[:-2]) == (1, 1, 1)
    ]
    if len(layers) != 1:
        raise WeightsError(f"one last convolution of side 1 was expected, found {', '.join(layers) or 'none'}")
    return layers[0]


def _turned(tensor: Tensor) -> Tensor:
    return tensor.permute(4, 3, 0, 1, 2) if tensor.dim() == 5 else tensor
