"""genesis pretrain, as a user runs it: stopped, killed, resumed, on two processes."""

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import write_blobs

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.core.errors import DataError, GenesisError, ShapeError, TrainingError
from modelsgenesis.core.lease import held
from modelsgenesis.core.provenance import lineage
from modelsgenesis.data.store.store import Store
from modelsgenesis.pretraining.options import PretrainOptions
from modelsgenesis.recipes import find_recipe
from modelsgenesis.recipes.recipe import split
from modelsgenesis.weights.files import read_notes

FAST = {"steps": 12, "batch_size": 4, "size": (16, 16, 16), "width": 2, "validate_every": 4, "val_cubes": 4}
FLAGS = "--steps 12 --batch-size 4 --size 16 16 16 --width 2 --validate-every 4 --val-cubes 4"
PEAC = ("--method", "peac", "--cell", "8", "--spare", "1", "--size", "24", "24", "24")


GENESIS = (sys.executable, "-m", "modelsgenesis")


class Done(NamedTuple):
    """What a command answered."""

    status: int
    stdout: str
    stderr: str


def command(store: Path, into: Path, *more: str) -> list[str]:
    """The command line of a tiny run, behind `genesis`."""
    return ["pretrain", "small", str(store), str(into), *FLAGS.split(), *more]


def run(arguments: list[str]) -> Done:
    """Run a command to its end, in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(arguments)
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def finished(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run that was never stopped."""
    into = tmp_path_factory.mktemp("runs") / "whole"
    done = run(command(small_store, into))
    assert done.status == 0, done.stderr
    assert done.stdout.strip() == str(into)
    return into


def test_finished_run_has_all_its_files(finished: Path, small_store: Path) -> None:
    """Weights, log, pictures and a lineage back to the scans."""
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*")}
    assert {"model.safetensors", "last.safetensors", "resume.pt", "log.csv", "recipe.json", "made.json"} <= names
    assert {f"sheets/step-{step:07d}.png" for step in (4, 8, 12)} <= names
    assert [made.verb for _, made in lineage(finished)] == ["pretrain", "prepare"]
    with open(finished / "log.csv", encoding="utf-8", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["4", "8", "10", "12"]


def test_norm_is_the_users_choice(small_store: Path, tmp_path: Path) -> None:
    """The network that is kept has it, and a network that has no choice says so."""
    into = mg.pretrain("small", small_store, tmp_path / "run", norm="instance", **FAST)
    kept = mg.load(into)
    assert kept.norm == "instance"
    assert not [name for name, _ in kept.named_buffers() if "running" in name]
    with pytest.raises(GenesisError, match="residual-unet has no setting norm; its settings are: in_channels"):
        mg.pretrain("small", small_store, tmp_path / "other", backbone="residual-unet", norm="instance", **FAST)
    assert not (tmp_path / "other").exists()


def test_loaded_network_restores_a_cube(finished: Path) -> None:
    """mg.load gives the best network in evaluation mode, and its file records how it came to be."""
    network = mg.load(finished)
    assert not network.training
    assert network(torch.rand(1, 1, 16, 16, 16)).shape == (1, 1, 16, 16, 16)
    notes = read_notes(finished / "model.safetensors")
    assert notes["recipe"]["name"] == "small"
    assert notes["figures"]["val_total"] > 0


def test_finished_run_is_not_run_again(finished: Path, small_store: Path) -> None:
    """The same command says so and changes nothing."""
    before = (finished / "last.safetensors").stat().st_mtime_ns
    again = run(command(small_store, finished))
    assert "done already" in again.stderr
    assert (finished / "last.safetensors").stat().st_mtime_ns == before


def test_finished_run_is_known_by_its_weights(finished: Path, small_store: Path, tmp_path: Path) -> None:
    """Each is named with its SHA-256; the last is written again from the checkpoint, the best cannot be."""
    into = tmp_path / "run"
    shutil.copytree(finished, into)
    written = {name: (into / name).read_bytes() for name in ("model.safetensors", "last.safetensors")}
    made = json.loads((into / "made.json").read_text(encoding="utf-8"))
    assert made["outputs"] == {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    (into / "last.safetensors").unlink()
    assert run(command(small_store, into)).status == 0
    assert {name: (into / name).read_bytes() for name in written} == written
    (into / "model.safetensors").write_bytes(written["model.safetensors"][:-1] + b"?")
    done = run(command(small_store, into))
    assert done.status == 1
    assert "model.safetensors is gone, or not what this run wrote; put it back from a copy" in done.stderr


def test_number_of_workers_is_in_no_weights_file(finished: Path, small_store: Path, tmp_path: Path) -> None:
    """It changes nothing in them."""
    assert run(command(small_store, tmp_path / "run", "--workers", "1")).status == 0
    for name in ("model.safetensors", "last.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()


def test_store_made_anew_is_the_same_store(tmp_path: Path) -> None:
    """A stopped run goes on with it; one with another salt is another."""
    (tmp_path / "scans").mkdir()
    for seed in range(4):
        write_blobs(tmp_path / "scans" / f"{seed}.nii.gz", seed)
    store, into = tmp_path / "store", tmp_path / "run"
    mg.prepare(tmp_path / "scans", store, workers=0, quiet=True, salt="one", folds=2)
    assert run(command(store, into)).status == 0
    (into / "made.json").unlink()  # as if it had been stopped before its end
    shutil.rmtree(store)
    mg.prepare(tmp_path / "scans", store, workers=0, quiet=True, salt="one", folds=2)
    assert run(command(store, into)).status == 0
    (into / "made.json").unlink()
    shutil.rmtree(store)
    mg.prepare(tmp_path / "scans", store, workers=0, quiet=True, salt="two", folds=2)
    assert "holds a run with other settings: store is" in run(command(store, into)).stderr


def test_folder_of_another_run_is_refused(finished: Path, small_store: Path) -> None:
    """The error names what differs."""
    other = run([*command(small_store, finished), "--lr", "0.5"])
    assert other.status == 1
    assert other.stderr.count("\n") == 1
    assert "recipe.plan.lr is 0.002 there, 0.5 now" in other.stderr


@pytest.fixture(scope="module")
def agreeing(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with a teacher that was never stopped."""
    into = tmp_path_factory.mktemp("agreeing") / "run"
    assert run(command(small_store, into, *PEAC)).status == 0
    return into


@pytest.mark.parametrize(
    ("uninterrupted", "number", "more"),
    [("finished", signal.SIGKILL, ()), ("finished", signal.SIGTERM, ()), ("agreeing", signal.SIGKILL, PEAC)],
    ids=["killed", "asked-to-end", "with-a-teacher"],
)
def test_killed_run_goes_on_to_the_same_weights(
    uninterrupted: str,
    number: int,
    more: tuple[str, ...],
    small_store: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Killed after its first checkpoint, the same command ends bit for bit where the uninterrupted run did."""
    finished: Path = request.getfixturevalue(uninterrupted)
    into = tmp_path / "run"
    process = subprocess.Popen(
        [*GENESIS, *command(small_store, into, *more)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    waited_until = time.monotonic() + 120
    while not (into / "resume.pt").exists() and time.monotonic() < waited_until:
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.002)
    os.kill(process.pid, number)
    process.wait(timeout=60)
    assert not (into / "made.json").exists()
    done = run(command(small_store, into, *more))
    assert done.status == 0, done.stderr
    for name in ("last.safetensors", "model.safetensors"):
        assert (into / name).read_bytes() == (finished / name).read_bytes()


def test_two_processes_give_the_weights_of_one(small_store: Path, tmp_path: Path) -> None:
    """Two processes under gloo share batches and statistics of norms; tolerance 1e-4 of a tensor's greatest weight.

    By SGD, since AdamW turns the rounding noise of gradients that are 0 in theory (biases before a norm) into steps.
    """
    sgd = ["--optimizer", "sgd", "--lr", "0.05", "--precision", "32-true"]
    assert run(command(small_store, tmp_path / "one", *sgd)).status == 0
    both = command(small_store, tmp_path / "two", *sgd, "--devices", "2", "--accelerator", "cpu")
    done = subprocess.run([*GENESIS, *both], capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search("Using bfloat16|Initializing distributed|distributed_backend", done.stderr)
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        scale = tensor.abs().max().clamp_min(1e-2)
        assert ((tensor - two[name]).abs().max() / scale) < 1e-4, name


def test_deforming_on_the_device_trains_alike(small_store: Path, tmp_path: Path) -> None:
    """Workers that only read and draw give the losses of workers that deform, to the last digits of an intensity."""
    runs = [
        mg.pretrain("small", small_store, tmp_path / views, **FAST, precision="32-true", workers=workers, views=views)
        for views, workers in (("workers", 0), ("device", 1))
    ]
    logs = [list(csv.DictReader((run / "log.csv").read_text().splitlines())) for run in runs]
    losses = [[float(row[name]) for row in log for name in ("loss", "identity_baseline") if row[name]] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert len(losses[0]) > 0


def test_dry_run_writes_nothing(small_store: Path, tmp_path: Path) -> None:
    """It prints parameters, memory, speed, hours and disk."""
    done = run(command(small_store, tmp_path / "run", "--dry-run"))
    assert done.status == 0, done.stderr
    for what in ("parameters", "memory", "cubes/s", "hours", "disk"):
        assert what in done.stderr
    assert not (tmp_path / "run").exists()


def test_unwritable_folder_is_one_clear_line(small_store: Path, tmp_path: Path) -> None:
    """A file where the folder should be cannot be written into."""
    (tmp_path / "blocked").write_text("")
    done = run(command(small_store, tmp_path / "blocked" / "run"))
    assert done.status == 1
    assert done.stderr.splitlines()[-1].startswith("pretrain: ")
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_cubes_that_do_not_fit_the_network_are_refused(small_store: Path, tmp_path: Path) -> None:
    """Before anything is written, with the size to use."""
    with pytest.raises(ShapeError, match="use --size 16 16 16"):
        mg.pretrain("small", small_store, tmp_path / "run", **{**FAST, "size": (15, 16, 16)})  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_unknown_recipe_or_arm_is_refused(small_store: Path, tmp_path: Path) -> None:
    """The error lists what there is."""
    with pytest.raises(GenesisError, match="no recipe 'smal'; there are: any, ark, chest-ct, chest-ct-2d"):
        mg.pretrain("smal", small_store, tmp_path / "run")
    with pytest.raises(GenesisError, match="no arm 'blur'"):
        mg.pretrain("small", small_store, tmp_path / "run", arm="blur")


def test_unfinished_store_is_refused(tmp_path: Path) -> None:
    """A folder that prepare did not finish is no store."""
    with pytest.raises(DataError, match="genesis prepare"):
        mg.pretrain("small", tmp_path, tmp_path / "run")


def test_patients_never_stand_on_both_sides(small_store: Path) -> None:
    """A tenth of the patients is held out, one at least, and chosen folds are obeyed."""
    store = Store.open(small_store)
    training, held_out = split(store, mg.recipes.small())
    assert len(held_out) == 1
    assert not {scan.patient for scan in training} & {scan.patient for scan in held_out}
    fold = store.scans[0].fold
    _, chosen = split(store, dataclasses.replace(mg.recipes.small(), val_folds=(fold,)))
    assert {scan.fold for scan in chosen} == {fold}
    with pytest.raises(DataError, match="choose with --train-folds and --val-folds"):
        split(store, dataclasses.replace(mg.recipes.small(), val_folds=(99,)))


@pytest.mark.parametrize(
    ("recipe", "steps", "warmup", "validate_every"),
    [
        ("any", 500, 5, 25),  # of 100,000, 1000 and 1000
        ("any", 50_000, 500, 1000),
        ("any", 200_000, 1000, 1000),
        ("small", 600, 20, 40),  # of 3000, 100 and 200
        ("small", 3, 0, 1),
        ("chest-ct-official", 500, 0, None),
    ],
)
def test_a_short_run_reaches_its_rate_and_is_validated(
    recipe: str, steps: int, warmup: int, validate_every: int | None
) -> None:
    """Fewer steps than the recipe's shrink its warm-up and validation; what was given stays."""
    plan = PretrainOptions(steps=steps).applied_to(find_recipe(recipe)).plan
    assert (plan.warmup_steps, plan.validate_every) == (warmup, validate_every)
    plan = PretrainOptions(steps=steps, warmup_steps=7, validate_every=9).applied_to(find_recipe(recipe)).plan
    assert (plan.warmup_steps, plan.validate_every) == (7, 9)


def test_run_that_is_worse_than_one_grey_value_says_so(small_store: Path, tmp_path: Path) -> None:
    """A network that has hardly learned is finished, and not passed off as pre-trained."""
    done = run(command(small_store, tmp_path / "run", "--lr", "1e-9"))
    figures = read_notes(tmp_path / "run" / "model.safetensors")["figures"]
    error, grey = (f"{figures[name]:.4f}" for name in ("val_total", "val_mean_baseline"))
    assert f"warning: the error on held-out cubes, {error}, is above that of one grey value, {grey}" in done.stderr


@pytest.mark.parametrize("sides", [(12,), (12, 13, 14)], ids=["one", "three sizes"])
def test_what_is_too_small_is_one_line(sides: tuple[int, ...], tmp_path: Path) -> None:
    """A scan that is too small gives no cube; the line counts them, whatever their sizes."""
    (tmp_path / "scans").mkdir()
    for number, side in enumerate((*sides, 40, 40, 40)):
        write_blobs(tmp_path / "scans" / f"{number}.nii.gz", number, (40, 40, side))
    table = ["image,modality,fold", *(f"scans/{number}.nii.gz,CT,{number}" for number in range(len(sides) + 3))]
    (tmp_path / "scans.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    store = mg.prepare(tmp_path / "scans.csv", tmp_path / "store", workers=0, quiet=True)
    done = run(command(store, tmp_path / "run", "--val-folds", str(len(sides) + 2)))
    assert done.status == 0, done.stderr
    assert done.stderr.count("no cube from") == 1
    assert f"no cube from {'1 scan' if len(sides) == 1 else '3 scans'} smaller than " in done.stderr
    assert ", down to 40 x 40 x 12; use a smaller --size" in done.stderr


def test_every_recipe_survives_json() -> None:
    """Recipes are data: describe and rebuild give an equal one."""
    from modelsgenesis.core.naming import describe, rebuild

    for make in (mg.recipes.small, mg.recipes.chest_ct, mg.recipes.chest_ct_official, mg.recipes.any):
        assert rebuild(json.loads(json.dumps(describe(make())))) == make()


def test_pre_training_goes_on_from_weights(small_store: Path, tmp_path: Path) -> None:
    """Every tensor is taken, the restoring head too; the audit's lineage knows the first store."""
    first = mg.pretrain("any", small_store, tmp_path / "first", **FAST)
    options = {name: value for name, value in FAST.items() if name != "width"}
    second = mg.pretrain("any", small_store, tmp_path / "second", from_=first, **{**options, "steps": 1, "lr": 1e-9})
    before, after = (load_file(run / "model.safetensors") for run in (first, second))
    learned = [name for name in before if "running" not in name and "tracked" not in name]
    for name in learned:
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=1e-4)
    shares = json.loads((second / "loading.json").read_text())["shares"]
    assert shares == {"encoder": 1.0, "decoder": 1.0, "head": 1.0}
    assert any(str(first) in str(entry) for entry in json.loads((second / "made.json").read_text())["inputs"])
    with pytest.raises(TrainingError, match="decides the network; leave it out, or --from"):
        mg.pretrain("any", small_store, tmp_path / "third", from_=first, **FAST)


def test_finished_run_is_prolonged(small_store: Path, tmp_path: Path) -> None:
    """More steps go on where it ended; fewer, or another rate, are another run."""
    run = mg.pretrain("any", small_store, tmp_path / "run", **FAST)
    rows = (run / "log.csv").read_text()
    mg.pretrain("any", small_store, run, **{**FAST, "steps": 20})
    assert (run / "log.csv").read_text().startswith(rows)
    assert read_notes(run / "last.safetensors")["step"] == 20
    with pytest.raises(TrainingError, match="steps is 20 there, 12 now"):
        mg.pretrain("any", small_store, run, **FAST)
    with pytest.raises(TrainingError, match="other settings"):
        mg.pretrain("any", small_store, run, **{**FAST, "steps": 30, "lr": 1.0})


def test_two_never_train_in_one_folder(small_store: Path, tmp_path: Path) -> None:
    """A requeued job beside its ghost would log each step twice; the second is refused, and changes nothing."""
    with held(tmp_path / "run", "pretrain"):
        there = sorted((tmp_path / "run").iterdir())
        with pytest.raises(DataError, match="another genesis pretrain works on"):
            mg.pretrain("small", small_store, tmp_path / "run", **FAST)
        assert sorted((tmp_path / "run").iterdir()) == there
