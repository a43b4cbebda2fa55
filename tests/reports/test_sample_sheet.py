"""genesis show: what the network saw, as a radiologist looks at it."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.image import imread

import modelsgenesis as mg
from modelsgenesis import deformations
from modelsgenesis.commands.show import show
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import describe
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.stream import CubeStream
from modelsgenesis.data.store.store import Store
from modelsgenesis.deformations.flip import flipped_axes
from modelsgenesis.figures.sheet import Panel
from modelsgenesis.recipes import any as any_recipe
from modelsgenesis.recipes import small
from modelsgenesis.recipes.recipe import build_learner, split
from modelsgenesis.reports.replay import clearest_sample, detail, interest, replay, settings
from modelsgenesis.reports.sample_sheet import display_of, gallery, legible, locate


def sampler_of(store, recipe):
    """The sampler that training uses."""
    return CubeSampler(store, recipe.cubes, split(store, recipe)[0])


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_shown_sample_is_what_training_draws(small_store, tiny_recipe, number):
    """Sample k of the training stream and sample k of show are the same voxels, but for the flips that show undoes."""
    store = Store.open(small_store)
    sampler = sampler_of(store, tiny_recipe)
    drawn = CubeStream(sampler, build_learner(tiny_recipe, store, 5).views, seed=5)[number]
    seen = replay(store, tiny_recipe, sampler, sample=number, seed=5, run=None)
    assert np.array_equal(seen.original, seen.cube.image)
    flips = [axes for count in range(4) for axes in itertools.combinations((1, 2, 3), count)]
    same = [axes for axes in flips if np.array_equal(np.flip(seen.deformed, axes), drawn["deformed"].numpy())]
    assert same
    assert any(np.array_equal(np.flip(seen.original, axes), drawn["original"].numpy()) for axes in same)


def test_flips_are_found():
    """Every combination of flipped axes is recognised; an unrelated image counts as not flipped."""
    image = np.random.default_rng(0).random((1, 4, 5, 6))
    for axes in ((), (1,), (3,), (1, 2), (1, 2, 3)):
        assert flipped_axes(image, np.flip(image, axes)) == axes
    assert flipped_axes(image, 1 - image) == ()


def test_sheet_with_a_run_also_shows_the_restoration(small_store, tiny_recipe, tiny_run, tmp_path):
    """With --run two more columns are drawn, and the file is the same when drawn again."""
    without = show(tiny_recipe, small_store, tmp_path / "a.png")
    with_run = show(tiny_recipe, small_store, tmp_path / "b.png", run=tiny_run)
    assert imread(with_run).shape[1] - imread(without).shape[1] == pytest.approx(2 * 1.61 * 130, abs=3)
    again = show(tiny_recipe, small_store, tmp_path / "c.png", run=tiny_run)
    assert again.read_bytes() == with_run.read_bytes()


def test_run_of_the_same_recipe_gives_its_own_settings(tiny_recipe, tiny_run):
    """The run's cube size, width and seed are taken, unless a seed is given or the recipe has another name."""
    recipe, seed = settings("small", tiny_run, None)
    assert recipe.cubes.size == (16, 16, 16)
    assert recipe.backbone_args["width"] == 2
    assert seed == 3
    assert settings("small", tiny_run, 9)[1] == 9
    assert settings("chest-ct", tiny_run, None)[0].cubes.size == (64, 64, 32)
    assert settings("small", None, None)[1] == 0


def test_gallery_shows_every_deformation(small_store, tiny_recipe, tmp_path):
    """The list is a picture of all members, the paper's four among them."""
    first = ["local_shuffling", "non_linear", "out_painting", "in_painting", "genesis"]
    assert [*gallery()][:5] == first
    assert gallery().keys() == deformations.gallery().keys()
    drawn = show(tiny_recipe, small_store, tmp_path / "list.png", list=True)
    assert imread(drawn).shape[0] > 200


def test_locator_holds_sections_through_the_cube(small_store, tiny_recipe):
    """The three sections are thin, of the whole scan, and agree with the cube where they cut it."""
    store = Store.open(small_store)
    cube = sampler_of(store, tiny_recipe).sample(generator_for(0, 0))
    locator = locate(store, tiny_recipe, cube)
    assert [section.shape for section in locator.sections] == [(40, 44, 1), (40, 1, 36), (1, 44, 36)]
    (x, y, _), inside = cube.lower, cube.image[0]
    axial = locator.sections[0][x : x + 16, y : y + 16, 0]
    assert np.array_equal(axial, inside[:, :, 8])


def test_window_is_chosen_by_content_or_by_name(tiny_recipe):
    """CT gets a window that is named in words; other images get the recipe's range, and refuse a window."""
    soft = np.full((4, 4, 4), 0.52)
    assert display_of(tiny_recipe, soft, None)[1].startswith("soft tissue window, −160 to 240 HU")
    assert display_of(tiny_recipe, soft, "lung")[1].startswith("lung window")
    assert display_of(any_recipe(), soft, None)[0] == (0.0, 1.0)
    with pytest.raises(DataError, match="no window 'bone'"):
        display_of(tiny_recipe, soft, "bone")
    with pytest.raises(DataError, match="no Hounsfield units"):
        display_of(any_recipe(), soft, "lung")


def test_drowned_panels_are_shown_over_the_full_range():
    """A panel that a deformation pushed out of the window says that it is shown in full."""
    original, bright = np.full((4, 4, 4), 0.1), np.full((4, 4, 4), 0.9)
    shown = legible(Panel("non-linear", bright, note="alone"), original, (0.0, 0.5))
    assert shown.display == (0.0, 1.0)
    assert (shown.note, shown.mark) == ("alone", "full range")
    assert legible(Panel("same", original), original, (0.0, 0.5)).display is None


def test_clearest_sample_has_the_most_to_see(small_store, tiny_recipe):
    """No other of the samples looked at is of more interest."""
    store = Store.open(small_store)
    sampler = sampler_of(store, tiny_recipe)
    scores = [interest(sampler.sample(generator_for(0, k, "train")).image) for k in range(6)]
    assert clearest_sample(tiny_recipe, small_store, among=6) == scores.index(max(scores))


def test_lung_with_vessels_is_of_more_interest_than_a_chest_wall():
    """A cube within the body beats one that is half air, however sharp its edge; and texture beats flat tissue."""
    rng = np.random.default_rng(0)
    wall = np.zeros((1, 16, 16, 16))
    wall[:, 8:] = 0.52 + 0.05 * rng.random((1, 8, 16, 16))
    lung = np.full((1, 16, 16, 16), 0.07)
    lung[:, 12:] = 0.52
    vessels = np.where(rng.random(lung.shape) < 0.02, 0.5, lung)
    assert interest(vessels) > interest(lung) > interest(wall)
    assert interest(np.zeros((1, 4, 4, 4))) == (False, 0.0)
    assert detail(np.zeros((1, 4, 4, 4))) == 0


def test_show_is_public(small_store, tiny_recipe, tmp_path):
    """mg.show makes the folder that its picture goes to."""
    assert mg.show(tiny_recipe, small_store, tmp_path / "new" / "sheet.png", sample=1).is_file()


def test_run_of_something_else_is_refused(small_store, tmp_path):
    """A recipe.json without a recipe is no run's, whatever else the folder holds."""
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(DataError, match="not the settings of a run"):
        show("small", small_store, tmp_path / "a.png", run=tmp_path)
    recipe = describe(small())
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {**recipe, "flavour": 1}, "seed": 0}))
    with pytest.raises(DataError, match="not a recipe of this version"):
        settings("small", tmp_path, None)


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "sheet.pdf"])
def test_pictures_are_png_only(small_store, tiny_recipe, tmp_path, name):
    """A name that promises another format is refused, and nothing is written."""
    with pytest.raises(DataError, match=f"ends in .png, got {name}"):
        show(tiny_recipe, small_store, tmp_path / name)
    assert not any(tmp_path.iterdir())
