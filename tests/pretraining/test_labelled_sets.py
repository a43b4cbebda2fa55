"""Ark from the command line: labelled sets in turn, resumed, gone on from, predicted by head; and what is refused."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import write_blobs
from tests.radiographs import radiograph, write_picture

import modelsgenesis as mg
from modelsgenesis.benchmarking.leakage_audit import audit
from modelsgenesis.core.errors import DataError, TrainingError, WeightsError
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.recipes import Recipe, small_ark
from modelsgenesis.tasks.labelled_sets import read_sets, shared_patients
from modelsgenesis.weights import load_network
from modelsgenesis.weights.files import read_notes

TINY = {"embed": 16, "depths": (1, 1, 2, 1), "heads": (1, 2, 4, 8), "window": 2, "width": 8}
PLAN = {"steps": 20, "batch_size": 4, "warmup_steps": 2, "validate_every": 10, "precision": "32-true", "lr": 2e-3}


def tiny(**method_args: object) -> Recipe:
    """The small recipe with a tiny Swin and pictures of 64 pixels."""
    args: Mapping[str, Any] = {"projector": 16, **method_args}
    return small_ark().but(cubes={"size": (64, 64)}, backbone_args=TINY, plan=PLAN, method_args=args)


def write_set(root: Path, name: str, rows: Sequence[Mapping[str, object]]) -> Path:
    """A CSV of pictures; `ill` decides what each shows."""
    cells = []
    for number, row in enumerate(rows):
        place = root / name / f"{number}.png"
        if not place.is_file():
            write_picture(place, radiograph(number + 100 * (ord(name[0]) - 96), ill=bool(row["ill"]), size=(40, 36)))
        cells.append({"image": f"{name}/{number}.png", **{key: value for key, value in row.items() if key != "ill"}})
    return write_csv(root / f"{name}.csv", cells)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A table of these rows."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def labels(num: int, patients: str = "") -> list[dict[str, object]]:
    """Rows of two labels that overlap, two pictures a patient."""
    return [
        {"ill": k % 2, "label_disc": k % 2, "label_grey": 1 - k % 2, "patient": f"{patients}{k // 2}"}
        for k in range(num)
    ]


def classes(num: int, patients: str = "") -> list[dict[str, object]]:
    """Rows of three classes that exclude each other; the third is one of the ill."""
    named = ("well", "ill", "well", "worse")
    return [{"ill": k % 2, "label": named[k % 4], "patient": f"{patients}{k}"} for k in range(num)]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets: eleven patients of two pictures, and fourteen of one; the second has two cases of its makers' test."""
    root = tmp_path_factory.mktemp("sets")
    write_set(root, "one", labels(22, "a"))
    second = [{**row, "split": "test" if k >= 14 else ""} for k, row in enumerate(classes(16, "b"))]
    write_set(root, "two", second)
    return write_csv(root / "sets.csv", [{"name": "first", "data": "one.csv"}, {"name": "2nd.set", "data": "two.csv"}])


@pytest.fixture(scope="module")
def run(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    return mg.pretrain(tiny(), sets, tmp_path_factory.mktemp("ark") / "run")


def losses(run: Path) -> list[float]:
    """The loss of the labels in each line of the log."""
    with open(run / "log.csv", encoding="utf-8") as file:
        return [float(row["labels"]) for row in csv.DictReader(file)]


def test_a_run_keeps_its_heads_by_name_and_what_each_predicts(run: Path) -> None:
    """In the tensors and in the notes; what was read of the images is gone, and who was used for what is written."""
    network, notes = load_network(run / "model.safetensors"), read_notes(run / "model.safetensors")
    assert isinstance(network, NamedHeads)
    assert network.heads == {"first": 2, "2nd.set": 3}
    assert notes["heads"] == {"first": ["disc", "grey"], "2nd.set": ["ill", "well", "worse"]}
    assert not (run / "cases").exists()
    with open(run / "sets" / "2nd.set" / "cases.csv", encoding="utf-8") as file:
        roles = {row["id"]: row["role"] for row in csv.DictReader(file)}
    assert sorted(roles.values()) == ["test"] * 2 + ["train"] * 13 + ["val"]
    assert {name for name, role in roles.items() if role == "test"} == {"two_14", "two_15"}


def test_the_loss_of_two_sets_falls_in_twenty_steps(run: Path, sets: Path, tmp_path: Path) -> None:
    """Section 8, item 11: a tiny Swin, two sets; validated are both, and the total is their mean."""
    long = mg.pretrain(tiny(), sets, tmp_path / "long", steps=60, validate_every=20)
    assert np.mean(losses(long)[-2:]) < 0.8 * losses(long)[0]
    with open(run / "log.csv", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[-1]
    apart = [float(row["val_loss first"]), float(row["val_loss 2nd.set"])]
    assert float(row["val_total"]) == pytest.approx(np.mean(apart), rel=1e-4)


def test_losses_of_the_log_are_of_one_image(run: Path, sets: Path, tmp_path: Path) -> None:
    """In training below those of equal odds; held out, those of what `predict` says of the same pictures."""
    assert losses(run)[0] < np.log(3)
    with open(run / "log.csv", encoding="utf-8") as file:
        best = min((row for row in csv.DictReader(file) if row["val_total"]), key=lambda row: float(row["val_total"]))
    for name, table in (("first", "one.csv"), ("2nd.set", "two.csv")):
        out = mg.predict(run, sets.parent / table, tmp_path / name, head=name, precision="32-true")
        with open(out / "predictions.csv", encoding="utf-8") as file:
            predicted = {row["image"]: row for row in csv.DictReader(file)}
        with open(run / "sets" / name / "cases.csv", encoding="utf-8") as file:
            held_out = [row for row in csv.DictReader(file) if row["role"] == "val"]
        lost = [np.mean(log_losses(predicted[row["image"]], row)) for row in held_out]
        # Not to the digit: what is trained on is resampled twice, what is predicted once.
        assert float(best[f"val_loss {name}"]) == pytest.approx(np.mean(lost), rel=0.02)


def log_losses(predicted: Mapping[str, str], true: Mapping[str, str]) -> list[float]:
    """Of the probability of the class, or of each label that overlaps."""
    if "label" in true:
        return [-np.log(float(predicted[f"p_{true['label']}"]))]
    p = [(float(predicted[f"p_{label}"]), float(true[f"label_{label}"])) for label in ("disc", "grey")]
    return [-np.log(value if there else 1 - value) for value, there in p]


def test_a_run_stopped_and_resumed_has_the_same_bytes(sets: Path, tmp_path: Path) -> None:
    """Stopped within a pass and gone on with, by a teacher who follows after passes; another seed gives others."""
    recipe = tiny(follows="pass", momentum=0.5)
    whole = mg.pretrain(recipe, sets, tmp_path / "whole")
    stopped = stop_at(7, recipe, sets, tmp_path / "stopped")
    assert load_file(whole / "model.safetensors").keys()
    for name in ("model.safetensors", "last.safetensors"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    (whole / "cases").mkdir()  # as if killed after the run was done, and before what it had read was deleted
    assert not (mg.pretrain(recipe, sets, whole) / "cases").exists()
    other = mg.pretrain(recipe, sets, tmp_path / "other", seed=1)
    assert (other / "last.safetensors").read_bytes() != (whole / "last.safetensors").read_bytes()


def stop_at(step: int, recipe: Recipe, sets: Path, into: Path) -> Path:
    """Interrupt a run after so many steps, as Ctrl-C does, and go on with it."""
    import os
    import signal

    from modelsgenesis.methods.ark import Ark

    counted, follow = [0], Ark.after_step

    def after_step(self: Ark, progress: float) -> None:
        follow(self, progress)
        counted[0] += 1
        if counted[0] == step:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ark, "after_step", after_step)
        mg.pretrain(recipe, sets, into)
    assert not (into / "made.json").exists()
    return mg.pretrain(recipe, sets, into)


def test_a_head_predicts_what_the_network_says(run: Path, sets: Path, tmp_path: Path) -> None:
    """`predict --head` gives the softmax of that head's logits, of the picture as validation sees it."""
    out = mg.predict(run, sets.parent / "two.csv", tmp_path / "out", head="2nd.set", precision="32-true")
    with open(out / "predictions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert sum(float(rows[0][f"p_{name}"]) for name in ("well", "ill", "worse")) == pytest.approx(1, abs=1e-5)
    network = load_network(run / "model.safetensors")
    assert isinstance(network, NamedHeads)
    image = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        for name, logits in network(image).items():
            torch.testing.assert_close(network.classifier(name)(image), logits, atol=1e-5, rtol=1e-5)


def test_a_head_that_is_not_there_is_named(run: Path, sets: Path, tmp_path: Path) -> None:
    """Without a head, or with a strange one, the message lists those there are."""
    for head in (None, "third"):
        with pytest.raises(WeightsError, match=r"--head: first, 2nd\.set"):
            mg.predict(run, sets.parent / "two.csv", tmp_path / "out", head=head)
    tuned = mg.finetune(sets.parent / "two.csv", tmp_path / "tuned", from_=str(run), steps=2, batch_size=2)
    with pytest.raises(WeightsError, match="leave --head out"):
        mg.predict(tuned, sets.parent / "two.csv", tmp_path / "out", head="first")
    loading = json.loads((tmp_path / "tuned" / "loading.json").read_text())
    assert loading["shares"]["encoder"] == 1


def test_heads_of_the_same_name_go_on_label_by_label(run: Path, sets: Path, tmp_path: Path) -> None:
    """Continual training: a set with its labels in another order, and a new one; the teacher begins as the student."""
    root = sets.parent
    more = [{"ill": k % 2, "label_grey": 1 - k % 2, "label_new": k % 3 // 2, "label_disc": k % 2} for k in range(12)]
    write_set(root, "more", more)
    table = [{"name": "first", "data": "more.csv"}, {"name": "third", "data": "two.csv"}]
    into = mg.pretrain(tiny(), write_csv(root / "on.csv", table), tmp_path / "on", from_=str(run), steps=8, lr=1e-9)
    before, after = (load_network(folder / "model.safetensors") for folder in (run, into))
    assert isinstance(before, NamedHeads)
    assert isinstance(after, NamedHeads)
    rows = after.outputs[0].get_parameter("weight")[[2, 0]]
    torch.testing.assert_close(rows, before.outputs[0].get_parameter("weight"), atol=1e-6, rtol=0)
    for name, tensor in before.project.state_dict().items():
        torch.testing.assert_close(after.project.state_dict()[name], tensor, atol=1e-6, rtol=0)
    assert json.loads((into / "loading.json").read_text())["heads"] == {"first": ["grey", "disc"], "third": []}


def refused(root: Path, rows: Sequence[Mapping[str, object]]) -> str:
    """What is wrong with a table of sets."""
    with pytest.raises(DataError) as error:
        read_sets(write_csv(root / "wrong.csv", rows), 2, 0)
    return str(error.value)


def test_what_is_wrong_with_a_set_is_said(tmp_path: Path) -> None:
    """One class, labels outside the policy, a policy that is none, numbers, a name twice, a strange column."""
    one = {"name": "one", "data": "one.csv"}
    write_set(tmp_path, "one", [{**row, "label": "well"} for row in classes(8)])
    assert "the set one: its 7 training cases have all the same label" in refused(tmp_path, [one])
    write_set(tmp_path, "one", [{**row, "label_disc": 2 if k == 3 else 1 - k % 2} for k, row in enumerate(labels(8))])
    assert "in row 5 its label_disc is '2'; write 1, 0, -1 or nothing" in refused(tmp_path, [{**one, "policy": "ones"}])
    assert "write 0 or 1" in refused(tmp_path, [one])
    assert "its policy is 'twos'; it takes ones, zeros, ignore, soft" in refused(tmp_path, [{**one, "policy": "twos"}])
    write_set(tmp_path, "one", [{"ill": 0, "label": k / 3} for k in range(8)])
    assert "its labels make a regression" in refused(tmp_path, [one])
    assert "its sets are named one, one; give each a name of its own" in refused(tmp_path, [one, one])
    assert "has a column 'path'" in refused(tmp_path, [{**one, "path": "x"}])
    assert "has no column 'data'" in refused(tmp_path, [{"name": "one"}])
    assert "the set one: " in refused(tmp_path, [{**one, "data": "nowhere.csv"}])


@pytest.mark.parametrize(
    ("policy", "values"), [("ones", (1.0, 1.0)), ("zeros", (0.0, 0.0)), ("ignore", None), ("soft", (0.55, 0.85))]
)
def test_policies_of_a_table_of_ones_own(policy: str, values: tuple[float, float] | None, tmp_path: Path) -> None:
    """-1 by the policy, blanks 0, 1 and 0 as they are; columns in another order change nothing."""
    rows = [{"ill": k % 2, "label_a": ("-1", "", "1")[k % 3], "label_b": k % 2} for k in range(12)]
    turned = [{"ill": row["ill"], "label_b": row["label_b"], "label_a": row["label_a"]} for row in rows]
    found = []
    for some in (rows, turned):
        write_set(tmp_path, "one", some)
        table = write_csv(tmp_path / "sets.csv", [{"name": "one", "data": "one.csv", "policy": policy}])
        task = read_sets(table, 2, 0)[0].task
        found.append({case.id: case.values[task.target.names.index("a")] for case in task.cases})
    for k in range(12):
        value = found[0][f"one_{k}"]
        assert np.isfinite(value) or (policy == "ignore" and k % 3 == 0)
        if k % 3 or values is None:
            assert k % 3 == 0 or value == (0, 0, 1)[k % 3]
        else:
            assert values[0] <= value <= values[1]
        if policy != "soft":
            assert value == found[1][f"one_{k}"] or np.isnan(value)


def test_who_is_held_out_in_one_set_is_trained_on_in_none(tmp_path: Path) -> None:
    """Two sets with patients in common: they are named, and left out where another set tests or validates on them."""
    write_set(
        tmp_path, "one", [{**row, "split": "test" if k < 4 else "train"} for k, row in enumerate(labels(24, "p"))]
    )
    write_set(tmp_path, "two", classes(12, "p"))
    table = write_csv(tmp_path / "s.csv", [{"name": "one", "data": "one.csv"}, {"name": "two", "data": "two.csv"}])
    sets = read_sets(table, 2, 0)
    held = [{case.patient for case in (*one.split.val, *one.split.test)} for one in sets]
    for number, one in enumerate(sets):
        trained = {case.patient for case in one.split.train}
        assert trained
        assert not trained & (held[0] | held[1])
        assert not {case.patient for case in one.split.val} & {case.patient for case in sets[1 - number].split.test}
    said = "\n".join(shared_patients(sets))
    assert "one and two share 12 patients" in said
    assert f"left out, since another set holds them out: {len(sets[0].left_out)} of one" in said


def test_a_run_shorter_than_a_round_is_refused(sets: Path, tmp_path: Path) -> None:
    """Every head has to be trained once; a store and a table are told apart."""
    with pytest.raises(TrainingError, match="--steps 9 or more"):
        mg.pretrain(tiny(), sets, tmp_path / "run", steps=8)
    with pytest.raises(DataError, match="is no table of labelled sets"):
        mg.pretrain("small-ark", sets.parent, tmp_path / "run")
    with pytest.raises(DataError, match="is no store"):
        mg.pretrain("small-popar", sets, tmp_path / "run")


def test_the_audit_finds_whom_a_set_trained_or_validated_on(run: Path, sets: Path) -> None:
    """By file and by patient, in each of the sets; the test cases of a set's makers were not seen."""
    task = mg.tasks.folder(sets.parent / "two.csv")
    hits = audit("ark", run, task.cases)
    assert {hit.case for hit in hits} == {case.id for case in task.cases if case.split != "test"}
    assert all("the file is among the cases of" in hit.why for hit in hits)


def test_volumes_are_learned_by_the_same_words(tmp_path: Path) -> None:
    """3D: a U-Net's encoder, two sets of small volumes, a prediction by head."""
    rows: dict[str, list[dict[str, object]]] = {"one": [], "two": []}
    for number in range(16):
        write_blobs(tmp_path / f"{number}.nii.gz", number, size=(20, 18, 16))
        label = {"image": f"{number}.nii.gz", "label": ("low", "high")[number // 2 % 2]}
        rows[("one", "two")[number % 2]].append(label)
    for name, some in rows.items():
        write_csv(tmp_path / f"{name}.csv", some)
    table = write_csv(tmp_path / "sets.csv", [{"name": name, "data": f"{name}.csv"} for name in rows])
    recipe = small_ark().but(cubes={"size": (16, 16, 16)}, backbone="unet3d", backbone_args={"width": 2}, plan=PLAN)
    run = mg.pretrain(recipe.but(method_args={"projector": 8}), table, tmp_path / "run", steps=8)
    out = mg.predict(run, tmp_path / "two.csv", tmp_path / "out", head="two", precision="32-true")
    with open(out / "predictions.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 8
    tuned = mg.finetune(tmp_path / "one.csv", tmp_path / "tuned", from_=str(run), steps=2, batch_size=2)
    assert json.loads((tuned / "loading.json").read_text())["shares"]["encoder"] == 1


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(sets: Path, tmp_path: Path) -> None:
    """Each step sees one set in both processes, and the teachers stay equal; tolerance 1e-4 of the greatest weight."""
    asked = "--size 64 64 --steps 12 --batch-size 4 --warmup-steps 2 --validate-every 6 --precision 32-true"
    command = [sys.executable, "-m", "modelsgenesis", "pretrain", "small-ark", str(sets)]
    for devices in ("1", "2"):
        more = [*asked.split(), "--optimizer", "sgd", "--lr", "1e-2", "--accelerator", "cpu", "--devices", devices]
        done = subprocess.run([*command, str(tmp_path / devices), *more], capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / devices / "last.safetensors") for devices in ("1", "2"))
    for name, tensor in one.items():
        scale = tensor.abs().max().clamp_min(1e-2)
        assert ((tensor - two[name]).abs().max() / scale) < 1e-4, name
