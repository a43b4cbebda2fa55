"""A network in 8 bits is kept only if masks stay as good, and whoever wants it without is told how to make it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_image
from tests.inference.runs import make_run, thresholding_unet

import modelsgenesis as mg
from modelsgenesis.commands.weights import quantize
from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.core.labels import Label
from modelsgenesis.inference.engines.openvino import FOLDER_INT8
from modelsgenesis.inference.quantize import NUMBERS
from modelsgenesis.targets.segmentation import Segmentation

pytestmark = pytest.mark.openvino
THRESHOLD = 0.4  # of the scaled values: -200 HU


def write_cases(folder: Path, low_hu: int, high_hu: int) -> Path:
    """Two labelled CTs: a ball of one value in another, and a bright corner that widens the range of values."""
    place = np.stack(np.meshgrid(*(np.arange(24),) * 3, indexing="ij"))
    for number, centre in enumerate(((12, 12, 12), (10, 13, 11))):
        ball = ((place - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(0) < 64
        hu = np.where(ball, high_hu, low_hu).astype(np.int16)
        hu[:3, :3, :3] = 1000
        hu[-3:, -3:, -3:] = -1000
        for kind, values in (("images", hu), ("labels", (hu > -200).astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(make_image(values), str(folder / kind / f"{number}.nii.gz"))
    return folder


def make_thresholding(folder: Path) -> Path:
    """A run whose network finds what lies above the threshold."""
    return make_run(folder, thresholding_unet(THRESHOLD), target=Segmentation((Label("1", (1,)),)))


IN_A_PROCESS = """
import sys

def watch(event, arguments):
    started = event == "subprocess.Popen" and arguments[0] != "git"  # which tells provenance the commit
    if event.startswith("socket.") and event != "socket.__new__" or started:
        print("REPORTS", event, arguments, flush=True)

sys.addaudithook(watch)
import modelsgenesis as mg
from modelsgenesis.commands.weights import quantize

run, cases, out = sys.argv[1:]
print(quantize(run, cases, quiet=True).name)
mg.predict(run, cases + "/images", out, engine="openvino-int8", accelerator="cpu", quiet=True)
"""


def test_good_network_is_kept_and_used_and_nothing_is_sent(tmp_path: Path) -> None:
    """Its masks are those of 32 bits where values lie apart; the two numbers are written down; nothing connects."""
    run, cases = make_thresholding(tmp_path / "run"), write_cases(tmp_path / "cases", -500, 100)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_PROCESS, *map(str, (run, cases, tmp_path / "out"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, [FOLDER_INT8]), done.stdout + done.stderr
    assert json.loads((run / FOLDER_INT8 / NUMBERS).read_text(encoding="utf-8")) == {
        "dice_32_bits": 1.0,
        "dice_8_bits": 1.0,
        "cases": 2,
    }
    for number in range(2):
        mask, truth = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{number}.nii.gz")))
            for folder in (tmp_path / "out", cases / "labels")
        )
        np.testing.assert_array_equal(mask, truth)
    settings = json.loads((tmp_path / "out" / "settings.json").read_text(encoding="utf-8"))
    assert settings["engine"] == "openvino-int8"


def test_network_that_loses_too_much_is_refused(tmp_path: Path) -> None:
    """8 bits of 2000 HU are 8 HU: two values 4 HU apart become one. The numbers are told, and nothing is kept."""
    run, cases = make_thresholding(tmp_path / "run"), write_cases(tmp_path / "cases", -202, -198)
    with pytest.raises(DataError, match=r"1\.0000 in 32 bits, 0\.\d{4} in 8; more than 0\.005 lost"):
        quantize(run, cases, quiet=True)
    assert not (run / FOLDER_INT8).exists()
    with pytest.raises(WeightsError, match="genesis weights quantize RUN LABELLED"):
        mg.predict(run, cases / "images", tmp_path / "out", engine="openvino-int8", accelerator="cpu", quiet=True)
    assert not (tmp_path / "out").exists()


def test_cases_of_another_task_are_refused(tmp_path: Path) -> None:
    """Whose labels are not those of the run."""
    run = make_run(tmp_path / "run")
    with pytest.raises(DataError, match="has labels 1, but the run was trained on soft, dense"):
        quantize(run, write_cases(tmp_path / "cases", -500, 100), quiet=True)
