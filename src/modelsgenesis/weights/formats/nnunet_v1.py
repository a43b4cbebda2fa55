"""nnU-Net v1's `.model`, among them the authors' network for segmentation challenges; onto nnU-Net v2's PlainConvUNet.

Layouts, and where each is known from:
- genesis_nnunet_luna16_006.model: `state_dict` at the top, without the rest of a trainer's checkpoint (the authors'
  loading code). It was fed the [0, 1] cube taken back to HU and z-scored, and its outputs pass a sigmoid.
- A trainer's checkpoint: {"epoch", "state_dict", "optimizer_state_dict", "plot_stuff", ...} (the package nnunet 1.7.1).
  How its images were normalised is in plans.pkl beside it, which is a pickle and is not read.

Two things differ between the versions. v1's transposed convolutions and heads have no biases: here they are zero. And
its decoder takes the kernels of the level below: where they differ, the smaller are framed by zeros, which computes the
same.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.nets.unet3d import Activation
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import build, plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.planned import PLAIN, architecture_of, fill

FORMAT = "nnU-Net v1"
READS = "torch"

FIRST = "conv_blocks_context.0.blocks.0.conv.weight"
TRAINERS = ("plot_stuff", "best_stuff", "lr_scheduler_state_dict")  # what a trainer of v1 keeps beside its weights
MEAN_HU, STD_HU = -775.8457, 251.9326
READING, SIZE = Reading(Window(-1000, 1000)), (64, 64, 32)
UNITS = (2000 / STD_HU, (-1000 - MEAN_HU) / STD_HU)  # from [0, 1] to the z-scored HU that the authors' network takes

BLOCK = re.compile(r"(conv_blocks_\w+)\.(\d+)\.(?:(\d+)\.)?blocks\.(\d+)\.(conv|instnorm)\.(\w+)")
RISE = re.compile(r"(tu|seg_outputs)\.(\d+)\.(weight|bias)")
KERNEL = re.compile(r"(encoder|decoder)\.stages\.(\d+)\..*conv\.weight")


def recognises(content: Content) -> bool:
    """Recognise the name of the first convolution."""
    return prefix_of(tensors_of(content), FIRST) is not None


def adapt(content: Content) -> LoadedWeights:
    """Make the network; the authors' takes [0, 1] cubes and restores them, any other takes what nnU-Net fed it.

    Raises:
        WeightsError: it pools or rises without convolutions, or a tensor is missing or of another shape.
    """
    tensors = tensors_of(content)
    inside, outside = without_prefix(tensors, prefix_of(tensors, FIRST) or "")
    renamed = names_of(inside)
    state = {new: inside[old] for old, new in renamed.items()}
    if not any(name.startswith("decoder.transpconvs.") for name in state):
        raise WeightsError("it rises by interpolation, and nnU-Net v2 has transposed convolutions only")
    state, adapted = framed(state)
    for name in [name for name in state if name.startswith(("decoder.transpconvs.", "decoder.seg_layers."))]:
        if (bias := name.replace(".weight", ".bias")) not in state:
            channels = state[name].shape[1 if "transpconvs" in name else 0]
            state[bias], adapted[bias] = torch.zeros(channels), "zero: nnU-Net v1 has no bias here"
    authors = not any(name in content for name in TRAINERS)
    activation: Activation = "sigmoid" if authors else "identity"
    make = functools.partial(
        PlannedUNet,
        architecture_of(state),
        in_channels=state[PLAIN].shape[1],
        out_channels=next(state[name].shape[0] for name in state if name.startswith("decoder.seg_layers.")),
        activation=activation,
        units=UNITS if authors else (1.0, 0.0),
    )
    network = build(make, state)
    unused = (*(name for name in inside if name not in renamed), *outside)
    report = fill(network, state, adapted=adapted, left={}, unused=unused)
    notes = {**plain_values(content), **_notes(authors, network)}
    return LoadedWeights(network, report, FORMAT, READING if authors else None, SIZE if authors else None, notes)


def _notes(authors: bool, network: PlannedUNet) -> dict[str, Any]:
    fed = "[0, 1] cubes; it z-scores their HU itself" if authors else "images normalised as its plans.pkl says"
    why = "no trainer's checkpoint, as the authors' own" if authors else "a trainer's checkpoint"
    return {"taken for": why, "fed": fed, "axis_order": list(network.axis_order), "architecture": network.architecture}


def names_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each name of v1 that v2 knows to v2's name."""
    names: dict[str, str] = {}
    for name in tensors:
        if match := BLOCK.fullmatch(name):
            side, stage, half, block, layer, what = match.groups()
            number = int(block) + (_blocks(tensors, f"{side}.{stage}.0.") if half == "1" else 0)
            stages = f"encoder.stages.{stage}.0" if side == "conv_blocks_context" else f"decoder.stages.{stage}"
            names[name] = f"{stages}.convs.{number}.{'conv' if layer == 'conv' else 'norm'}.{what}"
        elif match := RISE.fullmatch(name):
            there = "transpconvs" if match[1] == "tu" else "seg_layers"
            names[name] = f"decoder.{there}.{match[2]}.{match[3]}"
    return names


def _blocks(tensors: Mapping[str, Tensor], start: str) -> int:
    """Count the blocks in the first half of a stage that has two halves."""
    return sum(name.startswith(f"{start}blocks.") and name.endswith(".conv.weight") for name in tensors)


def framed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The state with one size of kernel a level, and of those that were smaller: what was done."""
    levels: dict[str, int] = {}
    num = 1 + max(int(match[2]) for name in state if (match := KERNEL.fullmatch(name)) and match[1] == "encoder")
    for name in state:
        if match := KERNEL.fullmatch(name):
            levels[name] = int(match[2]) if match[1] == "encoder" else num - 2 - int(match[2])
    largest: dict[int, list[int]] = {}
    for name, level in levels.items():
        sides = state[name].shape[2:]
        largest[level] = [max(pair) for pair in zip(largest.get(level, sides), sides, strict=True)]
    result, adapted = dict(state), {}
    for name, level in levels.items():
        lacking = [whole - side for whole, side in zip(largest[level], state[name].shape[2:], strict=True)]
        if any(lacking):
            frame = [side for lack in reversed(lacking) for side in (lack // 2, lack // 2)]
            result[name] = functional.pad(state[name], frame)
            adapted[name] = f"framed by zeros to {' x '.join(map(str, largest[level]))}"
    return result, adapted
