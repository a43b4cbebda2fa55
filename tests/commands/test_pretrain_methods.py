"""genesis pretrain --method: every rival, on the same cubes and network, from the store to a fine-tuned run."""

import csv
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from safetensors.torch import load_file
from tests.conftest import write_blobs

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.errors import DataError, GenesisError, ShapeError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.naming import members
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.figures.curves import Log
from modelsgenesis.methods.popar import POPAR, deepest_step
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.swin import Swin
from modelsgenesis.pretraining.pretrain import worse_than_grey
from modelsgenesis.recipes import Recipe, chest_ct_official, small
from modelsgenesis.recipes.recipe import build_learner, make_learner
from modelsgenesis.reports.run_metrics import measure
from modelsgenesis.weights.files import read_notes

SIZE = (32, 32, 16)
RIVALS = [method for method in members("methods") if method not in ("genesis", "ark")]  # ark's are labelled sets
CLASSIFYING = {"rotation", "relative_position", "rubiks_cube"}
BY_CELLS = {"popar", "peac"}
ENCODING = CLASSIFYING | BY_CELLS  # which train the encoder alone


@pytest.fixture(scope="module")
def runs(small_store: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny run of each method."""
    into = tmp_path_factory.mktemp("rivals")
    quick: dict[str, Any] = {"size": SIZE, "steps": 2, "validate_every": 2}
    return {method: mg.pretrain(tiny_recipe, small_store, into / method, method=method, **quick) for method in RIVALS}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases with their denser parts as a mask."""
    folder = tmp_path_factory.mktemp("labelled")
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for number in range(2):
        scan = folder / "images" / f"ct{number}.nii.gz"
        write_blobs(scan, number)
        sitk.WriteImage(sitk.ReadImage(scan) > 200, folder / "labels" / scan.name)
    return folder


@pytest.mark.parametrize("method", RIVALS)
def test_run_says_what_it_trained_and_how_well(runs: dict[str, Path], method: str) -> None:
    """Whole networks by restoring, with sheets; the encoder by cells, or by classifying with accuracy beside chance."""
    run = runs[method]
    notes = read_notes(run / "model.safetensors")
    assert notes["taught"] == (["encoder"] if method in ENCODING else ["encoder", "decoder", "head"])
    assert notes["recipe"]["method"] == method
    columns = set(next(csv.DictReader((run / "log.csv").read_text().splitlines())))
    measured = ("accuracy", "chance") if method in CLASSIFYING else ("identity_baseline", "mean_baseline")
    assert {f"val_{name}" for name in measured} <= columns
    assert len(list((run / "sheets").glob("*.png"))) == (0 if method in CLASSIFYING else 1)


@pytest.mark.parametrize("method", RIVALS)
def test_untrained_parts_are_as_they_were_drawn(
    runs: dict[str, Path], small_store: Path, tiny_recipe: Recipe, method: str
) -> None:
    """The first weights are those of Genesis under this seed; what a method trained has moved, and nothing else."""
    recipe = tiny_recipe.but(cubes={"size": SIZE})
    first = build_learner(recipe, mg.Store.open(small_store), 0).backbone
    last = load_file(runs[method] / "last.safetensors")
    for part, module in first.parts():
        trained = part == "encoder" or method not in ENCODING
        names = {id(tensor): name for name, tensor in first.named_parameters()}
        moved = [not last[names[id(tensor)]].equal(tensor) for tensor in module.parameters() if tensor.dim() > 1]
        assert all(moved) if trained else not any(moved)


@pytest.mark.parametrize("method", ["mae", "rubiks_cube", "peac"])
def test_a_rival_starts_a_fine_tuning(runs: dict[str, Path], labelled: Path, tmp_path: Path, method: str) -> None:
    """The encoder is taken whole, by a task's network of the same kind; the decoder only where it was trained."""
    quick = {"steps": 2, "batch_size": 2, "size": (16, 16, 16), "precision": "32-true"}
    run = mg.finetune(labelled, tmp_path / "run", from_=runs[method], **quick)
    loading = read_json(run / "loading.json")
    assert loading["shares"]["encoder"] == 1.0
    assert loading["shares"]["decoder"] == (0.0 if method in ENCODING else 1.0)
    reasons = {row["why"] for row in loading["rows"] if row["part"] == "decoder"}
    assert reasons == ({"its pre-training trained the encoder alone"} if method in ENCODING else {""})


@pytest.mark.parametrize("method", ["mae", "rotation", "rubiks_cube", "popar", "peac"])
def test_every_run_has_its_report(runs: dict[str, Path], tmp_path: Path, method: str) -> None:
    """Restorations are shown where there are any, else the accuracy; the command comes back with the method."""
    page = mg.report(runs[method], tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("would be right by guessing" in page) == (method in CLASSIFYING)
    assert ("Restorations of held-out cubes" in page) == (method not in CLASSIFYING)
    assert ("of the cells put out of order are told their place" in page) == (method in BY_CELLS)
    assert ("restored = network(cubes)" in page) == (method not in ENCODING)
    assert "nan" not in page.partition("<img")[0]
    assert f"--method {method}" in command(str(runs[method]), read_provenance(runs[method], "pretrain"))


def test_samples_are_shown_of_methods_that_restore(
    runs: dict[str, Path], small_store: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    """With what the network makes of them; the others are refused by name."""
    recipe = tiny_recipe.but(cubes={"size": SIZE})
    assert mg.show(recipe, small_store, tmp_path / "mae.png", run=runs["mae"]).stat().st_size > 10_000
    with pytest.raises(DataError, match="the method rotation restores nothing"):
        mg.show(recipe, small_store, tmp_path / "turns.png", run=runs["rotation"])


def test_refusals_come_before_anything_is_written(small_store: Path, tmp_path: Path) -> None:
    """An unknown method, another method's setting, cubes that are too small."""
    into = tmp_path / "run"
    with pytest.raises(
        GenesisError, match="no 'jigsaw' in methods; there are: ark, context_restoration, denoising, genesis"
    ):
        mg.pretrain("small", small_store, into, method="jigsaw")
    with pytest.raises(GenesisError, match=r"mae: got an unexpected .*'arm'; its settings are: block, hidden"):
        mg.pretrain("small", small_store, into, method="mae", arm="none")
    with pytest.raises(ShapeError, match="use --size 32 32 32 or more"):
        mg.pretrain("small", small_store, into, method="rubiks-cube", size=(16, 16, 16))
    with pytest.raises(ShapeError, match="of 24 with 1 to spare; use --size 72 72 72"):
        mg.pretrain("small", small_store, into, method="peac", cell=24, spare=1, size=(32, 32, 32))
    with pytest.raises(DataError, match=r"fewer than the cube's \(64, 64, 64\); use a smaller --size"):
        mg.pretrain("small", small_store, into, method="peac", size=(64, 64, 64))
    assert not into.exists()


def test_a_page_reports_the_error_of_the_restoration_alone(runs: dict[str, Path]) -> None:
    """PEAC's total holds other losses too; the number beside the errors of knowing nothing is the mean squared one."""
    log = Log.read(runs["peac"] / "log.csv")
    metrics = measure(runs["peac"], log)
    assert metrics.error == log.columns["val_restoration"][-1] < log.columns["val_total"][-1]
    assert worse_than_grey({"val_total": 9.0, "val_restoration": 0.1, "val_mean_baseline": 0.2}) == ""
    assert "0.3000" in worse_than_grey({"val_total": 9.0, "val_restoration": 0.3, "val_mean_baseline": 0.2})


@pytest.mark.parametrize(("method", "views"), [("popar", 6), ("peac", 5)])
def test_cells_are_as_large_as_a_position_of_the_deepest_feature(method: str, views: int) -> None:
    """The U-Net halves three times: cells of 8; a fifth of the six cells of 48 voxels is spared, of POPAR's none."""
    network = UNet3D(width=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learner = make_learner(small().but(method=method, cubes={"size": (48, 48, 48)}), network)
    assert isinstance(learner, POPAR)
    learner.check((48, 48, 48))
    assert (learner.grid.cell, learner.grid.cells) == (8, (views,) * 3)
    assert deepest_step(Swin(embed=16, depths=(1, 1, 1), heads=(1, 2, 4), window=2)) == 16
    assert all(value.equal(network.state_dict()[name]) for name, value in before.items())  # running statistics stay
    assert network.training


def test_another_method_leaves_the_settings_of_the_first() -> None:
    """The official recipe's quirks are Genesis's own; the same method keeps them."""
    official = chest_ct_official()
    assert official.but(method="mae", method_args={"hidden": 0.6}).method_args == {"hidden": 0.6}
    assert official.but(method="genesis").method_args == official.method_args


def test_method_is_an_option_of_the_command_line(small_store: Path, tmp_path: Path) -> None:
    """With dashes, as options are."""
    flags = "--method context-restoration --steps 2 --batch-size 2 --size 16 16 16 --width 2 --val-cubes 2"
    assert main(["pretrain", "small", str(small_store), str(tmp_path / "run"), *flags.split()]) == 0
    assert read_notes(tmp_path / "run" / "last.safetensors")["recipe"]["method"] == "context_restoration"
