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

SCRIPT = Path(__file__).parents[2] / "examples" / "nnunet" / "run.sh"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="nnunetv2 is not installed")
def test_nnunet_starts_from_our_weights_and_predicts(tmp_path: Path) -> None:
    """Plan, pre-train, export, train, compare, predict; the script stops at the first step that fails."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(8):
        smooth = ndimage.gaussian_filter(np.random.default_rng(number).standard_normal((36, 44, 36)), 3)
        image = (100 + 30 * smooth / smooth.std()).clip(1).astype(np.float32)
        label = (image > 130).astype(np.uint8) + (image > 150)
        for folder, array in (("images", image), ("labels", label)):
            sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / folder / f"case_{number:03}.nii.gz")
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", SCRIPT, tmp_path / "images", tmp_path / "labels", tmp_path / "work", bin_folder, "8", "10"]
    done = subprocess.run(
        [str(word) for word in words], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "are the exported ones, bit for bit" in done.stdout
    assert len(list((tmp_path / "work" / "masks").glob("*.nii.gz"))) == 1
