"""Pre-training by nnU-Net's plans: their network, on what nnU-Net feeds it, and what it then starts from."""

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tests.nets.planned import KWARGS, PLANNED, reference
from torch import nn

import modelsgenesis as mg
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.export import export
from modelsgenesis.core.errors import DataError, GenesisError, TrainingError
from modelsgenesis.core.files import read_json, write_json
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data.intensity import Window, ZScore
from modelsgenesis.data.store.store import Store
from modelsgenesis.nets import PlannedUNet
from modelsgenesis.recipes import find_recipe
from modelsgenesis.weights.files import save_network

PLANS: dict[str, Any] = {
    "dataset_name": "Dataset007_Blobs",
    "plans_name": "nnUNetPlans",
    "transpose_forward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {
        "0": {"percentile_00_5": -900.0, "percentile_99_5": 700.0, "mean": -250.0, "std": 320.0}
    },
    "configurations": {
        "3d_fullres": {
            "patch_size": [16, 24, 32],
            "spacing": [2.0, 2.0, 2.0],
            "batch_size": 3,
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "architecture": PLANNED,
        }
    },
}
STEPS: dict[str, Any] = {
    "steps": 4, "validate_every": 2, "val_cubes": 2, "warmup_steps": 1, "precision": "32-true", "accelerator": "cpu"
}  # fmt: skip


def plans_file(path: Path, **changed: Any) -> Path:
    """Plans on disk, some settings of the configuration changed."""
    plans = copy.deepcopy(PLANS)
    plans["configurations"]["3d_fullres"] |= changed
    write_json(path, plans)
    return path


@pytest.fixture(scope="module")
def run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the plans, pre-trained for a few steps."""
    folder = tmp_path_factory.mktemp("planned")
    return mg.pretrain("any", small_store, folder / "run", plans=plans_file(folder / "nnUNetPlans.json"), **STEPS)


def start_like_nnunet(network: nn.Module, checkpoint: Path) -> None:
    """Load as nnU-Net's -pretrained_weights does: all names and shapes but the heads' must be there and equal."""
    given = torch.load(checkpoint, weights_only=True)["network_weights"]
    own = network.state_dict()
    body = [name for name in own if ".seg_layers." not in name]
    assert all(name in given and given[name].shape == own[name].shape for name in body)
    network.load_state_dict(own | {name: given[name] for name in body})


def test_everything_the_plans_decide_is_followed(run: Path) -> None:
    """Network, cube, batch and intensities are theirs; the rest is the recipe's."""
    recipe = rebuild(read_json(run / "made.json")["arguments"]["recipe"])
    assert recipe.cubes.size == (32, 24, 16)
    assert recipe.cubes.intensity == Window(-900.0, 700.0)
    assert recipe.plan.batch_size == 3
    assert recipe.plan.lr == find_recipe("any").plan.lr
    network = mg.load(run)
    assert isinstance(network, PlannedUNet)
    assert network.stride == (4, 4, 2)


def test_network_sees_what_nnunet_feeds(run: Path, small_store: Path) -> None:
    """Our cube in [0, 1] is, within the network, nnU-Net's: clipped, less the mean, over the deviation, axes turned."""
    store = Store.open(small_store)
    scan = store.scans[0]
    values = store.read(scan, (0, 0, 0), (32, 24, 16))
    network = mg.load(run)
    seen: list[torch.Tensor] = []
    network.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        network(torch.from_numpy(Window(-900.0, 700.0).scale(values, scan))[None])
    theirs = (np.clip(values, -900.0, 700.0) + 250.0) / 320.0
    np.testing.assert_allclose(seen[0][0].numpy(), theirs.transpose(0, 3, 2, 1), atol=1e-5)


def test_what_nnunet_starts_from_predicts_as_ours(run: Path, tmp_path: Path) -> None:
    """The exported weights in nnU-Net's own network give our features, axes turned, units nnU-Net's."""
    theirs, ours = reference(classes=3), mg.load(run)
    start_like_nnunet(theirs, export(run, tmp_path / "out", to="nnunet") / "nnunet-pretrained.pth")
    cube = torch.rand(2, 1, 32, 24, 16, generator=torch.Generator().manual_seed(0))
    scale, shift = ours.units
    with torch.no_grad():
        skips = theirs.encoder((cube * scale + shift).permute(0, 1, 4, 3, 2))
        for feature, skip in zip(ours.encode(cube), skips, strict=True):
            torch.testing.assert_close(feature.permute(0, 1, 4, 3, 2), skip, atol=1e-5, rtol=0)
    assert json.loads((tmp_path / "out" / "architecture.json").read_text())["arch_kwargs"] == KWARGS


def test_export_holds_an_adaptation_plan(run: Path, tmp_path: Path) -> None:
    """In nnU-Net's order of axes, of plain values alone, with names that are in the weights."""
    checkpoint = torch.load(export(run, tmp_path / "out", to="nnunet") / "nnunet-pretrained.pth", weights_only=True)
    plan = checkpoint["nnssl_adaptation_plan"]
    assert plan["architecture_plans"]["arch_class_name"].endswith(".unet.PlainConvUNet")
    assert plan["pretrain_plan"]["configurations"]["3d_fullres"]["patch_size"] == [16, 24, 32]
    assert plan["recommended_downstream_patchsize"] == [16, 24, 32]
    assert plan["pretrain_num_input_channels"] == 1
    for key in (plan["key_to_encoder"], plan["key_to_stem"], *plan["keys_to_in_proj"]):
        assert any(name.startswith(f"{key}.") for name in checkpoint["network_weights"])


def test_network_of_one_channel_is_adapted_for_plans_of_several(run: Path, small_store: Path, tmp_path: Path) -> None:
    """Scans of one channel teach a network for plans of two: equal channels give the old features."""
    several = {"normalization_schemes": ["CTNormalization"] * 2, "use_mask_for_norm": [False] * 2}
    plans = plans_file(tmp_path / "nnUNetPlans.json", **several)
    run = mg.pretrain("any", small_store, tmp_path / "run", plans=plans, **STEPS)
    theirs, ours = reference(channels=2, classes=3), mg.load(run)
    start_like_nnunet(theirs, export(run, tmp_path / "out", to="nnunet") / "nnunet-pretrained.pth")
    cube = torch.rand(1, 1, 32, 24, 16)
    scale, shift = ours.units
    with torch.no_grad():
        skips = theirs.encoder((cube * scale + shift).permute(0, 1, 4, 3, 2).expand(-1, 2, -1, -1, -1))
        for feature, skip in zip(ours.encode(cube), skips, strict=True):
            torch.testing.assert_close(feature.permute(0, 1, 4, 3, 2), skip, atol=1e-4, rtol=0)


def test_z_scored_plans_reach_from_the_darkest_to_the_brightest(tmp_path: Path) -> None:
    """[0, 1] is a range of z-scores, the same for every scan, whatever the scan's own scale."""
    (tmp_path / "scans").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).normal(100, 20, (32, 32, 36)).clip(1) * (number + 1)
        image = sitk.GetImageFromArray(noise.astype(np.float32))
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(image, tmp_path / "scans" / f"mr-{number}.nii.gz")
    store = mg.prepare(tmp_path / "scans", tmp_path / "store", modality="MR", workers=0, quiet=True)
    plans = plans_file(tmp_path / "nnUNetPlans.json", normalization_schemes=["ZScoreNormalization"])
    run = mg.pretrain("any", store, tmp_path / "run", plans=plans, **STEPS)
    recipe, network = rebuild(read_json(run / "made.json")["arguments"]["recipe"]), mg.load(run)
    intensity = recipe.cubes.intensity
    assert isinstance(intensity, ZScore)
    assert network.units == pytest.approx((intensity.high - intensity.low, intensity.low))
    assert -5 < intensity.low < -3.5
    assert 2 < intensity.high < 3


def test_cubes_are_smaller_where_the_scans_are(small_store: Path, tmp_path: Path) -> None:
    """A patch that nnU-Net would pad is cut down to the scans, in steps of the stride."""
    plans = plans_file(tmp_path / "nnUNetPlans.json", patch_size=[96, 32, 64])
    run = mg.pretrain("any", small_store, tmp_path / "run", plans=plans, **STEPS)
    recipe = rebuild(read_json(run / "made.json")["arguments"]["recipe"])
    assert recipe.cubes.size == (40, 32, 36)  # the scans have (40, 44, 36)
    assert recipe.plans.size == (64, 32, 96)


def test_run_goes_on_when_the_plans_have_moved(run: Path, small_store: Path, tmp_path: Path) -> None:
    """What the plans say counts, not where they lie; other plans are another run."""
    moved = plans_file(tmp_path / "elsewhere.json")
    assert mg.pretrain("any", small_store, run, plans=moved, **STEPS) == run
    with pytest.raises(TrainingError, match="batch_size"):
        mg.pretrain("any", small_store, run, plans=plans_file(tmp_path / "other.json", batch_size=2), **STEPS)


def test_provenance_gives_the_command_back(run: Path) -> None:
    """The command line names the plans, and nothing that they decided."""
    words = shlex.split(command("run", read_provenance(run, "pretrain")))
    assert words[:3] == ["genesis", "pretrain", "any"]
    assert words[words.index("--plans") + 1].endswith("nnUNetPlans.json")
    assert words[words.index("--configuration") + 1] == "3d_fullres"
    assert not {"--size", "--batch-size", "--backbone", "--low-hu", "--units", "--n-stages"} & set(words)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"spacing": [1.0, 1.0, 2.5]}, r"--spacing 2\.5 1 1"),
        ({"normalization_schemes": ["RGBTo01Normalization"]}, "RGBTo01Normalization"),
        ({"normalization_schemes": ["CTNormalization"] * 2}, "2 normalization_schemes and 1 use_mask"),
        (
            {"normalization_schemes": ["CTNormalization", "ZScoreNormalization"], "use_mask_for_norm": [False, False]},
            "the same for every channel",
        ),
    ],
)
def test_plans_that_cannot_be_followed_say_why(
    small_store: Path, tmp_path: Path, changed: dict[str, Any], complaint: str
) -> None:
    """Each with what to do, before anything is written."""
    with pytest.raises(DataError, match=complaint):
        mg.pretrain("any", small_store, tmp_path / "run", plans=plans_file(tmp_path / "plans.json", **changed), **STEPS)
    assert not (tmp_path / "run").exists()


def test_plans_decide_the_network(small_store: Path, tmp_path: Path) -> None:
    """Another backbone beside plans is refused, and plans' backbone without plans too."""
    with pytest.raises(TrainingError, match="--width"):
        mg.pretrain("any", small_store, tmp_path / "run", plans=plans_file(tmp_path / "plans.json"), width=4, **STEPS)
    with pytest.raises(GenesisError, match="--plans"):
        mg.pretrain("any", small_store, tmp_path / "run", backbone="planned-unet", **STEPS)


def test_other_networks_are_not_exported(tmp_path: Path) -> None:
    """nnU-Net builds its own networks alone; the message says which way leads there."""
    from modelsgenesis.nets import UNet3D

    save_network(tmp_path / "unet.safetensors", UNet3D(width=2))
    with pytest.raises(GenesisError, match="--plans"):
        export(tmp_path / "unet.safetensors", tmp_path / "out", to="nnunet")
