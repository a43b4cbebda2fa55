"""genesis choose: the table, what has labels already, and what fine-tuned networks are asked."""

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tests.data.scan_files import make_image
from tests.inference.runs import ORGANS, make_run, mean_classifier

import modelsgenesis as mg
from modelsgenesis.choosing.strategies.spread import Spread
from modelsgenesis.choosing.strategy import Answers
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.nets import UNet3D
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.regression import Regression

SIDE, NUM = 16, 6
asked = functools.partial(mg.choose, accelerator="cpu", precision="32-true", quiet=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six CTs of noise, each as large as a window, and their raw embeddings."""
    folder = tmp_path_factory.mktemp("choose")
    (folder / "scans").mkdir()
    for number in range(NUM):
        values = np.random.default_rng(number).integers(-900, 900, (SIDE,) * 3).astype(np.int16)
        sitk.WriteImage(make_image(values), folder / "scans" / f"ct-{number}.nii.gz")
    mg.embed("raw", folder / "scans", folder / "vectors", modality="CT", quiet=True)
    return folder


def seen(made: Path, number: int) -> torch.Tensor:
    """A scan as the networks see it, (1, 1, X, Y, Z)."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(made / "scans" / f"ct-{number}.nii.gz")).T
    return torch.from_numpy(np.clip((values.astype(np.float32) + 1000) / 2000, 0, 1))[None, None]


def flips() -> list[list[int]]:
    """The axes of all mirror images of (B, C, X, Y, Z)."""
    return [list(axes) for count in range(4) for axes in itertools.combinations((2, 3, 4), count)]


def ids(table: Path) -> list[str]:
    """Of the chosen cases, in order."""
    return [row["id"] for row in read_rows(table)]


def test_table_is_ready_for_an_annotator(made: Path, tmp_path: Path) -> None:
    """Ranked, with the file of each scan and a reason; the same again by the same seed, and other cases by another."""
    out = asked(made / "vectors", tmp_path / "next.csv", cases=3)
    rows = read_rows(out)
    assert list(rows[0]) == ["rank", "id", "image", "score", "cluster", "why"]
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert all(Path(row["image"]) == (made / "scans" / f"{row['id']}.nii.gz").resolve() for row in rows)
    assert all(row["why"] and row["cluster"] for row in rows)
    again = asked(made / "vectors", tmp_path / "again.csv", cases=3)
    assert again.read_bytes() == out.read_bytes()
    drawn = [ids(asked(made / "vectors", tmp_path / f"{s}.csv", cases=5, method="random", seed=s)) for s in (0, 1)]
    assert drawn[0] != drawn[1]


def test_what_has_labels_is_not_chosen_again(made: Path, tmp_path: Path) -> None:
    """By id, by tables of ids and images, by one half filled in, and by a run's, of which test cases have no labels."""
    write_table(tmp_path / "ids.csv", ("id", "label"), [{"id": "ct-1", "label": "x"}])
    write_table(tmp_path / "images.csv", ("image",), [{"image": str(made / "scans" / "ct-2.nii.gz")}])
    (tmp_path / "run").mkdir()
    roles = [{"id": "ct-3", "role": "train"}, {"id": "ct-4", "role": "test"}]
    write_table(tmp_path / "run" / "cases.csv", ("id", "role"), roles)
    for fold, held_out in enumerate(("ct-0", "ct-1")):  # as finetune --folds 2 leaves it
        (tmp_path / "folds" / f"fold-{fold}").mkdir(parents=True)
        own = [{"id": id_, "role": "val" if id_ == held_out else "train"} for id_ in ("ct-0", "ct-1")]
        write_table(tmp_path / "folds" / f"fold-{fold}" / "cases.csv", ("id", "role"), own)
    out = asked(made / "vectors", tmp_path / "next.csv", cases=4, labelled=(str(tmp_path / "folds"),))
    assert sorted(ids(out)) == ["ct-2", "ct-3", "ct-4", "ct-5"]
    words = ("ct-0", *(str(tmp_path / name) for name in ("ids.csv", "images.csv", "run")))
    for method in ("random", "typiclust", "k-centre"):
        out = asked(made / "vectors", tmp_path / "next.csv", cases=2, method=method, labelled=words)
        assert sorted(ids(out)) == ["ct-4", "ct-5"]
    with pytest.raises(DataError, match="3 cases wanted of 2 without labels"):
        asked(made / "vectors", tmp_path / "next.csv", cases=3, labelled=words)
    with pytest.raises(DataError, match="ct-9: is neither a table nor the id of an embedding, as ct-0"):
        asked(made / "vectors", tmp_path / "next.csv", labelled=("ct-9",))
    said = {"ct-0": "yes", "ct-1": "", "ct-2": "NA", "ct-3": "nan"}
    half = [{"id": id_, "why": "x", "tumour": tumour} for id_, tumour in said.items()]
    write_table(tmp_path / "half.csv", ("id", "why", "tumour"), half)
    out = asked(made / "vectors", tmp_path / "rest.csv", cases=5, labelled=(str(tmp_path / "half.csv"),))
    assert sorted(ids(out)) == ["ct-1", "ct-2", "ct-3", "ct-4", "ct-5"]
    write_table(tmp_path / "all.csv", ("id",), [{"id": f"ct-{number}"} for number in range(NUM)])
    with pytest.raises(DataError, match="every case has a label already"):
        asked(made / "vectors", tmp_path / "next.csv", labelled=(str(tmp_path / "all.csv"),))
    write_table(tmp_path / "strange.csv", ("id",), [{"id": "other"}])
    with pytest.raises(DataError, match=r"is a folder without cases.csv, and no run; give a table"):
        asked(made / "vectors", tmp_path / "next.csv", labelled=(str(made / "scans"),))
    with pytest.raises(DataError, match="none of its cases is among the embeddings"):
        asked(made / "vectors", tmp_path / "next.csv", labelled=(str(tmp_path / "strange.csv"),))


def test_masks_are_asked_for_from_every_side(made: Path, tmp_path: Path) -> None:
    """By a network at random: entropy and spread of eight mirror images, equal to a computation by hand."""
    torch.manual_seed(0)
    network = UNet3D(1, 3, width=2).eval()
    run = make_run(tmp_path / "run", network, target=ORGANS, patch=(SIDE,) * 3, reading=Reading(Window()))
    unsure, torn = {}, {}
    for number in range(NUM):
        with torch.no_grad():
            views = [network(seen(made, number).flip(axes)).softmax(1).flip(axes)[0] for axes in flips()]
        p = torch.stack(views).flatten(2).double().numpy()
        mean = p.mean(axis=0)
        unsure[f"ct-{number}"] = float(-(mean * np.log(mean)).sum(axis=0).mean())
        torn[f"ct-{number}"] = Spread().score(Answers(p, same_places=True))
    for method, scores in (("uncertainty", unsure), ("spread", torn)):
        out = asked(made / "vectors", tmp_path / f"{method}.csv", cases=NUM, method=method, run=(run,))
        assert ids(out) == sorted(scores, key=lambda id_: -scores[id_])
        found = {row["id"]: float(row["score"]) for row in read_rows(out)}
        assert found == pytest.approx(scores, rel=1e-3)


def test_class_of_a_case_that_one_patch_shows_whole_is_asked_for_moved_and_mirrored(made: Path, tmp_path: Path) -> None:
    """Nine places of eight mirror images each; two classes by the mean of what is bright."""
    network = mean_classifier(0.0, 2.0)
    target = Classification((Label("dark"), Label("bright")))
    run = make_run(tmp_path / "run", network, target=target, patch=(SIDE,) * 3, reading=Reading(Window()))
    scores = {}
    for number in range(NUM):
        whole = seen(made, number)
        padded = torch.nn.functional.pad(whole, (1,) * 6)
        shown = [whole] + [
            padded[:, :, x : x + SIDE, y : y + SIDE, z : z + SIDE] for x, y, z in itertools.product((0, 2), repeat=3)
        ]
        with torch.no_grad():
            p = torch.cat([network(one.flip(axes)).softmax(1) for one in shown for axes in flips()])
        assert p.shape == (72, 2)
        scores[f"ct-{number}"] = Spread().score(Answers(p.double().numpy()[:, :, None]))
    out = asked(made / "vectors", tmp_path / "next.csv", cases=NUM, method="spread", run=(run,))
    found = {row["id"]: float(row["score"]) for row in read_rows(out)}
    assert found == pytest.approx(scores, rel=1e-3)
    assert ids(out) == sorted(scores, key=lambda id_: -scores[id_])


def test_what_cannot_be_is_refused_with_a_remedy(made: Path, tmp_path: Path) -> None:
    """A method that asks without a network, a table that is another's, arguments in the wrong order, numbers."""
    with pytest.raises(DataError, match="--method spread asks a fine-tuned network; give it by --run"):
        asked(made / "vectors", tmp_path / "next.csv", method="spread")
    target = Regression((Label("age"),))
    run = make_run(tmp_path / "run", mean_classifier(1.0), target=target, reading=Reading(Window()))
    with pytest.raises(DataError, match="--method random asks no network; leave --run out"):
        asked(made / "vectors", tmp_path / "next.csv", method="random", run=(run,))
    with pytest.raises(DataError, match="a regression gives no probabilities"):
        asked(made / "vectors", tmp_path / "next.csv", method="uncertainty", run=(run,))
    write_table(tmp_path / "labels.csv", ("id", "label"), [{"id": "ct-1", "label": "x"}])
    for wrong in (tmp_path / "labels.csv", tmp_path / "folder"):
        with pytest.raises(DataError, match="that genesis choose did not write; give it a new name"):
            asked(made / "vectors", wrong)
    with pytest.raises(DataError, match="the order is genesis choose EMBEDDINGS TABLE"):
        asked(tmp_path / "next.csv", made / "vectors")
    with pytest.raises(ValueError, match=r"no 'nearest' in choosing\.strategies; there are: k_centre, random, spread"):
        asked(made / "vectors", tmp_path / "next.csv", method="nearest")


def test_scan_that_cannot_be_read_costs_itself_alone(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told with its remedy, and the others are ranked."""
    (tmp_path / "scans").mkdir()
    for number in range(3):
        image = sitk.ReadImage(made / "scans" / f"ct-{number}.nii.gz")
        sitk.WriteImage(image, tmp_path / "scans" / f"ct-{number}.nii.gz")
    mg.embed("raw", tmp_path / "scans", tmp_path / "vectors", modality="CT", quiet=True)
    (tmp_path / "scans" / "ct-1.nii.gz").write_bytes(b"broken")
    run = make_run(tmp_path / "run", reading=Reading(Window()))
    table = functools.partial(mg.choose, tmp_path / "vectors", method="uncertainty", run=(run,), accelerator="cpu")
    out = table(tmp_path / "next.csv", cases=2)
    assert sorted(ids(out)) == ["ct-0", "ct-2"]
    assert "ct-1.nii.gz" in capsys.readouterr().err
    with pytest.raises(DataError, match="3 cases wanted, and only 2 could be read; ask for fewer"):
        table(tmp_path / "more.csv", cases=3)
