"""A checkpoint that nnU-Net starts from: `nnUNetv2_train ... -pretrained_weights`, and its development branch."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.files import write_json, written_aside
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.data.nnunet_plans import UNET, Planned
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.weights.exporters.base.given import Given, read_given

FILE = "nnunet-pretrained.pth"
USAGE = """\
`nnunet-pretrained.pth` is what nnU-Net v2 starts from, once it has planned the data set with the architecture in
`architecture.json` (a network pre-trained with `genesis pretrain --plans` has that of its plans):

    nnUNetv2_train DATASET_ID 3d_fullres FOLD -p PLANS -pretrained_weights nnunet-pretrained.pth

Everything but the segmentation heads is taken. The file loads with `torch.load(..., weights_only=True)`. Where it was
pre-trained by plans it also holds an adaptation plan, for the commands of nnU-Net's development branch:

    nnUNetv2_preprocess_like_nnssl -d DATASET_ID -n genesis -pc nnunet-pretrained.pth -am like_pretrained
    nnUNetv2_train_pretrained DATASET_ID 3d_fullres FOLD -p PLANS_THAT_IT_WROTE -tr PretrainedTrainer
"""
CITATIONS = [
    {
        "type": "Pretraining",
        "name": "Models Genesis",
        "apa_citations": [
            "Zhou, Z., Sodha, V., Pang, J., Gotway, M. B., & Liang, J. (2021). Models Genesis. Medical Image Analysis, "
            "67, 101840."
        ],
    }
]


def export(run: Path, into: Path) -> Path:
    """Write nnunet-pretrained.pth and architecture.json.

    Args:
        run: a run's folder, or a weights file, whose network is one of nnU-Net's.
        into: an empty folder.
    Returns:
        `into`.
    Raises:
        WeightsError: there is no network there, the file is broken, or it is another network.
    """
    given = read_given(run)
    network = given.backbone
    if not isinstance(network, PlannedUNet):
        raise WeightsError(
            f"{run} holds a {type(network).__name__}, which nnU-Net does not build; pre-train the network of its "
            "plans: genesis pretrain RECIPE STORE RUN --plans nnUNetPlans.json"
        )
    planned = planned_of(given)
    channels = len(planned.schemes) if planned else network.in_channels
    checkpoint: dict[str, Any] = {"network_weights": weights_of(network, channels)}
    if planned is not None:
        plan = adaptation_plan(network, planned, given, channels)
        checkpoint |= {"nnssl_adaptation_plan": describe(plan)}
        checkpoint |= {"citations": CITATIONS}
    with written_aside(into / FILE) as aside, open(aside, "wb") as file:
        torch.save(checkpoint, file)
    write_json(into / "architecture.json", network.architecture)
    return into


def planned_of(given: Given) -> Planned | None:
    """The plans that a network was pre-trained by; None when its file does not hold them."""
    planned = rebuild(given.notes.get("recipe", {}).get("plans"))
    return planned if isinstance(planned, Planned) else None


def weights_of(network: PlannedUNet, channels: int) -> dict[str, Tensor]:
    """The wrapped network's state under nnU-Net's names, for images of so many channels.

    A network of one channel becomes one of several whose first convolution has the same weights for each, divided by
    their number: equal channels give the old features.
    """
    state = network.network.state_dict(keep_vars=True)
    first = next(weights for weights in network.parts()[0][1].parameters() if weights.dim() > 2)
    repeated = first.detach().sum(1, keepdim=True).repeat_interleave(channels, 1) / channels
    return {
        name: repeated if tensor is first and channels != network.in_channels else tensor.detach().cpu()
        for name, tensor in state.items()
    }


def adaptation_plan(network: PlannedUNet, planned: Planned, given: Given, channels: int) -> dict[str, Any]:
    """What nnU-Net's development branch needs in a pre-trained checkpoint, in its own order of axes.

    Source: the fields of nnssl's AdaptationPlan, as its checkpoints hold them.
    """
    order = planned.axis_order
    return {
        "architecture_plans": architecture_plans(network),
        "pretrain_plan": pretrain_plan(planned, given),
        "pretrain_num_input_channels": channels,
        "recommended_downstream_patchsize": [planned.size[axis] for axis in order],
        "key_to_encoder": network.network.key_to_encoder,
        "key_to_stem": network.network.key_to_stem,
        "keys_to_in_proj": list(network.network.keys_to_in_proj),
        "key_to_lpe": None,
    }


def architecture_plans(network: PlannedUNet) -> dict[str, Any]:
    """Describe how nnU-Net builds the network."""
    architecture = network.architecture
    return {
        "arch_class_name": f"{UNET}.{architecture['network_class_name'].rpartition('.')[2]}",
        "arch_kwargs": architecture["arch_kwargs"],
        "arch_kwargs_requiring_import": architecture["_kw_requires_import"],
    }


def pretrain_plan(planned: Planned, given: Given) -> dict[str, Any]:
    """The plans that the network was pre-trained by, as far as fine-tuning needs them."""
    transposed = [2 - axis for axis in planned.axis_order]
    configuration = configuration_of(planned, given)
    return {
        "dataset_name": planned.dataset,
        "plans_name": planned.name,
        "original_median_spacing_after_transp": configuration["spacing"],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": transposed,
        "transpose_backward": [transposed.index(axis) for axis in range(3)],
        "experiment_planner_used": "ExperimentPlanner",
        "configurations": {planned.configuration: configuration},
    }


def configuration_of(planned: Planned, given: Given) -> dict[str, Any]:
    """One configuration of nnU-Net's plans: spacing, patch and how images are resampled and normalised."""
    order = planned.axis_order
    resampling = {"order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"{planned.name}_{planned.configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "spacing_style": "median",
        "normalization_schemes": list(planned.schemes),
        "use_mask_for_norm": list(planned.masked),
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_mask": "resample_data_or_seg_to_shape",
        "resampling_fn_mask_kwargs": {"is_seg": True, "order": 1, **resampling},
        "spacing": [planned.spacing_mm[axis] for axis in order],
        "patch_size": [(given.patch or planned.size)[axis] for axis in order],
    }
