"""CT-FM's networks, and others that MONAI's SegResNetDS and SegResEncoder wrote.

Layouts, and where each is known from (MONAI 1.6 and the package lighter-zoo 0.1.3, run; networks of the sizes that are
published take the published files' 311 and 349 MB):
- ct_fm_feature_extractor: safetensors, "conv_init." and "layers.", an encoder alone.
- ct_fm_segresnet and whole_body_segmentation: safetensors, the same under "encoder.", and "up_layers." beside. Only the
  encoder of the first was pre-trained; its decoder is as MONAI drew it.
- A checkpoint of a training: the encoder under "backbone." or another prefix.

CT-FM sees axes in the order Z, Y, X, each in the direction of ours (MONAI's "SPL"), and HU from -1024 to 2048 as 0 to 1
(its cards). Its kernels are turned here, so that the network takes our axes, and its outputs are the original's, turned
back. It is known by its blocks, its batch norm and its one head. Of other such networks neither axes nor units are
known: they stay as they are. Without a running mean the norm is taken for an instance norm.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets.segresnet import SegResNet
from modelsgenesis.weights.files import distinct
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import build, fill_from, plain_values, prefix_of, tensors_of
from modelsgenesis.weights.formats.resnets import ENCODER, count_blocks

FORMAT = "SegResNet of MONAI"
READS = "torch"

STEM, FIRST = "encoder.conv_init.weight", "encoder.layers.0.blocks.0.conv1.weight"
MEAN = "encoder.layers.0.blocks.0.norm1.running_mean"
UP = "up_layers."
CT_FM_BLOCKS = (1, 2, 2, 4, 4)
CT_FM_READING = Reading(Window(-1024.0, 2048.0))
TURNED = "its axes ran Z, Y, X"


def recognises(content: Content) -> bool:
    """Recognise a first convolution of volumes and a first block, by names that no other family has together."""
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST.removeprefix(ENCODER))
    stem = None if prefix is None else tensors.get(prefix + STEM.removeprefix(ENCODER))
    return stem is not None and stem.dim() == 5


def adapt(content: Content) -> LoadedWeights:
    """Make the network that the file holds; without a decoder in it, that is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape, as where MONAI was given a resolution.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST.removeprefix(ENCODER)) or ""
    named = {_our_name(name, prefix): name for name in tensors}
    inside = {name: tensors[theirs] for name, theirs in named.items()}
    heads = sorted(name for name in inside if re.fullmatch(rf"{UP}\d+\.head\.weight", name))
    shape = _shape_of(inside, heads)
    network = build(functools.partial(SegResNet, **shape, activation="identity"), inside)
    if heads:
        finest = f"{UP}{len(network.blocks_up) - 1}.head."
        named = {name.replace(finest, "last."): theirs for name, theirs in named.items()}
    is_ct_fm = network.blocks == CT_FM_BLOCKS and shape["in_channels"] == 1 and MEAN in inside and len(heads) < 2
    known = distinct(network)
    found = {name: tensors[theirs] for name, theirs in named.items() if name in known}
    kernels = [name for name, value in found.items() if is_ct_fm and value.dim() == 5]
    report = fill_from(
        network,
        found | {name: found[name].permute(0, 1, 4, 3, 2) for name in kernels},
        adapted=dict.fromkeys(kernels, TURNED),
        left=_absent(inside, heads),
        unused=[theirs for name, theirs in named.items() if name not in known],
    )
    notes = {"prefix": prefix, "family": "CT-FM" if is_ct_fm else "unknown", **plain_values(content)}
    return LoadedWeights(network, report, FORMAT, CT_FM_READING if is_ct_fm else None, notes=notes)


def _our_name(name: str, prefix: str) -> str:
    """The name of a tensor in our network, but for the head's, whatever stands before it in the file."""
    beside = prefix.removesuffix(ENCODER)
    if name.startswith(beside + UP):
        return name.removeprefix(beside)
    return ENCODER + name.removeprefix(prefix) if name.startswith(prefix) else name


def _shape_of(tensors: Mapping[str, Tensor], heads: list[str]) -> dict[str, Any]:
    """The arguments of `SegResNet` that follow from the names and shapes of a state under our names."""
    levels, rises = count_blocks(tensors, "encoder.layers."), count_blocks(tensors, UP)
    return {
        "in_channels": tensors[STEM].shape[1],
        "out_channels": tensors[heads[-1]].shape[0] if heads else 1,
        "width": tensors[STEM].shape[0],
        "blocks": tuple(count_blocks(tensors, f"encoder.layers.{level}.blocks.") for level in range(levels)),
        "blocks_up": tuple(count_blocks(tensors, f"{UP}{rise}.blocks.") for rise in range(rises)) or None,
        "norm": "batch" if MEAN in tensors else "instance",
    }


def _absent(tensors: Mapping[str, Tensor], heads: list[str]) -> dict[str, str]:
    """The parts that the file may lack: the head, or all of the decoder."""
    if not any(name.startswith(UP) for name in tensors):
        return {UP: "the file has an encoder alone", "last.": "the file has an encoder alone"}
    return {} if heads else {"last.": "the file has no head"}
