"""genesis finetune --from another program's file: what is taken is reported in two steps; the settings follow."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import write_blobs
from tests.weights.formats.official import Official, scrambled, with_optimizer

from modelsgenesis.commands.finetune import finetune
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.naming import rebuild
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets.resnet import ResNet
from modelsgenesis.weights.files import read_notes

QUICK = {"steps": 2, "batch_size": 1, "val_cubes": 2, "validate_every": 2, "precision": "32-true", "augment": False}


@pytest.fixture(scope="module")
def nodules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans in HU and masks of their soft tissue."""
    import SimpleITK as sitk

    folder = tmp_path_factory.mktemp("nodules")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(3):
        write_blobs(folder / "images" / f"scan{number}.nii.gz", number)
        image = sitk.ReadImage(str(folder / "images" / f"scan{number}.nii.gz"))
        sitk.WriteImage(sitk.Cast(image > 0, sitk.sitkUInt8), str(folder / "labels" / f"scan{number}.nii.gz"))
    return folder


def test_official_file_starts_a_task_and_brings_its_settings(
    nodules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The window and the cubes are those of the paper; both maps are printed and kept."""
    official = scrambled(Official(width=2))
    torch.save(with_optimizer(official), tmp_path / "Genesis_Chest_CT.pt")
    run = finetune(nodules, tmp_path / "run", from_=tmp_path / "Genesis_Chest_CT.pt", val=1, **QUICK)
    notes = read_notes(run / "model.safetensors")
    assert rebuild(notes["reading"]) == Reading(Window(-1000, 1000))
    assert notes["patch"] == [40, 48, 32]  # 64 x 64 x 32 voxels, no longer than the scans are
    printed = " ".join(capsys.readouterr().err.split())
    assert "1. From Genesis_Chest_CT.pt (official Models Genesis, PyTorch) to its own network" in printed
    assert "2. From that network to the task's" in printed
    loading = json.loads((run / "loading.json").read_text())
    assert loading["shares"] == {"encoder": 1.0, "decoder": 1.0, "head": 0.0}
    assert loading["opened"]["format"] == "official Models Genesis, PyTorch"
    assert loading["opened"]["notes"] == {"prefix": "module.", "epoch": 620}
    assert loading["opened"]["shares"] == {"encoder": 1.0, "decoder": 1.0, "head": 1.0}


def test_weights_trained_further_are_the_files(nodules: Path, tmp_path: Path) -> None:
    """At a rate of almost nothing, the task's network still is the official one."""
    official = scrambled(Official(width=2))
    torch.save(official.state_dict(), tmp_path / "weights.pt")
    run = finetune(nodules, tmp_path / "run", from_=tmp_path / "weights.pt", val=1, lr=1e-12, weight_decay=0.0, **QUICK)
    trained = load_file(run / "last.safetensors")
    np.testing.assert_allclose(
        trained["down.3.3.weight"], official.down_tr512.ops[1]["conv1"].weight.detach(), atol=1e-6
    )
    np.testing.assert_allclose(trained["rise.0.weight"], official.up_tr256.up_conv.weight.detach(), atol=1e-6)


def test_decoder_that_no_file_had_is_drawn_from_the_seed(nodules: Path, tmp_path: Path) -> None:
    """An encoder alone: the second map does not call a random decoder taken, and a run says the same twice."""
    encoder = scrambled(ResNet(blocks=(1, 1, 1, 1), width=4)).encoder  # type: ignore[union-attr]
    state = {f"module.{name}": tensor for name, tensor in encoder.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "resnet_10.pth")
    kept = []
    for name in ("one", "two"):
        torch.manual_seed(len(kept))
        run = finetune(nodules, tmp_path / name, from_=tmp_path / "resnet_10.pth", size=(16, 16, 16), **QUICK)
        kept.append(load_file(run / "last.safetensors"))
        assert json.loads((run / "loading.json").read_text())["shares"] == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_file_that_asks_for_more_than_tensors_needs_trust(nodules: Path, tmp_path: Path) -> None:
    """Refused with the way out, which works."""
    content = {"state_dict": Official(width=2).state_dict(), "kept": np.zeros(3)}
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"asks for numpy.*_reconstruct.*--trust"):
        finetune(nodules, tmp_path / "run", from_=tmp_path / "weights.pt", **QUICK)
    run = finetune(nodules, tmp_path / "run", from_=tmp_path / "weights.pt", trust=True, size=(16, 16, 16), **QUICK)
    assert (run / "model.safetensors").is_file()
