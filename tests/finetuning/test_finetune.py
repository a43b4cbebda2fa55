"""genesis finetune, as a user runs it: any kind of task, any start, stopped and resumed, and every refusal."""

import csv
import json
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.balls import blob, write_image

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.finetune import finetune
from modelsgenesis.core.errors import DataError, GenesisError, ShapeError, TrainingError, WeightsError
from modelsgenesis.core.lease import held
from modelsgenesis.core.naming import rebuild
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles, Window
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.classifier import Classifier
from modelsgenesis.recipes import Recipe
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.training.logger import read_log
from modelsgenesis.weights.files import read_notes, save_network

SMALL = {"like": "any", "width": 2, "size": (16, 16, 16), "precision": "32-true"}
QUICK = {**SMALL, "steps": 6, "batch_size": 2, "val_cubes": 4, "validate_every": 3}


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cases as images/ and labels/."""
    folder = tmp_path_factory.mktemp("balls")
    for number in range(8):
        image, mask = blob(number)
        write_image(folder / "images" / f"ball{number}.nii.gz", image)
        write_image(folder / "labels" / f"ball{number}.nii.gz", mask)
    return folder


@pytest.fixture(scope="module")
def table(balls: Path) -> Path:
    """The same images in a table of classes and numbers."""
    rows = ["image,patient,class,volume"]
    rows += [
        f"images/ball{number}.nii.gz,p{number // 2},{'odd' if number % 2 else 'even'},{100.5 + 50 * number}"
        for number in range(8)
    ]
    (balls / "cases.csv").write_text("\n".join(rows) + "\n")
    return balls / "cases.csv"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the kind of network that the tiny runs use."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("pretrained") / "weights.safetensors"
    save_network(path, UNet3D(width=2))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.slow
def test_network_learns_balls_it_has_never_seen(balls: Path, tmp_path: Path) -> None:
    """Four balls teach a network to find others: Dice on held-out patches above 0.8."""
    run = finetune(balls, tmp_path / "run", val=4, **{**SMALL, "width": 4}, steps=150, lr=5e-3, batch_size=4)
    assert max(float(row["val_dice"]) for row in read_log(run / "log.csv") if row["val_dice"]) > 0.8


def test_scratch_takes_another_norm(balls: Path, tmp_path: Path) -> None:
    """As it takes another width."""
    run = finetune(balls, tmp_path / "run", cases=3, norm="group", **QUICK)
    assert mg.load(run).norm == "group"


def test_finished_run_has_all_that_prediction_needs(balls: Path, tmp_path: Path) -> None:
    """Files, roles of the cases, and notes that rebuild."""
    run = finetune(balls, tmp_path / "run", cases=4, val=1, test=0.25, **QUICK)
    expected = {
        "model.safetensors",
        "last.safetensors",
        "cases.csv",
        "test.csv",
        "unused.csv",
        "loading.json",
        "log.csv",
    }
    there = {path.name for path in run.iterdir()}
    assert expected | {"made.json", "recipe.json"} <= there
    assert not {"resume.pt", "cases"} & there  # what it would have gone on from is of no more use
    before = (run / "last.safetensors").stat().st_mtime_ns
    again = finetune(balls, run, cases=4, val=1, test=0.25, **QUICK)
    assert (again / "last.safetensors").stat().st_mtime_ns == before
    roles = [row["role"] for row in rows_of(run / "cases.csv")]
    assert {role: roles.count(role) for role in set(roles)} == {"train": 3, "val": 1, "unused": 2, "test": 2}
    held_out = mg.tasks.folder(run / "test.csv")
    assert {case.id for case in held_out.cases} == {
        row["id"] for row in rows_of(run / "cases.csv") if row["role"] == "test"
    }
    assert held_out.target == mg.tasks.folder(balls).target
    notes = read_notes(run / "model.safetensors")
    assert rebuild(notes["target"]) == Segmentation(held_out.target.labels)
    assert isinstance(rebuild(notes["reading"]), Reading)
    assert (notes["patch"], notes["channels"]) == ([16, 16, 16], 1)
    network = mg.load(run)
    with torch.no_grad():
        assert network(torch.rand(1, 1, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


def test_without_validation_the_last_network_is_the_best(balls: Path, tmp_path: Path) -> None:
    """Few cases spare none; the training is of fixed length and its end is kept."""
    run = finetune(balls, tmp_path / "run", cases=3, **QUICK)
    best, last = (load_file(run / name) for name in ("model.safetensors", "last.safetensors"))
    assert all(torch.equal(best[name], last[name]) for name in last)
    assert "val_total" not in read_log(run / "log.csv")[0]
    with pytest.raises(TrainingError, match="--patience waits for a better validation"):
        finetune(balls, tmp_path / "other", cases=3, patience=2, **QUICK)


def test_pretrained_network_starts_with_its_weights(balls: Path, pretrained: Path, tmp_path: Path) -> None:
    """Both arms draw the same head and see the same patches; only the rest of the network differs."""
    quick = {name: value for name, value in QUICK.items() if name not in ("like", "width")}
    warm = finetune(balls, tmp_path / "warm", from_=pretrained, **{**quick, "steps": 1, "lr": 1e-9})
    cold = finetune(balls, tmp_path / "cold", like=str(pretrained), **{**quick, "steps": 1, "lr": 1e-9})
    given = load_file(pretrained)
    started, fresh = (load_file(run / "last.safetensors") for run in (warm, cold))
    for name, value in given.items():
        if name.startswith("last"):
            torch.testing.assert_close(started[name], fresh[name], rtol=0, atol=1e-6)
        elif value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(started[name], value, rtol=0, atol=1e-6)
    shares = json.loads((warm / "loading.json").read_text())["shares"]
    assert shares["encoder"] == shares["decoder"] == 1.0
    intensity = "percentiles 0.5 and 99.5 of the foreground become 0 and 1"
    assert json.loads((cold / "loading.json").read_text()) == {"from": "scratch", "intensity": intensity}


def test_run_that_was_pretrained_gives_its_window_and_cubes(
    balls: Path, small_store: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    """What the network was trained on is what it is fine-tuned on, unless the images are of another kind."""
    run = mg.pretrain(tiny_recipe, small_store, tmp_path / "pre")
    with pytest.raises(DataError, match="the network reads Hounsfield units, but this is MRI"):
        finetune(balls, tmp_path / "wrong", from_=run, intensity="hu", steps=1)


@pytest.mark.parametrize("modality", [None, "MR", "unknown"])
def test_weights_of_ct_start_a_task_of_mr_on_the_scale_of_mr(
    balls: Path,
    small_store: Path,
    tiny_recipe: Recipe,
    tmp_path: Path,
    modality: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Percentiles of each scan whatever the start, said where weights are reported; its own scans can be predicted."""
    run = mg.pretrain(tiny_recipe, small_store, tmp_path / "pre")
    tuned = finetune(balls, tmp_path / "tuned", from_=run, modality=modality, precision="32-true", steps=2)
    assert rebuild(read_notes(tuned / "model.safetensors")["reading"]).intensity == Percentiles()
    told = json.loads((tuned / "loading.json").read_text())
    assert told["intensity"] == "percentiles 0.5 and 99.5 of the foreground become 0 and 1"
    assert told["intensity_of_the_start"] == "Hounsfield units from -1000 to 1000 become 0 to 1"
    assert f"intensity: {told['intensity']}; for the start, {told['intensity_of_the_start']}" in capsys.readouterr().err
    mg.predict(tuned, balls / "images", tmp_path / "out", quiet=True)
    assert len(rows_of(tmp_path / "out" / "predictions.csv")) == 8


@pytest.mark.parametrize("channels", [("image",), ("CT", "uptake")])
def test_no_channel_but_ct_is_read_in_hounsfield_units(
    small_store: Path, tiny_recipe: Recipe, tmp_path: Path, channels: tuple[str, ...]
) -> None:
    """From weights of CT, z-scores of MRI and the uptake beside a CT keep their contrast, some of it below 0."""
    run = mg.pretrain(replace(tiny_recipe, plan=replace(tiny_recipe.plan, steps=1)), small_store, tmp_path / "pre")
    for number in range(2):
        values, mask = blob(number)
        zscores = (values - values.mean()) / values.std()
        for place, scale in enumerate((1, 20)[: len(channels)]):  # the uptake spans more than any z-score
            write_image(tmp_path / "data" / "imagesTr" / f"c{number}_{place:04d}.nii.gz", scale * zscores)
        write_image(tmp_path / "data" / "labelsTr" / f"c{number}.nii.gz", mask)
    described = {"channel_names": dict(enumerate(channels)), "labels": {"shell": 1, "core": 2}}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    tuned = finetune(tmp_path / "data", tmp_path / "tuned", from_=run, precision="32-true", steps=1)
    reading = rebuild(read_notes(tuned / "model.safetensors")["reading"])
    assert reading.intensity == Percentiles()
    images = sorted((tmp_path / "data" / "imagesTr").glob("c0_*"))
    seen = read_image([one_source(image, tmp_path) for image in images], reading).scaled()
    assert (seen.std(axis=(1, 2, 3)) > 0.1).all()  # in Hounsfield units it is 0.0005 of z-scores, 0.01 of the uptake
    if len(channels) == 1:
        with pytest.raises(UnreadableError, match=r"reads Hounsfield units, but its values lie between -\d"):
            read_image([one_source(images[0], tmp_path)], Reading(Window()))


def test_modality_that_was_said_in_training_holds_for_predicting(balls: Path, tmp_path: Path) -> None:
    """CT in raw units looks like MRI; a network that was told better reads its own training scans."""
    tuned = finetune(balls, tmp_path / "tuned", **{**QUICK, "steps": 2}, modality="CT", intensity="hu")
    assert rebuild(read_notes(tuned / "model.safetensors")["reading"]).intensity == Window()
    mg.predict(tuned, balls / "images", tmp_path / "out", quiet=True)
    assert len(rows_of(tmp_path / "out" / "predictions.csv")) == 8


def test_start_from_a_run_that_is_not_finished_is_said(
    balls: Path, small_store: Path, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its best network so far is taken; of a finished run nothing is said."""
    run = mg.pretrain(tiny_recipe, small_store, tmp_path / "pre")
    finetune(balls, tmp_path / "one", from_=run, precision="32-true", steps=1)
    assert "not finished" not in capsys.readouterr().err
    (run / "made.json").unlink()
    for start in (run, run / "model.safetensors"):
        finetune(balls, tmp_path / f"from-{start.name}", from_=start, precision="32-true", steps=1)
        assert f"warning: {start} is not finished; its best network so far is taken" in capsys.readouterr().err


@pytest.mark.parametrize("tune", ["layer-decay", "probe", "head-first"])
def test_paces_change_what_they_should(balls: Path, pretrained: Path, tmp_path: Path, tune: str) -> None:
    """A probe leaves all but the head as it was, norms too; the others change the encoder, early layers less."""
    quick = {name: value for name, value in QUICK.items() if name not in ("like", "width")}
    run = finetune(balls, tmp_path / "run", from_=pretrained, tune=tune, decay=0.2, **quick)
    given, tuned = load_file(pretrained), load_file(run / "last.safetensors")
    moved = {name: float((tuned[name] - value).abs().max()) for name, value in given.items() if name[:4] != "last"}
    if tune == "probe":
        assert max(moved.values()) == 0
    else:
        weights = [moved[f"down.{level}.0.weight"] for level in (0, 3)]
        assert weights[0] > 0
        assert tune != "layer-decay" or weights[0] < weights[1] / 10


def test_classification_balances_and_keeps_a_classifier(table: Path, tmp_path: Path) -> None:
    """Classes by name; whole small cubes; patients, not cases, are held out."""
    run = finetune(table, tmp_path / "run", label="class", test=0.25, val=2, **{**QUICK, "size": None})
    network, notes = mg.load(run), read_notes(run / "model.safetensors")
    assert isinstance(network, Classifier)
    assert notes["patch"] == [24, 24, 24]
    assert rebuild(notes["target"]).names == ("even", "odd")
    patients = {role: set() for role in ("train", "val", "test")}  # type: ignore[var-annotated]
    for row in rows_of(run / "cases.csv"):
        patients[row["role"]].add(row["patient"])
    assert all(len(some) for some in patients.values())
    assert not patients["train"] & patients["val"]
    assert "val_balanced_accuracy" in read_log(run / "log.csv")[-1]


def test_one_validation_case_is_enough_for_two_processes(balls: Path, tmp_path: Path) -> None:
    """The process without a case adds nothing: figures are those of one process, to 1e-4, where little is learned."""
    rows = ["image,class", *(f"{balls}/images/ball{number}.nii.gz,{number % 2}" for number in range(5))]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    flags = "--label class --val 1 --like any --width 2 --size 16 16 16 --precision 32-true --steps 2 --batch-size 2 "
    flags += "--validate-every 2 --lr 1e-9 --no-augment --accelerator cpu"
    command = ["finetune", str(tmp_path / "cases.csv")]
    assert main([*command, str(tmp_path / "one"), *flags.split()]) == 0
    both = [*command, str(tmp_path / "two"), *flags.split(), "--devices", "2"]
    argv = [sys.executable, "-m", "modelsgenesis", *both]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (
        {name: float(value) for name, value in read_log(tmp_path / run / "log.csv")[-1].items() if "val_" in name}
        for run in ("one", "two")
    )
    assert set(one) == {"val_total", "val_accuracy", "val_balanced_accuracy"}
    assert two == pytest.approx(one, abs=1e-4)


def test_regression_begins_at_the_mean(table: Path, tmp_path: Path) -> None:
    """An untrained network predicts about the mean of the training cases, in their unit."""
    run = finetune(table, tmp_path / "run", label="volume", **{**QUICK, "steps": 1, "lr": 1e-9})
    numbers = [float(row["label_volume"]) for row in rows_of(run / "cases.csv")]
    with torch.no_grad():
        prediction = mg.load(run)(torch.rand(2, 1, 16, 16, 16))
    assert prediction.mean().item() == pytest.approx(np.mean(numbers), abs=np.std(numbers))


def test_folds_make_a_network_each(balls: Path, tmp_path: Path) -> None:
    """Every case validates once; run again, nothing is trained anew."""
    run = finetune(balls, tmp_path / "run", folds=2, **QUICK)
    validating = [
        row["id"] for fold in ("fold-0", "fold-1") for row in rows_of(run / fold / "cases.csv") if row["role"] == "val"
    ]
    assert sorted(validating) == [f"ball{number}" for number in range(8)]
    assert [len(rows_of(run / fold / "val.csv")) for fold in ("fold-0", "fold-1")] == [4, 4]
    before = (run / "fold-1" / "model.safetensors").stat().st_mtime_ns
    made = read_provenance(run, "finetune")
    (run / "made.json").unlink()  # as if killed after the last fold, or before what it went on from was deleted
    (run / "fold-0" / "resume.pt").touch()
    finetune(balls, run, folds=2, **QUICK)
    assert (run / "fold-1" / "model.safetensors").stat().st_mtime_ns == before
    assert read_provenance(run, "finetune").arguments == made.arguments
    assert not (run / "fold-0" / "resume.pt").exists()


def test_stopped_run_ends_with_the_same_weights(balls: Path, tmp_path: Path) -> None:
    """SIGTERM at any moment; the same command goes on and ends as if it had never been stopped."""
    flags = "--like any --width 2 --size 16 16 16 --precision auto --steps 40 --batch-size 2 --cases 4 --val 1 "
    flags += "--val-cubes 2 --validate-every 10"

    def command(into: Path) -> list[str]:
        return ["finetune", str(balls), str(into), *flags.split()]

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command(whole)) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "modelsgenesis", *command(parts)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while not (parts / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=200) == 0
    assert not (parts / "made.json").exists()
    assert main(command(parts)) == 0
    for name in ("model.safetensors", "last.safetensors"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_several_channels_adapt_a_network_of_one(pretrained: Path, tmp_path: Path) -> None:
    """Two sequences of MRI; the first convolution is adapted by the rule, and the map says so."""
    rows = ["image_0,image_1,label"]
    for number in range(3):
        image, mask = blob(number)
        for channel in range(2):
            write_image(tmp_path / f"b{number}_{channel}.nii.gz", image * (channel + 1))
        write_image(tmp_path / f"m{number}.nii.gz", mask)
        rows.append(f"b{number}_0.nii.gz,b{number}_1.nii.gz,m{number}.nii.gz")
    (tmp_path / "two.csv").write_text("\n".join(rows) + "\n")
    quick = {name: value for name, value in QUICK.items() if name not in ("like", "width")}
    run = finetune(tmp_path / "two.csv", tmp_path / "run", from_=pretrained, **{**quick, "steps": 1, "lr": 1e-9})
    first = load_file(run / "last.safetensors")["down.0.0.weight"]
    torch.testing.assert_close(first, load_file(pretrained)["down.0.0.weight"].repeat(1, 2, 1, 1, 1) / 2)
    adapted = [row for row in json.loads((run / "loading.json").read_text())["rows"] if row["how"] == "adapted"]
    assert [row["tensor"] for row in adapted] == ["down.0.0.weight"]


def test_anisotropic_cases_are_brought_to_the_middle_spacing(tmp_path: Path) -> None:
    """Cases of different spacing are resampled to their median; patches never exceed the cases by much."""
    for number, step in enumerate((1.0, 1.0, 2.0)):
        image, mask = blob(number)
        write_image(tmp_path / "images" / f"b{number}.nii.gz", image, (1.0, 1.0, step))
        write_image(tmp_path / "labels" / f"b{number}.nii.gz", mask, (1.0, 1.0, step))
    run = finetune(tmp_path, tmp_path / "run", **{**QUICK, "size": None, "steps": 1})
    notes = read_notes(run / "model.safetensors")
    assert notes["reading"]["spacing_mm"] == [1.0, 1.0, 1.0]
    assert notes["patch"] == [24, 24, 24]


def test_refusals_say_what_to_do(balls: Path, pretrained: Path, tmp_path: Path) -> None:
    """One line each, and nothing is lost."""
    run = finetune(balls, tmp_path / "run", cases=3, **QUICK)
    with pytest.raises(TrainingError, match=r"other settings: approach\.plan\.lr is 0\.001 there, 0\.5 now"):
        finetune(balls, run, cases=3, **QUICK, lr=0.5)
    with pytest.raises(GenesisError, match="decides the network; this is for --from scratch"):
        finetune(balls, tmp_path / "a", from_=pretrained, width=4)
    with pytest.raises(GenesisError, match=r"--norm: .* decides the network"):
        finetune(balls, tmp_path / "a", from_=pretrained, norm="instance")
    with pytest.raises(GenesisError, match="residual-unet has no setting norm"):
        finetune(balls, tmp_path / "a", backbone="residual-unet", norm="instance", like="any", size=(16, 16, 16))
    with pytest.raises(ShapeError, match="needs every side to divide by 8"):
        finetune(balls, tmp_path / "b", **{**QUICK, "size": (15, 16, 16)})
    with pytest.raises(WeightsError, match="no such file"):
        finetune(balls, tmp_path / "c", from_=tmp_path / "nothing.safetensors")
    with pytest.raises(TrainingError, match="--mirror takes axes"):
        finetune(balls, tmp_path / "d", mirror="lr", **QUICK)
    with pytest.raises(TrainingError, match=r"rest for a share of the steps in \[0, 1\)"):
        finetune(balls, tmp_path / "e", tune="head-first", rest=1.0, **QUICK)


def test_case_that_cannot_be_read_is_named_before_training(balls: Path, tmp_path: Path) -> None:
    """A mask on another grid costs the run, not the reader's time: the file and the remedy are in the line."""
    for number in range(3):
        image, mask = blob(number)
        write_image(tmp_path / "images" / f"b{number}.nii.gz", image)
        write_image(tmp_path / "labels" / f"b{number}.nii.gz", mask[:-1] if number == 1 else mask)
    with pytest.raises(
        DataError, match=r"1 of 3 cases cannot be used: .*b1\.nii\.gz.*different sizes.*genesis inspect"
    ):
        finetune(tmp_path, tmp_path / "run", **QUICK)


def test_dry_run_trains_nothing(balls: Path, tmp_path: Path) -> None:
    """Only what was read is kept."""
    finetune(balls, tmp_path / "run", dry_run=True, cases=3, **QUICK)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["cases"]


def test_provenance_gives_the_command_back(table: Path, pretrained: Path, tmp_path: Path) -> None:
    """Every option that was given, and none that was not."""
    quick = {"steps": 1, "size": (16, 16, 16), "batch_size": 2}
    classes = {"small": "<250", "large": ">250"}
    run = finetune(
        table, tmp_path / "run", from_=pretrained, label="volume", classes=classes, augment=False, seed=3, **quick
    )
    assert command("run", read_provenance(run, "finetune")) == shlex.join(
        f"genesis finetune {table} run --from {pretrained} --label volume --classes small <250 large >250 "
        "--size 16 16 16 --no-augment --steps 1 --batch-size 2 --seed 3".split()
    )


def test_folders_of_other_things_are_left_alone(balls: Path, tmp_path: Path) -> None:
    """The data, a run of another shape, a file: nothing is written there."""
    with pytest.raises(DataError, match="holds other things"):
        finetune(balls, balls / "images", **QUICK)
    run = finetune(balls, tmp_path / "run", cases=3, **{**QUICK, "steps": 1})
    with pytest.raises(TrainingError, match="holds a run without --folds"):
        finetune(balls, run, folds=2, **{**QUICK, "steps": 1})
    folds = finetune(balls, tmp_path / "folds", folds=2, **{**QUICK, "steps": 1})
    with pytest.raises(TrainingError, match="holds the folds of a cross-validation"):
        finetune(balls, folds, **{**QUICK, "steps": 1})


def test_cases_that_are_left_out_are_counted(balls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image without a mask and a mask without an image do not vanish in silence."""
    for number in range(3):
        image, mask = blob(number)
        write_image(tmp_path / "images" / f"b{number}.nii.gz", image)
        if number:
            write_image(tmp_path / "labels" / f"b{number}.nii.gz", mask)
    write_image(tmp_path / "labels" / "other.nii.gz", blob(1)[1])
    finetune(tmp_path, tmp_path / "run", **{**QUICK, "steps": 1})
    assert "left out: 2, for reasons that genesis inspect" in capsys.readouterr().err


def test_scans_may_vanish_while_the_training_runs(tmp_path: Path) -> None:
    """All that is trained lies on the case_cache: a share that goes offline costs no network."""
    for number in range(2):
        image, mask = blob(number)
        write_image(tmp_path / "data" / "images" / f"b{number}.nii.gz", image)
        write_image(tmp_path / "data" / "labels" / f"b{number}.nii.gz", mask)

    def vanish() -> None:
        while not (tmp_path / "run" / "loading.json").is_file():
            time.sleep(0.01)
        for file in (tmp_path / "data" / "images").iterdir():
            file.unlink()

    offline = threading.Thread(target=vanish, daemon=True)
    offline.start()
    run = finetune(tmp_path / "data", tmp_path / "run", **{**QUICK, "steps": 30, "validate_every": 30})
    offline.join()
    assert read_notes(run / "model.safetensors")["taught_mm"] == [1.0, 1.0, 1.0]


def test_runs_share_a_case_cache(balls: Path, tmp_path: Path) -> None:
    """Named as text or as a path, it is the same folder, and what lies there already is not written again."""
    case_cache = tmp_path / "shelf"
    finetune(balls, tmp_path / "one", shelf=str(case_cache), **{**QUICK, "steps": 1})
    written = {file.name: file.stat().st_mtime_ns for file in case_cache.rglob("*.b2nd")}
    finetune(balls, tmp_path / "two", shelf=case_cache, seed=1, **{**QUICK, "steps": 1})
    assert written
    assert written == {file.name: file.stat().st_mtime_ns for file in case_cache.rglob("*.b2nd")}
    assert not (tmp_path / "two" / "cases").exists()


def test_splits_that_are_not_used_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of another data set: who asks for folds must hear that they are not those of the file."""
    for number in range(2):
        image, mask = blob(number)
        write_image(tmp_path / "data" / "imagesTr" / f"b{number}_0000.nii.gz", image)
        write_image(tmp_path / "data" / "labelsTr" / f"b{number}.nii.gz", mask)
    labels = {"background": 0, "shell": 1, "core": 2}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"channel_names": {"0": "MR"}, "labels": labels}))
    (tmp_path / "data" / "splits_final.json").write_text(json.dumps([{"train": ["a"], "val": ["c"]}]))
    finetune(tmp_path / "data", tmp_path / "run", **{**QUICK, "steps": 1})
    assert "warning: 2 of 2 cases validate in none of its splits" in capsys.readouterr().err


def test_what_training_cases_lack_is_reported(balls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that none of them holds, and empty masks; training goes on."""
    for number in range(3):
        image, mask = blob(number)
        write_image(tmp_path / "data" / "images" / f"b{number}.nii.gz", image)
        write_image(tmp_path / "data" / "labels" / f"b{number}.nii.gz", mask * (number != 1))
    (tmp_path / "data" / "labels.json").write_text(json.dumps({"shell": 1, "core": 2, "vessel": 3, "cyst": 4}))
    finetune(tmp_path / "data", tmp_path / "run", **{**QUICK, "steps": 1})
    printed = capsys.readouterr().err
    assert "warning: no training case holds vessel, cyst, so that cannot be learned" in printed
    assert "warning: the masks of 1 of 3 training cases are empty" in printed
    finetune(balls, tmp_path / "whole", **{**QUICK, "steps": 1})
    assert "warning" not in capsys.readouterr().err


def test_modality_that_nobody_declared_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare folder of CT is scaled by percentiles, and the user informed; with --modality CT in Hounsfield units."""
    for number in range(3):
        image, mask = blob(number)
        write_image(tmp_path / "data" / "images" / f"b{number}.nii.gz", image * 2 - 1000)
        write_image(tmp_path / "data" / "labels" / f"b{number}.nii.gz", mask)
    quick = {name: value for name, value in QUICK.items() if name != "like"} | {"steps": 1}
    run = finetune(tmp_path / "data", tmp_path / "run", **quick)
    assert "modality: unknown" in capsys.readouterr().err
    assert "Percentiles" in str(read_notes(run / "model.safetensors")["reading"])
    run = finetune(tmp_path / "data", tmp_path / "ct", modality="CT", test=0.3, **quick)
    assert "modality" not in capsys.readouterr().err
    assert "Window" in str(read_notes(run / "model.safetensors")["reading"])
    assert rows_of(run / "test.csv")[0]["modality"] == "CT"
    with pytest.raises(DataError, match="declares CT, not MR; leave --modality out"):
        finetune(run / "test.csv", tmp_path / "mr", modality="MR", **quick)


def test_swapped_arguments_are_understood(balls: Path, pretrained: Path, tmp_path: Path) -> None:
    """A run or weights where data are wanted: the message gives the order, and how to start from them."""
    run = finetune(balls, tmp_path / "run", **{**QUICK, "steps": 1})
    for place in (run, pretrained):
        with pytest.raises(DataError, match=r"not data; the order is genesis finetune DATA RUN; .*give --from"):
            finetune(place, balls)


def test_spacing_of_the_training_cases_is_noted(tmp_path: Path) -> None:
    """The middle one, which a prediction compares; an array's is not known."""
    for number, spacing in enumerate(((1.0, 1.0, 2.0), (1.01, 1.0, 2.0), (1.02, 1.0, 2.0))):
        image, mask = blob(number)
        write_image(tmp_path / "data" / "images" / f"b{number}.nii.gz", image, spacing)
        write_image(tmp_path / "data" / "labels" / f"b{number}.nii.gz", mask, spacing)
    run = finetune(tmp_path / "data", tmp_path / "run", **{**QUICK, "steps": 1})
    assert read_notes(run / "model.safetensors")["taught_mm"] == [1.01, 1.0, 2.0]


def test_two_never_train_in_one_folder(balls: Path, tmp_path: Path) -> None:
    """The second is refused before it reads a case."""
    with held(tmp_path / "run", "finetune"), pytest.raises(DataError, match="another genesis finetune works on"):
        finetune(balls, tmp_path / "run", **QUICK)
