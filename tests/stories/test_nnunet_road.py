"""The road through the real nnU-Net, as the example walks it, on made-up images."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

EXAMPLE = Path(__file__).parents[2] / "examples" / "nnunet"
BIN = Path(sys.executable).parent
NNUNET = importlib.util.find_spec("nnunetv2") is not None
ADAPTS = NNUNET and importlib.util.find_spec("nnunetv2.run.run_training_from_pretrained") is not None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not NNUNET, reason="nnunetv2 is not installed")]


def run(script: str, *words: str | Path) -> str:
    """What a script of the example prints; it stops at the first step that fails."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    line = ["bash", str(EXAMPLE / script), *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Plan, pre-train, export, train, compare, predict: the folder of all that, and what was printed."""
    folder = tmp_path_factory.mktemp("road")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(8):
        smooth = ndimage.gaussian_filter(np.random.default_rng(number).standard_normal((36, 44, 36)), 3)
        image = (100 + 30 * smooth / smooth.std()).clip(1).astype(np.float32)
        label = (image > 130).astype(np.uint8) + (image > 150)
        for name, array in (("images", image), ("labels", label)):
            sitk.WriteImage(sitk.GetImageFromArray(array), folder / name / f"case_{number:03}.nii.gz")
    return folder / "work", run("run.sh", folder / "images", folder / "labels", folder / "work", BIN, "8", "10")


def test_nnunet_starts_from_our_weights_and_predicts(road: tuple[Path, str]) -> None:
    """The released commands."""
    work, printed = road
    assert "are the exported ones, bit for bit" in printed
    assert len(list((work / "masks").glob("*.nii.gz"))) == 1


@pytest.mark.skipif(not ADAPTS, reason="this nnunetv2 is not of the development branch")
def test_the_development_branch_trains_from_the_same_file(road: tuple[Path, str]) -> None:
    """`nnUNetv2_preprocess_like_nnssl`, then `nnUNetv2_train_pretrained`, its validation with it."""
    work, _ = road
    assert "are the exported ones, bit for bit" in run("run_adapted.sh", work, BIN)
    assert list((work / "results").glob("*/PretrainedTrainer__*/fold_0/validation/summary.json"))
