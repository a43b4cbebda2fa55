"""nnU-Net's plans: the network, patch, spacing and normalisation that it decided on for a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_json
from modelsgenesis.data.intensity import Window

CT_STATISTICS = ("percentile_00_5", "percentile_99_5", "mean", "std")  # of the foreground, that CT is normalised by
UNET = "dynamic_network_architectures.architectures.unet"
CT, Z = "CTNormalization", "ZScoreNormalization"

Units = tuple[float, float]  # (scale, shift) from our [0, 1] to what nnU-Net feeds


@dataclass(frozen=True)
class Planned:
    """One configuration of nnU-Net's plans, in our order of axes.

    Attributes:
        dataset: its name.
        name: of the plans.
        configuration: such as 3d_fullres.
        architecture: as the plans have it: network_class_name, arch_kwargs, _kw_requires_import.
        axis_order: which of our axes (0 is X) each axis of the planned network is.
        size: of the patch in voxels, along X, Y, Z.
        spacing_mm: along X, Y, Z.
        batch_size: patches a step.
        schemes: how each channel is normalised, by the names of nnU-Net's classes.
        masked: whether each channel's mean is of the voxels that are not 0.
        foreground: statistics of each channel under the labels, such as percentile_00_5.
        file: that the plans were read from; empty when they came inside a checkpoint.
    """

    dataset: str
    name: str
    configuration: str
    architecture: Mapping[str, Any]
    axis_order: tuple[int, ...]
    size: tuple[int, ...]
    spacing_mm: tuple[float, float, float]
    batch_size: int
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    foreground: tuple[Mapping[str, float], ...]
    file: str = ""

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any], configuration: str, *, file: str = "") -> Self:
        """Read a configuration from plans as JSON has them.

        Raises:
            DataError: there is no such configuration, it is no 3D one of its own, or the plans are broken.
        """
        settings = _settings(plans, configuration)
        try:
            transposed = [int(axis) for axis in plans["transpose_forward"]]
            order = tuple(2 - axis for axis in transposed)  # nnU-Net's arrays are (Z, Y, X) before it transposes them
            schemes, masked = settings["normalization_schemes"], settings["use_mask_for_norm"]
            if len(schemes) != len(masked):
                raise ValueError(f"{len(schemes)} normalization_schemes and {len(masked)} use_mask_for_norm")
            across = _in_our_order(settings["spacing"], order, float)
            properties = plans.get("foreground_intensity_properties_per_channel", {})
            return cls(
                dataset=str(plans["dataset_name"]),
                name=str(plans["plans_name"]),
                configuration=configuration,
                architecture=settings.get("architecture") or _older_architecture(settings),
                axis_order=order,
                size=_in_our_order(settings["patch_size"], order, int),
                spacing_mm=(across[0], across[1], across[2]),
                batch_size=int(settings["batch_size"]),
                schemes=tuple(map(str, schemes)),
                masked=tuple(map(bool, masked)),
                foreground=tuple(properties[key] for key in sorted(properties, key=int)),
                file=file,
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            what = f"{type(error).__name__}: {error}"
            raise DataError(f"these are no plans of nnU-Net v2, or broken ones ({what}); plan again") from error

    @property
    def window(self) -> tuple[Window, Units]:
        """The window that nnU-Net clips CT to, and from its [0, 1] to what nnU-Net feeds.

        Raises:
            DataError: the plans do not hold it.
        """
        try:
            known = self.foreground[0]
            low, high, mean, std = (known[name] for name in CT_STATISTICS)
        except (IndexError, KeyError) as error:
            raise DataError(f"the plans do not say how CT is normalised (no {error}); plan again") from error
        return Window(low, high), ((high - low) / max(std, 1e-8), (low - mean) / max(std, 1e-8))

    @property
    def one_window(self) -> bool:
        """Whether nnU-Net clips and scales all channels of CT alike; those of several phases it does not."""
        return len({tuple(known.get(name) for name in CT_STATISTICS) for known in self.foreground}) <= 1

    @property
    def kind(self) -> str:
        """The normalisation, CT or Z, if all channels have the same; otherwise empty."""
        kinds = set(zip(self.schemes, self.masked, strict=True))
        return self.schemes[0] if len(kinds) == 1 and self.schemes[0] in (CT, Z) else ""


def read_planned(path: Path, configuration: str) -> Planned:
    """Read a configuration from a plans file of nnU-Net v2.

    Args:
        path: such as nnUNet_preprocessed/Dataset004_Hippocampus/nnUNetPlans.json.
        configuration: such as 3d_fullres.
    Raises:
        DataError: the file is missing or no plans, or there is no such configuration.
    """
    plans = read_json(path)
    if not isinstance(plans, dict) or not isinstance(plans.get("configurations"), dict):
        raise DataError(f"{path}: no plans of nnU-Net v2; they are in nnUNet_preprocessed/DATASET/nnUNetPlans.json")
    with blamed_on(path, DataError, "no plans to follow"):
        return Planned.from_plans(plans, configuration, file=str(path))


def _settings(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """The settings of a configuration with all that it inherits."""
    known = plans.get("configurations") or {}
    if configuration not in known:
        raise DataError(f"no configuration {configuration!r} in these plans; there are: {', '.join(known)}")
    settings, seen = dict(known[configuration]), {configuration}
    while (parent := settings.pop("inherits_from", None)) is not None:
        if parent in seen or parent not in known:
            raise DataError(f"{configuration} inherits from {parent!r}, which is not there or leads back; plan again")
        seen.add(parent)
        settings = {**known[parent], **settings}
    if len(settings.get("patch_size", ())) != 3:
        raise DataError(f"{configuration} is not 3D, and pre-training cuts cubes; take 3d_fullres or 3d_lowres")
    if settings.get("previous_stage"):
        raise DataError(f"{configuration} also sees another network's masks; take 3d_fullres or 3d_lowres")
    return settings


def _older_architecture(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture of plans from before nnU-Net 2.4, which name its numbers only."""
    blocks = settings["n_conv_per_stage_encoder"]
    kind = str(settings["UNet_class_name"])
    base, most = settings["UNet_base_num_features"], settings["unet_max_num_features"]
    return {
        "network_class_name": f"{UNET}.{kind}",
        "arch_kwargs": {
            "n_stages": len(blocks),
            "features_per_stage": [min(base * 2**stage, most) for stage in range(len(blocks))],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": settings["conv_kernel_sizes"],
            "strides": settings["pool_op_kernel_sizes"],
            "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage": blocks,
            "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _in_our_order(numbers: Any, order: tuple[int, ...], kind: Any) -> tuple[Any, ...]:
    """Turn numbers along the planned network's axes into numbers along ours."""
    return tuple(kind(numbers[order.index(axis)]) for axis in range(len(order)))
