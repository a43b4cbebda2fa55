"""nnU-Net's checkpoints, of both versions: loaded networks predict as the originals do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import Tensor, nn
from torch.nn import functional

import modelsgenesis as mg
from modelsgenesis.commands.export import export
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window, ZScore
from modelsgenesis.nets import PlannedUNet
from modelsgenesis.weights.loading import LoadedWeights, load_weights

TOLERANCE = 1e-4
LAYERS: dict[str, Any] = {
    "conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": nn.LeakyReLU, "nonlin_kwargs": {"inplace": True}, "conv_bias": True,
}  # fmt: skip
NUMBERS: dict[str, Any] = {
    "n_stages": 3, "features_per_stage": [4, 6, 8], "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "n_conv_per_stage_decoder": [2, 1],
}  # fmt: skip
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "PlainConvUNet": (PlainConvUNet, {**NUMBERS, "n_conv_per_stage": [2, 3, 2]}),
    "ResidualEncoderUNet": (ResidualEncoderUNet, {**NUMBERS, "n_blocks_per_stage": [1, 2, 3]}),
}
NAMES = {
    "conv_op": "torch.nn.modules.conv.Conv3d", "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "nonlin": "torch.nn.LeakyReLU", "dropout_op": None,
}  # fmt: skip


def shaken(network: nn.Module) -> nn.Module:
    """Every parameter at random, norms and biases too, so that a tensor in the wrong place shows."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network.eval()


def original(kind: str, *, channels: int = 1, classes: int = 2) -> nn.Module:
    """The network by nnU-Net's own package."""
    make, numbers = KINDS[kind]
    torch.manual_seed(0)
    return shaken(make(input_channels=channels, num_classes=classes, deep_supervision=False, **numbers, **LAYERS))


def nnunet_checkpoint(kind: str, network: nn.Module, scheme: str = "CTNormalization") -> dict[str, Any]:
    """What a trainer of nnunetv2 2.8.1 saves, numbers of NumPy among it."""
    plans = {
        "dataset_name": "Dataset003_Liver",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [1, 0, 2],
        "foreground_intensity_properties_per_channel": {
            "0": {"percentile_00_5": -17.0, "percentile_99_5": 201.0, "mean": 99.4, "std": 39.39}
        },
        "configurations": {
            "3d_fullres": {
                "patch_size": [16, 24, 32],
                "spacing": [2.5, 0.75, 0.5],
                "batch_size": 2,
                "normalization_schemes": [scheme],
                "use_mask_for_norm": [False],
                "architecture": {
                    "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
                    "arch_kwargs": {**KINDS[kind][1], **LAYERS, **NAMES},
                    "_kw_requires_import": list(NAMES),
                },
            }
        },
    }
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.4)]},
        "_best_ema": np.float64(0.4),
        "current_epoch": 12,
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def nnssl_checkpoint(kind: str, network: nn.Module) -> dict[str, Any]:
    """What a trainer of nnssl saves: no plans of nnU-Net, one of adaptation."""
    configuration = {
        "data_identifier": "nnsslPlans_onemmiso",
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": False,
        "spacing": [1, 1, 1],
        "patch_size": [32, 32, 32],
    }
    return {
        "network_weights": network.state_dict(),
        "trainer_name": "BaseMAETrainer",
        "nnssl_adaptation_plan": {
            "architecture_plans": {
                "arch_class_name": kind,
                "arch_kwargs": {**KINDS[kind][1], **LAYERS, **NAMES, "dropout_op_kwargs": None},
                "arch_kwargs_requiring_import": ["conv_op", "norm_op", "nonlin"],
            },
            "pretrain_plan": {
                "dataset_name": "Dataset745_OpenMind",
                "plans_name": "nnsslPlans",
                "transpose_forward": [0, 1, 2],
                "configurations": {"onemmiso": configuration},
            },
            "pretrain_num_input_channels": 1,
        },
    }


def opened(path: Path, content: dict[str, Any]) -> LoadedWeights:
    """Saved under a name that says nothing, and opened."""
    torch.save(content, path / "file")
    return load_weights(path / "file")


def check_predictions(network: Any, reference: Callable[[Tensor], Tensor], units: tuple[float, float] = (1, 0)) -> None:
    """Our prediction for an image is the original's to the same image in its axes and units."""
    sides = (2 * step for step in network.stride)
    image = torch.rand(2, network.in_channels, *sides, generator=torch.Generator().manual_seed(4))
    inwards = (0, 1, *(2 + axis for axis in network.axis_order))
    with torch.no_grad():
        expected = reference(image.permute(inwards) * units[0] + units[1])
        prediction = network(image).permute(inwards)
    assert expected.std() > 0.01
    torch.testing.assert_close(prediction, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_nnunet_v2_checkpoint_predicts_as_it_did(kind: str, tmp_path: Path) -> None:
    """With its plans inside: axes, window, spacing and patch are known."""
    reference = original(kind)
    found = opened(tmp_path, nnunet_checkpoint(kind, reference))
    units = (218 / 39.39, (-17 - 99.4) / 39.39)
    check_predictions(found.network, reference, units)
    assert found.reading == Reading(Window(-17.0, 201.0), (0.5, 2.5, 0.75))
    assert found.size == (32, 16, 24)
    assert isinstance(found.network, PlannedUNet)
    assert found.network.axis_order == (1, 2, 0)
    assert {row.how for row in found.report.rows} == {"taken"}
    assert found.report.unused == ()
    assert found.notes["dataset"] == "Dataset003_Liver"


def test_z_scored_checkpoint_is_read_by_z_scores(tmp_path: Path) -> None:
    """A range of standard deviations becomes [0, 1], and the network undoes it."""
    reference = original("PlainConvUNet")
    found = opened(tmp_path, nnunet_checkpoint("PlainConvUNet", reference, "ZScoreNormalization"))
    assert found.reading is not None
    assert isinstance(found.reading.intensity, ZScore)
    low, high = found.reading.intensity.low, found.reading.intensity.high
    check_predictions(found.network, reference, (high - low, low))


def test_unknown_normalisation_is_left_to_the_user(tmp_path: Path) -> None:
    """The network then takes what nnU-Net fed it, and no reading is claimed."""
    reference = original("PlainConvUNet")
    found = opened(tmp_path, nnunet_checkpoint("PlainConvUNet", reference, "RGBTo01Normalization"))
    assert found.reading is None
    check_predictions(found.network, reference)


def test_phases_of_ct_with_windows_of_their_own_are_left_to_the_user(tmp_path: Path) -> None:
    """nnU-Net clips and scales each channel by its own statistics; the first channel's are not the second's."""
    reference = original("PlainConvUNet")
    content = nnunet_checkpoint("PlainConvUNet", reference)
    configuration = content["init_args"]["plans"]["configurations"][content["init_args"]["configuration"]]
    configuration |= {"normalization_schemes": ["CTNormalization"] * 2, "use_mask_for_norm": [False] * 2}
    known = content["init_args"]["plans"]["foreground_intensity_properties_per_channel"]
    known["1"] = dict(known["0"])
    assert opened(tmp_path, content).reading == Reading(Window(-17.0, 201.0), (0.5, 2.5, 0.75))
    known["1"]["mean"] += 30
    found = opened(tmp_path, content)
    assert found.reading is None
    check_predictions(found.network, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_nnssl_checkpoint_predicts_as_it_did(kind: str, tmp_path: Path) -> None:
    """By its adaptation plan."""
    reference = original(kind, classes=1)
    found = opened(tmp_path, nnssl_checkpoint(kind, reference))
    assert found.reading is not None
    assert found.reading.spacing_mm == (1.0, 1.0, 1.0)
    low, high = found.reading.intensity.low, found.reading.intensity.high  # type: ignore[union-attr]
    check_predictions(found.network, reference, (high - low, low))


def test_network_known_by_name_is_read_off_its_tensors(tmp_path: Path) -> None:
    """ResEncL has no numbers in the plan; the tensors have them, under any prefix."""
    reference = original("ResidualEncoderUNet", channels=2, classes=3)
    content = nnssl_checkpoint("ResidualEncoderUNet", reference)
    content["network_weights"] = {f"module.{name}": tensor for name, tensor in reference.state_dict().items()}
    content["nnssl_adaptation_plan"]["architecture_plans"] = {"arch_class_name": "ResEncL", "arch_kwargs": None}
    low, high = -3.0, 6.0
    check_predictions(opened(tmp_path, content).network, reference, (high - low, low))


BESIDE = {  # what nnssl's methods train beside an encoder: VoCo and SimCLR, and SwinUNETR's method
    "contrast": ("projector.layer1.0.weight", "projector.layer3.0.bias"),
    "SwinUNETR": ("rotation_proj_head.weight", "contrast_proj_head.bias", "recon_proj_head.0.weight"),
}


@pytest.mark.parametrize("method", BESIDE)
def test_encoder_that_nnssl_trained_alone_gives_its_features(method: str, tmp_path: Path) -> None:
    """ResEncL without numbers and without a decoder, in the plan of the published files; its features are all there."""
    numbers = {**NUMBERS, "kernel_sizes": 3, "strides": [1, 2, 2], "n_conv_per_stage_decoder": 1}
    torch.manual_seed(0)
    made = {"input_channels": 1, "num_classes": 1, "n_blocks_per_stage": [1, 2, 3], **numbers, **LAYERS}
    reference = shaken(ResidualEncoderUNet(**made))
    content = nnssl_checkpoint("ResidualEncoderUNet", reference)
    content["nnssl_adaptation_plan"]["architecture_plans"] = {
        "arch_class_name": "ResEncL", "arch_kwargs": None, "arch_kwargs_requiring_import": None,
    }  # fmt: skip
    encoder = {name: tensor for name, tensor in reference.state_dict().items() if name.startswith("encoder.")}
    content["network_weights"] = encoder | {name: torch.rand(3) for name in BESIDE[method]}
    found = opened(tmp_path, content)
    image = torch.rand(2, 1, 8, 12, 16)
    with torch.no_grad():
        theirs = reference.encoder(image.permute(0, 1, 4, 3, 2) * 9 - 3)
        ours = found.network.encode(image)
    assert [tuple(one.shape[1:]) for one in ours] == [(4, 8, 12, 16), (6, 4, 6, 8), (8, 2, 3, 4)]
    for own, original_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.permute(0, 1, 4, 3, 2), original_one, atol=TOLERANCE, rtol=TOLERANCE)
    assert found.report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert set(found.report.unused) == set(BESIDE[method])


def test_encoder_of_unknown_strides_is_refused(tmp_path: Path) -> None:
    """Without a decoder the tensors do not show by how much a stage shrinks, and nothing is guessed."""
    state = original("ResidualEncoderUNet").state_dict()
    encoder = {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}
    with pytest.raises(WeightsError, match=r"it lacks decoder\.transpconvs\.1\.weight"):
        opened(tmp_path, {"network_weights": encoder})


@pytest.mark.parametrize("prefix", ["", "module."])
def test_vocomni_of_nnunet_predicts_as_the_original(prefix: str, tmp_path: Path) -> None:
    """The bare state of a PlainConvUNet of six stages and 21 classes; as published, with a 16th of the channels."""
    torch.manual_seed(0)
    made = {"n_stages": 6, "features_per_stage": [2, 4, 8, 16, 20, 20], "kernel_sizes": [[3, 3, 3]] * 6}
    blocks = {
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * 5,
        "n_conv_per_stage": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
    }
    reference = shaken(
        PlainConvUNet(input_channels=1, num_classes=21, deep_supervision=False, **made, **blocks, **LAYERS)
    )
    found = opened(tmp_path, {prefix + name: tensor for name, tensor in reference.state_dict().items()})
    check_predictions(found.network, reference)
    assert found.report.unused == ()
    assert found.reading is None


@pytest.mark.parametrize("kind", KINDS)
def test_bare_weights_are_enough(kind: str, tmp_path: Path) -> None:
    """Without plans the architecture is read off the tensors, all of it."""
    reference = original(kind, classes=4)
    found = opened(tmp_path, {"network_weights": reference.state_dict()})
    check_predictions(found.network, reference)
    assert (found.reading, found.size) == (None, None)
    architecture = found.network.architecture["arch_kwargs"]  # type: ignore[union-attr,index]
    numbers = KINDS[kind][1]
    assert {name: architecture[name] for name in numbers} == numbers


def test_missing_heads_are_left_and_said(tmp_path: Path) -> None:
    """Weights that were cut down to encoder and decoder load; the report names the heads."""
    content = nnunet_checkpoint("PlainConvUNet", original("PlainConvUNet"))
    weights = content["network_weights"]
    content["network_weights"] = {name: weights[name] for name in weights if "seg_layers" not in name}
    report = opened(tmp_path, content).report
    assert {row.part for row in report.rows if row.how == "random"} == {"head"}
    assert report.shares["encoder"] == report.shares["decoder"] == 1


def test_missing_tensors_and_other_networks_are_refused(tmp_path: Path) -> None:
    """Nothing is guessed: a lost tensor, another shape, another architecture."""
    content = nnunet_checkpoint("PlainConvUNet", original("PlainConvUNet"))
    del content["network_weights"]["encoder.stages.1.0.convs.2.norm.bias"]
    with pytest.raises(WeightsError, match=r"convs\.2\.norm\.bias"):
        opened(tmp_path, content)
    content = nnunet_checkpoint("PlainConvUNet", original("PlainConvUNet"))
    settings = content["init_args"]["plans"]["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    settings["features_per_stage"] = [4, 6, 1_000_000]
    with pytest.raises(WeightsError, match="parameters"):
        opened(tmp_path, content)
    content = nnssl_checkpoint("ResidualEncoderUNet", original("ResidualEncoderUNet"))
    content["nnssl_adaptation_plan"]["architecture_plans"]["arch_class_name"] = "NoSkipResEncL"
    with pytest.raises(WeightsError, match="NoSkipResEncL"):
        opened(tmp_path, content)


class Unit(nn.Module):
    """Convolution, instance norm, leaky ReLU, by nnU-Net v1's names."""

    def __init__(self, before: int, after: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv3d(before, after, kernel, stride, padding)
        self.instnorm = nn.InstanceNorm3d(after, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """The three, one after the other."""
        return functional.leaky_relu(self.instnorm(self.conv(x)), 0.01)


class Stack(nn.Module):
    """Units in a row."""

    def __init__(self, *units: Unit) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        """All of them."""
        return self.blocks(x)


class OlderUNet(nn.Module):
    """nnU-Net v1's U-Net with convolutional pooling and rising, re-derived from its names, shapes and text."""

    def __init__(self, features: list[int], pools: list[tuple[int, ...]], kernels: list[tuple[int, ...]]) -> None:
        super().__init__()
        whole, (base, *_) = (1, 1, 1), features
        down: list[nn.Module] = [Stack(Unit(1, base, kernels[0], whole), Unit(base, base, kernels[0], whole))]
        for before, after, pool, kernel in zip(features, features[1:], pools, kernels[1:], strict=False):
            first, second = Unit(before, after, kernel, pool), Unit(after, after, kernel, whole)
            deepest = after is features[-1] or len(down) == len(pools)
            down.append(nn.Sequential(Stack(first), Stack(second)) if deepest else Stack(first, second))
        self.conv_blocks_context = nn.ModuleList(down)
        up, rises, heads = [], [], []
        for level in reversed(range(len(pools))):
            width, kernel = features[level], kernels[level + 1]  # the level below decides, a quirk of v1
            rises.append(nn.ConvTranspose3d(features[level + 1], width, pools[level], pools[level], bias=False))
            units = Unit(2 * width, width, kernel, whole), Unit(width, width, kernel, whole)
            up.append(nn.Sequential(Stack(units[0]), Stack(units[1])))
            heads.append(nn.Conv3d(width, 2, 1, bias=False))
        self.conv_blocks_localization, self.tu = nn.ModuleList(up), nn.ModuleList(rises)
        self.seg_outputs = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, Z, Y, X) -> (B, 2, Z, Y, X), logits."""
        skips: list[Tensor] = []
        for stage in self.conv_blocks_context:
            x = stage(x)
            skips.append(x)
        for rise, stage, skip in zip(self.tu, self.conv_blocks_localization, skips[-2::-1], strict=True):
            x = stage(torch.cat((rise(x), skip), dim=1))
        return self.seg_outputs[-1](x)


OLDER: dict[str, dict[str, Any]] = {
    "one kernel": {"features": [4, 6, 8], "pools": [(2, 2, 2), (1, 2, 2)], "kernels": [(3, 3, 3)] * 3},
    "flat kernels": {
        "features": [4, 6, 8, 8],
        "pools": [(1, 2, 2), (2, 2, 2), (2, 2, 2)],
        "kernels": [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)],
    },
}


@pytest.mark.parametrize("case", OLDER)
def test_the_authors_network_takes_cubes_and_restores_them(case: str, tmp_path: Path) -> None:
    """[0, 1] cubes in, z-scored HU within, a sigmoid at the end; kernels of all kinds."""
    torch.manual_seed(1)
    reference = shaken(OlderUNet(**OLDER[case]))
    found = opened(tmp_path, {"epoch": 7, "state_dict": reference.state_dict(), "optimizer_state_dict": {}})
    # [0, 1] is -1000 to 1000 HU, and the network saw (HU + 775.8457) / 251.9326.
    units = (2000 / 251.9326, (-1000 + 775.8457) / 251.9326)
    check_predictions(found.network, lambda image: reference(image).sigmoid(), units)
    assert found.reading == Reading(Window(-1000, 1000))
    assert found.notes["epoch"] == 7
    adapted = {row.tensor.removeprefix("network.") for row in found.report.rows if row.how == "adapted"}
    assert {name for name in adapted if name.endswith("bias")} == {
        f"decoder.{where}.{stage}.bias"
        for where in ("transpconvs", "seg_layers")
        for stage in range(len(found.network.channels) - 1)
    }
    assert {row.how for row in found.report.rows} == {"taken", "adapted"}


def test_other_checkpoints_of_version_1_give_logits(tmp_path: Path) -> None:
    """What a trainer saved takes what nnU-Net fed it."""
    reference = shaken(OlderUNet(**OLDER["one kernel"]))
    content = {"epoch": 1, "state_dict": reference.state_dict(), "plot_stuff": ([], [np.float64(1)], [], [])}
    found = opened(tmp_path, content)
    check_predictions(found.network, reference)
    assert found.reading is None


def test_version_1_goes_on_to_nnunet_v2(tmp_path: Path) -> None:
    """The road from a .model: exported, nnU-Net v2's own network predicts as version 1 did."""
    reference = shaken(OlderUNet(**OLDER["one kernel"]))
    torch.save({"state_dict": reference.state_dict()}, tmp_path / "genesis.model")
    out = export(tmp_path / "genesis.model", tmp_path / "out", to="nnunet")
    given = torch.load(out / "nnunet-pretrained.pth", weights_only=True)["network_weights"]
    numbers = {"n_stages": 3, "features_per_stage": [4, 6, 8], "kernel_sizes": 3, "n_conv_per_stage": 2}
    theirs = PlainConvUNet(
        input_channels=1, num_classes=2, n_conv_per_stage_decoder=2, strides=[1, 2, [1, 2, 2]], **numbers, **LAYERS
    ).eval()
    theirs.load_state_dict(given)
    image = torch.randn(1, 1, 8, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(theirs(image), reference(image), atol=TOLERANCE, rtol=TOLERANCE)


def test_rising_by_interpolation_is_refused(tmp_path: Path) -> None:
    """nnU-Net v2 has no such network."""
    state = {
        name: tensor for name, tensor in OlderUNet(**OLDER["one kernel"]).state_dict().items() if "tu." not in name
    }
    with pytest.raises(WeightsError, match="interpolation"):
        opened(tmp_path, {"state_dict": state})


@pytest.mark.filterwarnings("ignore")
def test_version_1_of_the_package_itself_predicts_the_same(tmp_path: Path) -> None:
    """The real Generic_UNet of nnunet 1.7.1, as its trainer for 3D builds it, at the depth of the authors' weights."""
    generic = pytest.importorskip("nnunet.network_architecture.generic_UNet", reason="nnunet 1.7.1 is not installed")
    reference = generic.Generic_UNet(
        1, 4, 2, 5, 2, 2, nn.Conv3d, nn.InstanceNorm3d, {"eps": 1e-5, "affine": True}, nn.Dropout3d,
        {"p": 0, "inplace": True}, nn.LeakyReLU, {"negative_slope": 1e-2, "inplace": True}, False, False,
        lambda x: x, None, [[2, 2, 2]] * 4 + [[1, 2, 2]], [[3, 3, 3]] * 6, False, True, True,
    )  # fmt: skip
    reference = shaken(reference)
    found = opened(tmp_path, {"epoch": 6, "state_dict": reference.state_dict()})
    units = (2000 / 251.9326, (-1000 + 775.8457) / 251.9326)
    check_predictions(found.network, lambda image: reference(image).sigmoid(), units)
    assert mg.load(tmp_path / "file").stride == (32, 32, 16)
