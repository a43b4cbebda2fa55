"""Masks of pictures, from finetune to evaluate, as a user runs them."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from tests.radiographs import radiograph, write_picture, write_radiograph

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError


@pytest.mark.parametrize("ending", ["png", "dcm"])
def test_masks_of_pictures_are_learned_predicted_as_png_and_scored(tmp_path: Path, ending: str) -> None:
    """Pictures of several sizes; a mask has the size of its picture and the values of the training masks.

    Beside the mask of a DICOM radiograph lies a DICOM-SEG of the same pixels.
    """
    for number in range(12):
        size = (40 + 2 * (number % 3), 48)
        levels = radiograph(number, ill=True, size=size)
        bright = radiograph(number, ill=True, size=size).astype(int) - radiograph(number, ill=False, size=size) > 40
        write_picture(tmp_path / "task" / "masks" / f"{number:02d}.png", (bright * 255).astype(np.uint8))
        path = tmp_path / "task" / "images" / f"{number:02d}.{ending}"
        if ending == "png":
            write_picture(path, levels)
        else:
            path.parent.mkdir(exist_ok=True)
            write_radiograph(path, levels * np.uint16(16))
    run = mg.finetune(
        tmp_path / "task", tmp_path / "run", like="any", width=4, size=(48, 48), steps=80, batch_size=4, lr=5e-3,
        test=0.25, workers=0, precision="32-true",
    )  # fmt: skip
    predicted = mg.predict(run, run / "test.csv", tmp_path / "out", pictures=True, probabilities=True)
    masks = sorted(predicted.glob("*.png"))
    assert len(masks) == 3
    for mask in masks:
        with Image.open(mask) as found, Image.open(tmp_path / "task" / "masks" / mask.name) as source:
            assert found.size == source.size
            assert set(np.unique(np.asarray(found)).tolist()) <= {0, 255}
            if ending == "dcm":
                bits = pydicom.dcmread(mask.with_suffix(".dcm")).pixel_array
                np.testing.assert_array_equal(bits > 0, np.asarray(found) > 0)
    with pytest.raises(DataError, match="ten-crop is of classes and numbers, and this is a segmentation"):
        mg.predict(run, run / "test.csv", tmp_path / "crops", views="ten-crop")
    scores = mg.evaluate(predicted, run / "test.csv", tmp_path / "scores")
    text = mg.inspect(tmp_path / "task")
    assert "smallest (pixels)" in text
    assert not re.search(r"\b(ml|voxels?)\b", text)
    page = (scores / "report.html").read_text(encoding="utf-8")
    assert "Hausdorff 95 %, pixels" in page
    assert "area difference, 1000 pixels" in page
    told = Path(mg.report(run)).read_text(encoding="utf-8")  # the scores are beside the run
    assert "area difference, 1000 pixels" in told
    for shown in (page, told):
        shown = re.sub(
            r"data:[^\"]*|there a pixel counts as 1 mm, and a thousand as 1 ml|<style.*?</style>", "", shown, flags=re.S
        )
        assert not re.search(r"\b(mm|ml|voxels?|cubes?|slices?|planes?|patient's right)\b", shown)
    dice = (scores / "summary.csv").read_text().splitlines()[1].split(",")
    assert dice[1] == "dice"
    assert float(dice[5]) > 0.7
