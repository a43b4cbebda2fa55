"""Checkpoints of nnU-Net v2, and of nnssl, such as OpenMind's residual-encoder U-Nets.

Layouts, and where each is known from:
- nnU-Net's: {"network_weights", "init_args": {"plans", "configuration", ...}, ...} (the package nnunetv2 2.8.1).
- nnssl's: {"network_weights", "nnssl_adaptation_plan": {"architecture_plans", "pretrain_plan", ...}, ...} (its public
  code). Its ResEncL has no numbers of its own there: they are read off the tensors. What contrasts, as VoCo, SimCLR and
  SwinUNETR's method do, trains an encoder alone, with projectors beside it; it halves every side at each stage.
- Either's weights alone: the architecture is read off the tensors, and how images were fed is not known.

Where the plans are there, the network takes our [0, 1] cubes, read as `reading` says, and turns them itself into what
nnU-Net fed it; otherwise it takes just that. It gives logits, as the original does.
"""

import functools
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Intensity, ZScore
from modelsgenesis.data.nnunet_plans import CT, Planned, Units
from modelsgenesis.nets.planned_unet import CLASSES, PlannedUNet
from modelsgenesis.weights.formats import Content, LoadedWeights
from modelsgenesis.weights.formats.filling import build, plain_values, prefix_of, tensors_of, without_prefix
from modelsgenesis.weights.formats.planned import PLAIN, STEM, architecture_of, fill

FORMAT = "nnU-Net v2"
READS = "torch"

Z_RANGE = (-3.0, 6.0)  # standard deviations that become [0, 1]; a z-score seldom leaves them
MASKED_RANGE = (-6.0, 6.0)  # of what is not 0: black holes lie far below
BY_NAME = ("ResEncL",)  # networks of nnssl that are one of ours, without numbers


def recognises(content: Content) -> bool:
    """Recognise the name of the first convolution."""
    names = tensors_of(content)
    return any(prefix_of(names, first) is not None for first in (STEM, PLAIN))


def adapt(content: Content) -> LoadedWeights:
    """Make the network that the plans describe.

    Raises:
        WeightsError: it is another network than nnU-Net's two U-Nets, or a tensor is missing or of another shape.
    """
    tensors = tensors_of(content)
    first = STEM if prefix_of(tensors, STEM) is not None else PLAIN
    inside, outside = without_prefix(tensors, prefix_of(tensors, first) or "")
    plans, configuration = plans_of(content)
    planned = planned_of(plans, configuration)
    heads = sorted(name for name in inside if name.startswith("decoder.seg_layers.") and name.endswith(".weight"))
    reading, units = fed_of(planned)
    architecture = _architecture(content, plans, configuration)
    make = functools.partial(
        PlannedUNet,
        architecture or architecture_of(inside, halves=_class_name(content) in BY_NAME),
        in_channels=inside[first].shape[1],
        out_channels=inside[heads[-1]].shape[0] if heads else 1,
        activation="identity",
        axis_order=planned.axis_order if planned else None,
        units=units,
    )
    network = build(make, inside)
    report = fill(network, inside, adapted={}, left=_absent(inside), unused=outside)
    notes = {**plain_values(content), "units": list(units), "axis_order": list(network.axis_order)}
    if planned is not None:
        notes |= {"dataset": planned.dataset, "configuration": planned.configuration, "schemes": list(planned.schemes)}
    return LoadedWeights(network, report, FORMAT, reading, planned.size if planned else None, notes)


def plans_of(content: Content) -> tuple[Mapping[str, Any], str]:
    """The plans inside a checkpoint and the name of their configuration; empty when there are none."""
    given = _mapping(content.get("init_args"))
    plans = _mapping(given.get("plans"))
    if "configuration" in given and plans:
        return plans, str(given["configuration"])
    plans = _mapping(_mapping(content.get("nnssl_adaptation_plan")).get("pretrain_plan"))
    configurations = _mapping(plans.get("configurations"))
    return plans, next(iter(configurations), "")


def planned_of(plans: Mapping[str, Any], configuration: str) -> Planned | None:
    """The configuration, if the plans are whole; nnssl's lack a batch, and have one mask for all channels."""
    settings = dict(_mapping(_mapping(plans.get("configurations")).get(configuration)))
    schemes, masked = settings.get("normalization_schemes") or [], settings.get("use_mask_for_norm")
    settings["use_mask_for_norm"] = masked if isinstance(masked, (list, tuple)) else [bool(masked)] * len(schemes)
    usual = {"batch_size": 2, "architecture": {"network_class_name": ""}}
    all_of_them = {**_mapping(plans.get("configurations")), configuration: {**usual, **settings}}
    try:
        return Planned.from_plans({**plans, "configurations": all_of_them}, configuration)
    except DataError:  # 2D, without a spacing, or cut down: the weights serve all the same
        return None


def _architecture(content: Content, plans: Mapping[str, Any], configuration: str) -> Mapping[str, Any] | None:
    """The architecture in the plans; None when they do not hold its numbers."""
    architecture, name = _nnssl_architecture(content), _class_name(content)
    settings = architecture.get("arch_kwargs")
    if name and name not in (*CLASSES, *BY_NAME):
        raise WeightsError(f"its network is a {name}; only {', '.join((*CLASSES, *BY_NAME))} can be built")
    if isinstance(settings, Mapping) and name in CLASSES:
        layers = architecture.get("arch_kwargs_requiring_import") or []
        return {
            "network_class_name": name,
            "arch_kwargs": settings,
            "_kw_requires_import": [layer for layer in layers if layer in settings],
        }
    found = _mapping(_mapping(_mapping(plans.get("configurations")).get(configuration)).get("architecture"))
    return found if isinstance(found.get("arch_kwargs"), Mapping) else None


def _nnssl_architecture(content: Content) -> Mapping[str, Any]:
    return _mapping(_mapping(content.get("nnssl_adaptation_plan")).get("architecture_plans"))


def _class_name(content: Content) -> str:
    """The class of the network in nnssl's plan, such as ResEncL; empty without one."""
    return str(_nnssl_architecture(content).get("arch_class_name", "")).rpartition(".")[2]


def fed_of(planned: Planned | None) -> tuple[Reading | None, Units]:
    """The reading of images for the network, and the units from there to what nnU-Net fed it.

    Channels of CT that nnU-Net fed by windows of their own have none: one window is all that a reading has.
    """
    as_it_is: Units = (1.0, 0.0)
    if planned is None or not planned.kind or (planned.kind == CT and not planned.one_window):
        return None, as_it_is
    intensity: Intensity
    try:
        if planned.kind == CT:
            intensity, units = planned.window
        else:
            low, high = MASKED_RANGE if planned.masked[0] else Z_RANGE
            intensity, units = ZScore(low, high, masked=planned.masked[0]), (high - low, low)
    except DataError:
        return None, as_it_is
    return Reading(intensity, planned.spacing_mm), units


def _absent(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The parts that the file may lack: the heads, or all of the decoder."""
    if not any(name.startswith("decoder.stages.") for name in tensors):
        return {"decoder.": "the file has no decoder"}
    if not any(name.startswith("decoder.seg_layers.") for name in tensors):
        return {"decoder.seg_layers.": "the file has no heads"}
    return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
