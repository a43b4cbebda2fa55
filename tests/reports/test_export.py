"""Exporting: a folder whole or not at all, with a card that says what binds and what is not known."""

import json
import re
from pathlib import Path

import pytest
from tests.conftest import write_blobs
from tests.inference.runs import ORGANS, make_run, notes_of

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError, WeightsError
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.data.images import Reading
from modelsgenesis.nets import UNet3D
from modelsgenesis.reports.model_card import anonymous
from modelsgenesis.weights.files import save_network
from modelsgenesis.weights.registry import find_entry


def front_matter(card: str) -> dict[str, str]:
    """The simple lines of a card's YAML."""
    yaml = pytest.importorskip("yaml")
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_export_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files of the format, the card and the provenance; a second time nothing is done; nothing is overwritten."""
    run, into = make_run(tmp_path / "run"), tmp_path / "out" / "exported"
    assert main(["export", str(run), str(into)]) == 0
    assert sorted(path.name for path in into.iterdir()) == [
        "README.md",
        "config.json",
        "made.json",
        "model.safetensors",
    ]
    made = read_provenance(into, "export")
    assert made.arguments["to"] == "safetensors"
    assert list(made.inputs) == [str(run)]
    before = {path: path.read_bytes() for path in into.iterdir()}
    capsys.readouterr()
    assert main(["export", str(run), str(into)]) == 0
    assert "exported already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in into.iterdir()} == before
    assert main(["export", str(run), str(into), "--to", "torch"]) == 1
    assert "holds an export of other weights or with other settings" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in into.iterdir()} == before
    assert [path.name for path in into.parent.iterdir()] == ["exported"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """Neither files of the user's nor another stage's folder are written into; an empty folder will do."""
    run = make_run(tmp_path / "run")
    with pytest.raises(DataError, match="made by `genesis finetune`"):
        mg.export(run, run, quiet=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DataError, match="is there already and holds no export"):
        mg.export(run, tmp_path / "mine", quiet=True)
    (tmp_path / "empty").mkdir()
    assert (mg.export(run, tmp_path / "empty", to="torch", quiet=True) / "model.pt").is_file()


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither the folder nor a part of it; what a killed export left is no hindrance."""
    save_network(tmp_path / "bare.safetensors", UNet3D(width=1))
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half").write_text("x")
    with pytest.raises(WeightsError, match="was not fine-tuned"):
        mg.export(tmp_path / "bare.safetensors", tmp_path / "out", to="monai-bundle", quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bare.safetensors"]
    with pytest.raises(WeightsError, match="nothing"):
        mg.export(tmp_path / "nothing", tmp_path / "out", quiet=True)


def test_card_of_a_pre_trained_run(tmp_path: Path) -> None:
    """Lineage, scans, recipe and figures, without where the files lie; a licence that nobody stated is unknown."""
    (tmp_path / "secret").mkdir()
    for number in range(2):
        write_blobs(tmp_path / "secret" / f"ct-{number}.nii.gz", number, size=(40, 40, 40))
    store = mg.prepare(tmp_path / "secret", tmp_path / "store", workers=0, quiet=True)
    settings = {"width": 1, "batch_size": 2, "val_cubes": 2, "workers": 0, "accelerator": "cpu"}
    run = mg.pretrain("small", store, tmp_path / "run", steps=2, validate_every=2, **settings)
    card = (mg.export(run, tmp_path / "out", quiet=True) / "README.md").read_text()
    metadata = front_matter(card)
    assert (metadata["license"], metadata["library_name"]) == ("unknown", "modelsgenesis")
    assert {"3d", "models-genesis", "safetensors"} <= set(metadata["tags"])
    assert "genesis prepare secret store" in card
    assert "genesis pretrain small store run" in card
    assert str(tmp_path) not in card
    assert "2 of 2 patients (2 CT)" in card
    assert "| steps | 2 |" in card
    assert re.search(r"\| val_total \| 0\.\d+ \|", card)
    assert "Not stated. A network carries the licences of the scans" in card
    assert "has to be fine-tuned before it is of use" in card


@pytest.mark.parametrize(
    ("method", "aim", "paper"),
    [
        ("genesis", ", to restore deformed images, and starts a task", "Zhou et al., Models Genesis, Medical"),
        ("relative-position", ", to tell where one part of an image lies from another, and starts", "Doersch et al."),
        ("os:system", "without labels and starts a task", "Zhou et al., Models Genesis, Medical"),
    ],
)
def test_card_names_the_method(method: str, aim: str, paper: str, tmp_path: Path) -> None:
    """What it teaches and whose it is; a module that a file names is not imported."""
    file = tmp_path / "weights.safetensors"
    save_network(file, UNet3D(width=1), {"recipe": {"name": "mine", "method": method}})
    card = (mg.export(file, tmp_path / "out", quiet=True) / "README.md").read_text(encoding="utf-8")
    assert aim in card
    assert f"## Citation\n\n- {paper}" in card


def test_card_says_what_its_owner_says(tmp_path: Path) -> None:
    """Of the licence and of the data."""
    run = make_run(tmp_path / "run")
    given = {"licence": "CC BY 4.0", "data": "Twenty scans of the phantom, CC0."}
    card = (mg.export(run, tmp_path / "out", quiet=True, **given) / "README.md").read_text()
    assert front_matter(card)["license"] == "cc-by-4.0"
    assert "Twenty scans of the phantom, CC0." in card
    assert "logits (softmax makes them probabilities) of the background, then soft, dense" in card
    card = (mg.export(run, tmp_path / "own", quiet=True, licence="Ask us: first") / "README.md").read_text()
    assert (front_matter(card)["license"], front_matter(card)["license_name"]) == ("other", "Ask us: first")


@pytest.mark.parametrize("known", ["by its bytes", "by its name", "by the notes"])
def test_card_names_the_licence_of_the_weights_it_began_with(tmp_path: Path, known: str) -> None:
    """Whatever its owner says: the official weights are for non-commercial research, and so is what began with them."""
    official = find_entry("genesis-chest-ct")
    run = make_run(tmp_path / "run")
    inputs = {
        "by its bytes": {str(tmp_path / "renamed.pt"): official.sha256},
        "by its name": {"/elsewhere/Genesis_Chest_CT.pt": ""},
        "by the notes": {},
    }[known]
    write_provenance(run, "finetune", {}, inputs=[])
    certificate = json.loads((run / "made.json").read_text()) | {"inputs": inputs}
    (run / "made.json").write_text(json.dumps(certificate))
    if known == "by the notes":
        notes = notes_of(ORGANS, Reading(), (16, 16, 16), 1) | {"from": "weights/genesis-chest-ct.pt"}
        save_network(run / "model.safetensors", mg.load(run), notes)
    card = (mg.export(run, tmp_path / "out", licence="mit", quiet=True) / "README.md").read_text()
    assert (front_matter(card)["license"], front_matter(card)["license_name"]) == ("other", official.licence.name)
    assert card.count(official.licence.allows) == 1
    assert "began with The authors' Genesis Chest CT, PyTorch" in card
    assert "623 chest CT scans of LUNA16" in card


def test_own_weights_name_no_other_licence(tmp_path: Path) -> None:
    """A run from scratch, or from a file that is called like none of the registry."""
    run = make_run(tmp_path / "run")
    notes = notes_of(ORGANS, Reading(), (16, 16, 16), 1) | {"from": "runs/chest"}
    save_network(run / "model.safetensors", mg.load(run), notes)
    card = (mg.export(run, tmp_path / "out", quiet=True) / "README.md").read_text()
    assert "derive from weights of others" not in card
    assert "- began with chest" in card


def test_commands_keep_no_paths(tmp_path: Path) -> None:
    """Absolute, relative and quoted ones are cut to their last part; numbers and options stay."""
    (tmp_path / "a b").mkdir()
    write_provenance(tmp_path / "a b", "prepare", {"folds": 3}, inputs=[tmp_path / "some scans" / "ct.nii.gz"])
    made = read_provenance(tmp_path / "a b", "prepare")
    line = anonymous(str(tmp_path / "a b"), made, command)
    assert line == "genesis prepare ct.nii.gz 'a b' --folds 3"
