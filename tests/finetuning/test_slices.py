"""genesis finetune of volumes with networks of pictures: slice by slice, by three planes, or inflated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.balls import blob, write_image

import modelsgenesis as mg
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.nets import CentrePlanes, Classifier, SliceWise, UNet3D
from modelsgenesis.weights.files import read_notes

QUICK: dict[str, Any] = {"steps": 2, "batch_size": 2, "val_cubes": 2, "validate_every": 2, "precision": "32-true"}


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four balls with masks, and a table that calls them large or small."""
    folder, rows = tmp_path_factory.mktemp("balls"), ["image,label,patient"]
    for number in range(6):
        image, mask = blob(number)
        write_image(folder / "images" / f"ball{number}.nii.gz", image)
        write_image(folder / "labels" / f"ball{number}.nii.gz", mask)
        rows.append(f"images/ball{number}.nii.gz,{('small', 'large')[number % 2]},{number}")
    (folder / "sizes.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def store(balls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of their scans."""
    into = tmp_path_factory.mktemp("stores") / "volumes"
    return mg.prepare(balls / "images", into, modality="MR", workers=0, quiet=True)


def pretrained(store: Path, into: Path, size: tuple[int, int] = (16, 16), **slices: Any) -> Path:
    """A run of slices of the store."""
    flat = mg.prepare(store, into / "slices", quiet=True, **slices)
    how: dict[str, Any] = {**QUICK, "size": size, "width": 2, "workers": 0}
    return mg.pretrain("small-2d", flat, into / "pretrained", **how)


def test_run_of_slices_starts_a_task_of_volumes(
    balls: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it was trained, with its neighbours and its grey scale; it predicts, is scored, and starts further tasks."""
    start = pretrained(store, tmp_path, slices="coronal", neighbours=1)
    made = command("slices", read_provenance(tmp_path / "slices", "prepare"))
    assert made == f"genesis prepare {store} slices --slices coronal --every 1 --neighbours 1"
    run = mg.finetune(balls, tmp_path / "run", from_=start, test=0.3, size=(16, 8, 16), **QUICK)
    assert "slices: 2D network on coronal slices, 1 neighbour on either side as channels" in capsys.readouterr().err
    network = mg.load(run)
    assert isinstance(network, SliceWise)
    assert (network.across, network.neighbours, network.in_channels) == (1, 1, 1)
    reading = read_notes(run / "model.safetensors")["reading"]
    assert reading["intensity"] == read_notes(start / "model.safetensors")["recipe"]["cubes"]["intensity"]
    masks = mg.predict(run, run / "test.csv", tmp_path / "masks", quiet=True)
    mg.evaluate(masks, run / "test.csv", tmp_path / "scores", quiet=True)
    card = (mg.export(run, tmp_path / "exported", to="torch") / "README.md").read_text(encoding="utf-8")
    assert "A 2D network on coronal slices, 1 neighbour on either side as channels of " in card
    again = mg.load(mg.finetune(balls, tmp_path / "again", from_=run, val=0, size=(16, 8, 16), **QUICK))
    assert isinstance(again, SliceWise)
    solid = mg.finetune(balls, tmp_path / "solid", from_=start, slices="inflated", val=0, size=(16, 8, 16), **QUICK)
    assert isinstance(mg.load(solid), UNet3D)
    more = mg.pretrain("small-2d", tmp_path / "slices", tmp_path / "more", from_=run, size=(16, 16), workers=0, **QUICK)
    assert mg.load(more).axes == 2


def test_recipe_of_pictures_works_on_axial_slices_of_volumes(balls: Path, tmp_path: Path) -> None:
    """From scratch, with as many neighbours as asked, or inflated on request."""
    asked = {"size": (16, 16, 5), "val": 0, "width": 2, **QUICK}
    flat = mg.load(mg.finetune(balls, tmp_path / "flat", like="small-2d", neighbours=2, **asked))
    assert isinstance(flat, SliceWise)
    assert (flat.across, flat.neighbours, flat.network.in_channels) == (2, 2, 5)
    solid = mg.finetune(balls, tmp_path / "solid", like="small-2d", slices="inflated", **{**asked, "size": (16, 16, 8)})
    assert isinstance(mg.load(solid), UNet3D)


def test_squares_of_three_planes_start_a_task_of_cubes(balls: Path, store: Path, tmp_path: Path) -> None:
    """Of classes, in cubes of equal sides by default; masks are refused by name."""
    start = pretrained(store, tmp_path, slices="orthogonal", side=16, every=2)
    run = mg.finetune(balls / "sizes.csv", tmp_path / "run", from_=start, val=0, **QUICK)
    network = mg.load(run)
    assert isinstance(network, Classifier)
    assert isinstance(network.backbone, CentrePlanes)
    assert read_notes(run / "model.safetensors")["patch"] == [24, 24, 24]
    predicted = mg.predict(run, balls / "sizes.csv", tmp_path / "predicted", quiet=True)
    assert np.isfinite(np.loadtxt(predicted / "predictions.csv", delimiter=",", skiprows=1, usecols=3)).all()
    with pytest.raises(ShapeError, match="segmentation needs a prediction for each voxel"):
        mg.finetune(balls, tmp_path / "masks", from_=start, val=0, **QUICK)


def test_slices_of_a_network_of_volumes_are_refused(balls: Path, store: Path, tmp_path: Path) -> None:
    """By the option's name; and cubes are not restored by what sees slices."""
    run = mg.finetune(balls, tmp_path / "run", like="small", width=2, val=0, size=(16, 16, 8), **QUICK)
    with pytest.raises(GenesisError, match="--slices: of a 2D network"):
        mg.finetune(balls, tmp_path / "other", from_=run, slices="axial", **QUICK)
    with pytest.raises(GenesisError, match="--backbone slice-wise: it is not made of numbers alone"):
        mg.finetune(balls, tmp_path / "other", backbone="slice-wise", **QUICK)
    flat = mg.finetune(balls, tmp_path / "flat", like="small-2d", width=2, val=0, size=(16, 16, 8), **QUICK)
    with pytest.raises(GenesisError, match="2D network on axial slices; go on with slices"):
        mg.pretrain("small", store, tmp_path / "more", from_=flat)
