"""Masks of pictures, from finetune to evaluate, as a user runs them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.radiographs import radiograph

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError


def test_masks_of_pictures_are_learned_predicted_as_png_and_scored(tmp_path: Path) -> None:
    """Pictures of several sizes; a mask has the size of its picture and the values of the training masks."""
    for number in range(12):
        size = (40 + 2 * (number % 3), 48)
        levels = radiograph(number, ill=True, size=size)
        bright = radiograph(number, ill=True, size=size).astype(int) - radiograph(number, ill=False, size=size) > 40
        for folder, values in (("images", levels), ("masks", (bright * 255).astype(np.uint8))):
            (tmp_path / "task" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / "task" / folder / f"{number:02d}.png")
    run = mg.finetune(
        tmp_path / "task", tmp_path / "run", like="any", width=4, size=(48, 48), steps=80, batch_size=4, lr=5e-3,
        test=0.25, workers=0, precision="32-true",
    )  # fmt: skip
    predicted = mg.predict(run, run / "test.csv", tmp_path / "out", pictures=True)
    masks = sorted(predicted.glob("*.png"))
    assert len(masks) == 3
    for mask in masks:
        with Image.open(mask) as found, Image.open(tmp_path / "task" / "images" / mask.name) as source:
            assert found.size == source.size
            assert set(np.unique(np.asarray(found)).tolist()) <= {0, 255}
    with pytest.raises(DataError, match="ten-crop is of classes and numbers, and this is a segmentation"):
        mg.predict(run, run / "test.csv", tmp_path / "crops", views="ten-crop")
    scores = mg.evaluate(predicted, run / "test.csv", tmp_path / "scores")
    assert "in pixels" in (scores / "report.html").read_text(encoding="utf-8")
    dice = (scores / "summary.csv").read_text().splitlines()[1].split(",")
    assert dice[1] == "dice"
    assert float(dice[5]) > 0.7
