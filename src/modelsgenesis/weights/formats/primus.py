"""Primus, OpenMind's transformer, as nnssl writes it, and as the package dynamic-network-architectures has it.

Layouts, and where each is known from:
- nnssl's: {"network_weights", "nnssl_adaptation_plan": {"architecture_plans": {"arch_class_name": "PrimusM"}, ...}},
  with the encoder's keys "eva" and "down_projection" (its public code), as OpenMind publishes Primus-M for each method.
- Either's weights alone, under any prefix: dynamic-network-architectures 0.4.4's own names (run, with timm 1.0.19).

The published files themselves were not at hand: the names, shapes and arithmetic are the package's. The encoder alone
is taken. What stands beside it, nnssl's decoder of patches or a projector, restores or contrasts, and is left out.

The number of heads is not in the tensors: the channels of a token tell it, as in the four sizes that are published.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets.primus import Primus
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.nnunet_v2 import fed_of, planned_of, plans_of
from modelsgenesis.weights.formats.resnets import count_blocks, fill_encoder
from modelsgenesis.weights.formats.swin import check_whole
from modelsgenesis.weights.formats.vit import joined

FORMAT = "Primus"
READS = "torch"

FIRST, STEM = "eva.blocks.0.attn.q_proj.weight", "down_projection.proj.weight"
OF_ENCODER = ("eva.", "down_projection.")
HEAD = 24  # channels of a head of any other size, such as small ones of tests
HEADS = {396: 6, 792: 12, 864: 12, 1056: 16}  # of the sizes S, B, M and L, by the channels of a token
DROP_PATH = 0.2  # of nnssl's training
FRESH = "the encoder alone is taken"


def recognises(content: Content) -> bool:
    """Recognise the first block's query."""
    return prefix_of(tensors_of(content), FIRST) is not None


def adapt(content: Content) -> LoadedWeights:
    """Make a network with this encoder; its decoder is left at random.

    Raises:
        WeightsError: a tensor is missing or of another shape, or the encoder is of another kind.
    """
    tensors = tensors_of(content)
    prefix = prefix_of(tensors, FIRST) or ""
    inside, outside = without_prefix(tensors, prefix)
    made = joined({name: value for name, value in inside.items() if name.startswith(OF_ENCODER)})
    beside = (*outside, *(prefix + name for name in inside if not name.startswith(OF_ENCODER)))
    plans, configuration = plans_of(content)
    planned = planned_of(plans, configuration)
    reading, units = fed_of(planned)
    shape = shape_of(made, sides_of(plans, configuration))
    order = planned.axis_order if planned and len(planned.axis_order) == 3 else (2, 1, 0)
    make = functools.partial(Primus, **shape, drop_path=DROP_PATH, units=units, axis_order=order)
    network, report = fill_encoder(make, made, prefix, beside, FRESH)
    check_whole(report.unused, prefix, OF_ENCODER)
    notes = {"prefix": prefix, "units": list(units), "axis_order": list(order), **plain_values(content)}
    own_size = tuple(network.grid[order.index(axis)] * network.patch for axis in range(3))
    return LoadedWeights(network, report, FORMAT, reading, own_size, notes)


def sides_of(plans: Mapping[str, Any], configuration: str) -> tuple[int, ...]:
    """The voxels along the encoder's axes of the cubes that it was trained on, where the plans say so; else ()."""
    configurations = plans.get("configurations")
    own = configurations.get(configuration) if isinstance(configurations, Mapping) else None
    sides = own.get("patch_size") if isinstance(own, Mapping) else None
    return tuple(int(side) for side in sides) if isinstance(sides, (list, tuple)) and len(sides) == 3 else ()


def shape_of(tensors: Mapping[str, Tensor], sides: tuple[int, ...]) -> dict[str, Any]:
    """The arguments of `Primus` that follow from the names and shapes of a state.

    Args:
        tensors: by their names in the encoder.
        sides: of the cubes, where they are known; a grid of other patches than the tensors have is taken for a cube.
    Raises:
        WeightsError: there are no cubic patches, no embedding of a grid of them, or no dense layers; or the patches are
            embedded by a stack of convolutions, as in Primus V2.
    """
    stem, places, second = (tensors.get(name) for name in (STEM, "eva.pos_embed", "eva.blocks.0.mlp.fc2.weight"))
    if stem is None or stem.dim() != 5 or len(set(stem.shape[2:])) > 1:
        shape = None if stem is None else tuple(stem.shape)
        raise WeightsError(f"{STEM} must be of cubes, as in Primus of the first version, got {shape}")
    if second is None or second.dim() != 2 or places is None or places.dim() != 3:
        raise WeightsError(f"{FORMAT} has eva.pos_embed and eva.blocks.0.mlp.fc2.weight; the file is cut down")
    embed, patch, count = stem.shape[0], stem.shape[2], places.shape[1]
    grid = tuple(side // patch for side in sides)
    if math.prod(grid) != count or not grid:
        grid = (round(count ** (1 / 3)),) * 3
    if math.prod(grid) != count:
        raise WeightsError(f"eva.pos_embed has {count} rows, which are no cube of patches, and its plan tells no other")
    return {
        "in_channels": stem.shape[1],
        "embed": embed,
        "depth": count_blocks(tensors, "eva.blocks."),
        "heads": HEADS.get(embed, max(1, embed // HEAD)),
        "patch": patch,
        "grid": grid,
        "hidden": second.shape[1],
        "layer_scale": "eva.blocks.0.gamma_1" in tensors,
        "norm_inner": "eva.blocks.0.attn.norm.weight" in tensors,
    }
