"""genesis show of PEAC: both views with their cells, and places of one patient found in others."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.store.store import Store
from modelsgenesis.methods.base.cell_grid import CellGrid
from modelsgenesis.methods.peac import PEAC
from modelsgenesis.recipes import Recipe, small_2d
from modelsgenesis.recipes.recipe import build_learner, make_learner, split
from modelsgenesis.reports.correspondence import centred, embed, errors, nearest
from modelsgenesis.reports.known_landmarks import read_landmarks
from modelsgenesis.reports.view_sheet import cells_of, middle_layer, offset_of, section
from modelsgenesis.reports.viewing.samples import sample_scenes
from modelsgenesis.weights.loading import load_backbone

CELL, PATIENTS, FACTOR = 8, 6, 2  # pixels, pictures, and how many pixels of the file are one of the store


def picture(number: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture (rows, columns) of low noise with a bright disc, and its middle, (x, y), in pixels of the file."""
    rng = generator_for(3, number, "disc")
    x, y = (int(place) for place in rng.integers(50, 110, 2))
    rows, columns = np.meshgrid(np.arange(144), np.arange(160), indexing="ij")
    values = 60 + rng.normal(0, 4, rows.shape) + 180 * ((rows - y) ** 2 + (columns - x) ** 2 < 14**2)
    return values.clip(0, 255).astype(np.uint8), (x, y)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a table of where their discs lie, and a store at half their size."""
    folder = tmp_path_factory.mktemp("discs")
    rows = ["image,disc_x,disc_y"]
    for number in range(PATIENTS):
        values, (x, y) = picture(number)
        (folder / "pictures").mkdir(exist_ok=True)
        Image.fromarray(values).save(folder / "pictures" / f"{number}.png")
        rows.append(f"pictures/{number}.png,{x},{y}")
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    mg.prepare(
        folder / "pictures", folder / "store", longest_side=160 // FACTOR, folds=2, salt="discs", workers=0, quiet=True
    )
    return folder


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """PEAC of a tiny U-Net, views of 6 x 6 cells of 8 pixels; half of the patients are held out."""
    cells = {"cell": CELL, "spare": 1, "expander": 8, "local_expander": 8}
    plan = {"steps": 2, "batch_size": 2, "val_cubes": 2, "validate_every": 2, "warmup_steps": 1, "precision": "32-true"}
    made = small_2d().but(method="peac", method_args=cells, cubes={"size": (56, 56)}, plan=plan)
    return made.but(backbone_args={"width": 4, "norm": "instance"}, folds={"val_folds": (0,)})


def test_offsets_are_found_again() -> None:
    """A view says where it was cut; a volume is drawn in the layer in the middle of what both views show."""
    grid = CellGrid((24, 32, 40), 8, 1)
    image = generator_for(0, 0).random((1, 24, 32, 40), dtype=np.float32)
    offset = np.array([1, 0, 1])
    assert offset_of(grid, image, grid.cut(image, offset)).tolist() == [1, 0, 1]
    shared = np.flatnonzero(grid.matches(np.array([0, 0, 1]), np.array([0, 0, 0])) >= 0)
    assert middle_layer(grid, shared).tolist() == [1]
    plane = section(image, (1.0, 1.0, 1.0), [np.array([17])])
    assert np.array_equal(plane.picture, image[0, :, :, 17].T)


def test_numbers_of_cells_name_one_place(folder: Path, recipe: Recipe) -> None:
    """A number stands, in both views, over the same pixels of the image, and on every cell that both show."""
    store = Store.open(folder / "store")
    sampler = CubeSampler(store, recipe.cubes, split(store, recipe)[0])
    learner = build_learner(recipe, store, 0)
    assert isinstance(learner, PEAC)
    rng = generator_for(0, 3, "train")
    views = learner.views({"image": sampler.sample(rng).image}, rng)
    shared = np.flatnonzero(views["match"] >= 0)
    numbers = {int(cell): number for number, cell in enumerate(shared, 1)}
    twins = {int(views["match"][cell]): number for cell, number in numbers.items()}
    seen = {}
    for name, known in (("original", numbers), ("second", twins)):
        for cell in cells_of(learner.grid, known, len(shared), np.zeros(0, int)):
            x, y = (int(low) for low in cell.corner)
            seen.setdefault(cell.words, []).append(views[name][0, x : x + CELL, y : y + CELL])
    assert len(seen) - ("" in seen) == len(shared)
    assert all(np.array_equal(*pair) for words, pair in seen.items() if words)


def test_landmarks_are_read_in_pixels_of_the_file(folder: Path) -> None:
    """The store has half as many pixels: a disc lies where the store's own picture is bright."""
    store = Store.open(folder / "store")
    known = read_landmarks(folder / "points.csv", store)
    assert len(known) == PATIENTS
    for scan in store.scans:
        bright = np.argwhere(store.read(scan, (0, 0), scan.size)[0] > 150)
        np.testing.assert_allclose(known[scan.id]["disc"], bright.mean(axis=0), atol=0.6)


def test_a_disc_is_found_in_other_patients(folder: Path, recipe: Recipe) -> None:
    """By any network that sees it, trained or not; the errors are in pixels of the file, chance's far above."""
    store = Store.open(folder / "store")
    known = read_landmarks(folder / "points.csv", store)
    learner = build_learner(recipe, store, 0).eval()
    assert isinstance(learner, PEAC)
    found = centred([embed(store, recipe, learner, scan, known[scan.id]) for scan in store.scans])
    assert all(one.vectors.shape[:2] == (80 // CELL, 72 // CELL) for one in found)
    np.testing.assert_allclose(np.linalg.norm(found[0].vectors, axis=-1), 1, rtol=1e-5)
    rows = errors(found, CELL)
    assert len(rows) == PATIENTS * (PATIENTS - 1)
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("error", "best_possible", "chance")}
    assert means["best_possible"] <= means["error"] < 0.5 * means["chance"]
    assert 30 < means["chance"] < 100  # of a picture of 160 x 144
    assert all(row["best_possible"] <= CELL * FACTOR / 2**0.5 + 0.1 for row in rows)


def test_views_lie_over_the_whole_picture_and_agree_where_they_overlap(folder: Path, recipe: Recipe) -> None:
    """Every cell has a vector; of a picture as large as a view they are the network's own."""
    store = Store.open(folder / "store")
    whole = recipe.but(method_args={"spare": 0}, cubes={"size": (80, 72)})
    learner = build_learner(whole, store, 0).eval()
    assert isinstance(learner, PEAC)
    scan = store.scans[0]
    one = embed(store, whole, learner, scan, {})
    image = torch.from_numpy(store.read_scaled(scan, (0, 0), scan.size, whole.cubes.intensity))
    with torch.no_grad():
        tokens = learner.tokens(image[None])[0]
    ours = torch.from_numpy(one.vectors).flatten(0, 1)
    torch.testing.assert_close(ours, torch.nn.functional.normalize(tokens, dim=-1), rtol=0, atol=1e-5)
    place, alike = nearest(one.vectors[2, 3], one)
    assert (place.tolist(), round(alike, 4)) == ([2, 3], 1.0)


def check_viewer(store: Path, run: Path, recipe: Recipe, folder: Path) -> None:
    """The viewer marks, in every held-out picture, the cell that is most alike each one that is asked about."""
    (scene,), _ = sample_scenes(store, recipe=None, run=run, sample=0, seed=None)
    learner = make_learner(recipe, load_backbone(run)).eval()
    assert isinstance(learner, PEAC)
    scans = {scan.id[:12]: scan for scan in split(Store.open(store), recipe)[1]}
    shown = [scans[pane.title.split()[-1]] for pane in scene.panes]
    embedded = centred([embed(Store.open(store), recipe, learner, scan, {}) for scan in shown])
    asked = scene.panes[0].layers[0]
    for pane, one in zip(scene.panes[1:], embedded[1:], strict=True):
        for label in asked.labels:
            corner = np.argwhere(asked.classes == label.value).min(axis=0)
            cell = ((corner - embedded[0].first) // CELL).tolist()
            best, _ = nearest(embedded[0].vectors[tuple(cell)], one)
            low = one.first + CELL * best
            assert (pane.layers[0].classes[tuple(low + CELL // 2)] > 0).all()
            assert pane.layers[0].labels[label.value - 1].size.startswith("alike ")
    mg.view(store, folder / "scroll.html", run=run)
    assert "places found again: peac" in (folder / "scroll.html").read_text(encoding="utf-8")


def test_show_draws_both_pictures(folder: Path, recipe: Recipe, tmp_path: Path) -> None:
    """Views without a run; with one, the places, and beside them a table of the errors that the landmarks allow."""
    store = folder / "store"
    run = mg.pretrain(recipe, store, tmp_path / "run")
    sheets = [mg.show(recipe, store, tmp_path / f"{name}.png", **given) for name, given in (
        ("views", {}), ("other", {"sample": 1}), ("places", {"run": run}),
        ("known", {"run": run, "landmarks": folder / "points.csv"}),
    )]  # fmt: skip
    assert len({sheet.read_bytes() for sheet in sheets}) == 4
    rows = list(csv.DictReader((tmp_path / "known.csv").read_text().splitlines()))
    held_out = split(Store.open(store), recipe)[1]
    assert {row["asked"] for row in rows} == {scan.id for scan in held_out}
    page = mg.report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Both views of one sample" in page
    assert "found again" in page
    from_here = [os.path.relpath(path, tmp_path) for path in (store, run)]
    assert f"genesis view {from_here[0]} view.html --run {from_here[1]}" in page
    check_viewer(store, run, recipe, tmp_path)
    popar = recipe.but(method="popar", method_args={"cell": CELL, "spare": 1})
    other = mg.pretrain(popar, store, tmp_path / "popar")
    found = mg.show(popar, store, tmp_path / "popar.png", run=other, landmarks=folder / "points.csv")
    assert found.with_suffix(".csv").is_file()  # no restoration by layers that the run does not keep
    with pytest.raises(DataError, match="give such a run with --run"):
        mg.show(recipe, store, tmp_path / "none.png", landmarks=folder / "points.csv")


def test_views_of_volumes_are_drawn(small_store: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    """In the layer that both show; and places are found again in other patients."""
    recipe = tiny_recipe.but(method="peac", cubes={"size": (24, 24, 24)}, folds={"val_folds": (0, 1, 2, 3, 4)})
    few = [scan.fold for scan in Store.open(small_store).scans]
    recipe = recipe.but(folds={"val_folds": tuple(sorted(set(few))[:-1])})
    assert mg.show(recipe, small_store, tmp_path / "views.png").stat().st_size > 10_000
    run = mg.pretrain(recipe, small_store, tmp_path / "run")
    assert mg.show(recipe, small_store, tmp_path / "places.png", run=run).stat().st_size > 10_000
    with pytest.raises(DataError, match="landmarks are for pictures"):
        mg.show(recipe, small_store, tmp_path / "no.png", run=run, landmarks=tmp_path / "points.csv")


def test_tables_that_name_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    """Columns that are missing, numbers that are none, pictures of elsewhere."""
    store, table = Store.open(folder / "store"), tmp_path / "points.csv"
    picture_of = folder / "pictures" / "0.png"
    for content, words in (
        ("image,x,y\n0.png,1,2\n", "needs the columns image, NAME_x and NAME_y"),
        (f"image,disc_x,disc_y\n{picture_of},left,2\n", "is no number"),
        ("image,disc_x,disc_y\n0.png,1,2\n", "names no picture of"),
    ):
        table.write_text(content)
        with pytest.raises(DataError, match=words):
            read_landmarks(table, store)
