"""Masks of pictures, from finetune to evaluate, as a user runs them."""

import csv
import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.pixels.processing import apply_windowing
from safetensors.torch import save_file
from tests.balls import blob, write_image
from tests.radiographs import radiograph, write_picture, write_radiograph
from tests.weights.formats.test_vit import transformers_names

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.masks import read_label_map
from modelsgenesis.metrics.segmentation import agreement
from modelsgenesis.nets.vit import ViT
from modelsgenesis.tasks.checks import check
from modelsgenesis.weights.files import read_notes


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
            write_radiograph(path, levels * np.uint16(16), PixelSpacing=None)
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
            r"data:[^\"]*|there a pixel counts as 1 mm, and a thousand as 1 ml|<style.*?</style>|<script.*?</script>",
            "",
            shown,
            flags=re.S,
        )
        assert not re.search(r"\b(mm|ml|voxels?|cubes?|slices?|planes?|patient's right)\b", shown)
    dice = (scores / "summary.csv").read_text().splitlines()[1].split(",")
    assert dice[1] == "dice"
    assert float(dice[5]) > 0.7


def test_a_swin_from_scratch_goes_on_with_the_same_command(tmp_path: Path) -> None:
    """Its settings are tuples here and lists in the folder: the same, whether it was stopped or finished."""
    rows = ["image,label"]
    for number in range(6):
        path = write_picture(tmp_path / f"{number}.png", radiograph(number, ill=number % 2 == 0))
        rows.append(f"{path},{'ill' if number % 2 == 0 else 'well'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    tune = functools.partial(
        mg.finetune, tmp_path / "labels.csv", tmp_path / "run", like="small-popar", size=(128, 128), steps=1,
        batch_size=2, workers=0, precision="32-true", quiet=True,
    )  # fmt: skip
    run = tune()
    before = (run / "model.safetensors").stat().st_mtime_ns
    assert (tune() / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(TrainingError, match="lr is"):
        tune(lr=0.5)


def test_an_encoder_of_others_stays_as_it_is_under_a_probe(tmp_path: Path) -> None:
    """A file with RAD-DINO's names, on pictures of another size: frozen, it outlines and tells ill from well."""
    network = ViT(in_channels=3, embed=64, depth=2, heads=1, patch=8, grid=3, layer_scale=True)
    state = transformers_names(dict(network.encoder.state_dict()))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "rad-dino.safetensors")
    rows = ["image,label"]
    for number in range(8):
        bright = radiograph(0, ill=True).astype(int) - radiograph(0, ill=False) > 40
        path = write_picture(tmp_path / "task" / "images" / f"{number}.png", radiograph(number, ill=number % 2 == 0))
        write_picture(tmp_path / "task" / "masks" / f"{number}.png", bright.astype(np.uint8) * 7)
        rows.append(f"{path},{'ill' if number % 2 == 0 else 'well'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    for source in (tmp_path / "task", tmp_path / "labels.csv"):
        run = mg.finetune(
            source, tmp_path / f"run-{source.stem}", from_=tmp_path / "rad-dino.safetensors", tune="probe",
            size=(48, 40), steps=4, batch_size=2, workers=0, precision="32-true", quiet=True,
        )  # fmt: skip
        tuned = mg.weights.load_backbone(run)
        assert isinstance(tuned, ViT)
        for name, tensor in tuned.encoder.state_dict().items():
            if name != "patch_embed.proj.weight":  # grey pictures: the sum of the colours
                assert torch.equal(tensor, network.encoder.state_dict()[name]), name
        out = mg.predict(run, tmp_path / "task" / "images", tmp_path / f"out-{source.stem}", quiet=True)
        assert any(out.glob("*.png")) == source.is_dir()


def test_radiographs_in_dicom_are_scored_in_mm(tmp_path: Path) -> None:
    """Masks in PNG and DICOM-SEG; pixels count as 1 mm where one picture has none."""
    bright = radiograph(0, ill=True).astype(int) - radiograph(0, ill=False) > 40
    for number in range(4):
        write_radiograph(
            tmp_path / "task" / "images" / f"{number}.dcm", radiograph(0, ill=True), PixelSpacing=[0.4, 0.4]
        )
        write_picture(tmp_path / "task" / "masks" / f"{number}.png", bright.astype(np.uint8) * 7)
        write_picture(tmp_path / "moved" / f"{number}.png", np.roll(bright, 5, axis=0).astype(np.uint8) * 7)
    run = mg.finetune(
        tmp_path / "task", tmp_path / "run", like="any", width=4, size=(48, 48), steps=60, batch_size=4, lr=5e-3,
        workers=0, precision="32-true", quiet=True,
    )  # fmt: skip
    images, masks = tmp_path / "task" / "images", tmp_path / "task" / "masks"
    out = mg.predict(run, images, tmp_path / "out", quiet=True)
    seg, png = out / "1.dcm", np.asarray(Image.open(out / "1.png"))
    assert set(np.unique(png)) == {0, 7}
    frames = pydicom.dcmread(seg)  # without the spacing: highdicom would write it, and then not read its own file
    np.testing.assert_array_equal(frames.pixel_array.reshape(png.shape), png > 0)
    assert "PixelMeasuresSequence" not in frames.SharedFunctionalGroupsSequence[0]
    read, geometry = read_label_map(one_source(seg, out))
    np.testing.assert_array_equal(read.T, png > 0)
    assert not geometry.spaced
    pixels = agreement(np.roll(bright, 5, axis=0), bright, spacing_mm=(1, 1), tolerance_mm=1, empty="perfect")
    distance = pixels.hd95_mm
    for truth, spacing_mm in ((tmp_path / "task", 0.4), (masks, 1)):
        scores = mg.evaluate(tmp_path / "moved", truth, tmp_path / f"scores{spacing_mm}", quiet=True)
        rows = list(csv.DictReader((scores / "cases.csv").read_text().splitlines()))
        assert [float(row["hd95_mm"]) for row in rows] == pytest.approx([distance * spacing_mm] * 4, abs=1e-5)
        assert ("in pixels" in (scores / "report.html").read_text(encoding="utf-8")) == (spacing_mm == 1)
    scores = mg.evaluate(out, tmp_path / "task", tmp_path / "scores", quiet=True)
    assert float((scores / "summary.csv").read_text().splitlines()[1].split(",")[5]) > 0.7
    write_radiograph(images / "3.dcm", radiograph(0, ill=True), PixelSpacing=None)
    scores = mg.evaluate(tmp_path / "moved", tmp_path / "task", tmp_path / "mixed", quiet=True)
    assert "in pixels" in (scores / "report.html").read_text(encoding="utf-8")
    write_radiograph(images / "3.dcm", radiograph(0, ill=True), PixelSpacing=[0.4, 0.4])
    (masks / "1.png").unlink()
    shutil.copy(seg, masks / "1.dcm")
    write_picture(masks / "0.png", bright.astype(np.uint8))
    for number in (2, 3):
        write_picture(masks / f"{number}.png", bright.astype(np.uint8))
    task = mg.tasks.folder(tmp_path / "task")
    assert (len(task.cases), task.problems, task.target.names) == (4, (), ("1",))
    assert all(finding.voxels[0] > 20 for finding in check(task, workers=0).findings)


def test_window_of_radiographs_is_remembered_for_prediction(tmp_path: Path) -> None:
    """What finetune read with --voi, predict reads so too; without it nothing is written of it; volumes have none."""
    rows = ["image,label"]
    for number in range(4):
        levels = radiograph(number, ill=bool(number % 2)).astype(np.uint16) * 16
        write_radiograph(tmp_path / f"{number}.dcm", levels, WindowCenter=2000, WindowWidth=900)
        rows.append(f"{number}.dcm,{number % 2}")
        windowed = apply_windowing(levels, pydicom.dcmread(tmp_path / f"{number}.dcm"))
        write_picture(tmp_path / "windowed" / f"{number}.png", np.rint(windowed).clip(0, 4095).astype(np.uint16))
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    asked = {"steps": 2, "batch_size": 2, "width": 2, "size": (32, 32), "precision": "32-true", "quiet": True}
    run = mg.finetune(tmp_path / "cases.csv", tmp_path / "run", voi=True, workers=0, **asked)
    assert read_notes(run / "model.safetensors")["reading"]["voi"] is True
    table, pictures = (
        read_rows(mg.predict(run, place, tmp_path / name, precision="32-true", quiet=True) / "predictions.csv")
        for name, place in (("out", tmp_path / "cases.csv"), ("of windowed", tmp_path / "windowed"))
    )
    assert [row["p_1"] for row in table] == [row["p_1"] for row in pictures]
    plain = mg.finetune(tmp_path / "cases.csv", tmp_path / "plain", workers=0, **asked)
    assert "voi" not in read_notes(plain / "model.safetensors")["reading"]
    again = mg.finetune(tmp_path / "cases.csv", tmp_path / "again", from_=run, workers=0, **{**asked, "width": None})
    assert read_notes(again / "model.safetensors")["reading"]["voi"] is True
    write_image(tmp_path / "volume.nii.gz", blob(1)[0])
    (tmp_path / "volumes.csv").write_text("image,label\nvolume.nii.gz,a\n")
    with pytest.raises(TrainingError, match="--voi is of DICOM radiographs"):
        mg.finetune(tmp_path / "volumes.csv", tmp_path / "none", voi=True, workers=0, **{**asked, "size": None})
