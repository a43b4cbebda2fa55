"""A sample of training made again: what the network saw, with the settings of the run that it is of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_object
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.learner import Sample as Views
from modelsgenesis.core.naming import check_imported, load_module, rebuild
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import Cube, CubeSampler
from modelsgenesis.data.sampling.stream import as_tensor, collate
from modelsgenesis.data.store.store import Store
from modelsgenesis.deformations.flip import flipped_axes
from modelsgenesis.figures.planes import Array
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.recipes.recipe import build_learner, make_learner, split
from modelsgenesis.weights.loading import load_backbone

EMPTY, LITTLE = 0.01, 0.05  # of the range, as the air around a patient; of the voxels
SETTINGS = {"name", "cubes", "plan", "backbone", "backbone_args", "method"}  # of every run's recipe
STREAM = "train"  # the name under which pretrain draws its samples


@dataclass(frozen=True)
class Sample:
    """The network's views of one sample, turned back to how the patient lies.

    Attributes:
        cube: as it was cut.
        original: (C, X, Y, Z), the target.
        deformed: what the network saw.
        restored: what the network predicted, or None without a run.
    """

    cube: Cube
    original: Array
    deformed: Array
    restored: Array | None


def clearest_sample(
    recipe: Recipe | str, store: str | Path, *, run: str | Path | None = None, seed: int | None = None, among: int = 16
) -> int:
    """The sample of the first few with the most to see, such as lung, its vessels and some wall.

    Args:
        recipe: as for `show`.
        store: made by prepare.
        run: as for `show`.
        seed: as for `show`.
        among: how many samples are looked at.
    """
    scans = Store.open(store)
    recipe, seed = settings(recipe, run, seed)
    sampler = CubeSampler(scans, recipe.cubes, split(scans, recipe)[0])
    return max(range(among), key=lambda number: interest(sampler.sample(generator_for(seed, number, STREAM)).image))


def interest(image: Array) -> tuple[bool, float]:
    """Rate how much there is to see: first that little of it is empty, then fine detail in dark and bright."""
    return bool(np.mean(image <= EMPTY) < LITTLE), detail(image) * float(image.std())


def detail(image: Array) -> float:
    """The mean absolute difference between neighbours along all axes of space."""
    return float(np.mean([np.abs(np.diff(image, axis=axis)).mean() for axis in range(1, image.ndim)]))


def settings(recipe: Recipe | str, run: str | Path | None, seed: int | None) -> tuple[Recipe, int]:
    """The recipe and the seed, those of the run when it was made with a recipe of this name."""
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if run is None or not (Path(run) / "recipe.json").is_file():
        return recipe, seed or 0
    made = settings_of(Path(run))
    for name in (recipe.method, recipe.backbone):  # by the user's word
        if ":" in name:
            load_module(name.partition(":")[0])
    own = recipe_of(Path(run))
    return own if own.name == recipe.name else recipe, int(made["seed"]) if seed is None else seed


def settings_of(run: Path) -> dict[str, Any]:
    """Read the settings of a run from its recipe.json.

    Raises:
        DataError: the folder is no run of pretrain.
    """
    if not (run / "recipe.json").is_file():
        raise DataError(f"{run} is no run of `genesis pretrain` (it has no recipe.json); give the folder of a run")
    made: dict[str, Any] = read_object(run / "recipe.json")
    recipe = made.get("recipe") if isinstance(made, dict) else None
    if not isinstance(recipe, dict) or not recipe.keys() >= SETTINGS or not isinstance(made.get("seed"), int):
        raise DataError(
            f"{run / 'recipe.json'}: not the settings of a run; give the folder of a run of genesis pretrain"
        )
    return made


def recipe_of(run: Path) -> Recipe:
    """Read the recipe of a run from its recipe.json.

    Raises:
        DataError: the folder is no run of pretrain, or of another version.
    """
    with blamed_on(run / "recipe.json", DataError, "not a recipe of this version"):
        recipe = rebuild(settings_of(run)["recipe"])
    if not isinstance(recipe, Recipe):
        raise DataError(f"{run / 'recipe.json'}: holds no recipe; give the folder of a run of genesis pretrain")
    for name in (recipe.method, recipe.backbone):
        check_imported(name, run / "recipe.json")
    return recipe


def replay(
    store: Store, recipe: Recipe, sampler: CubeSampler, *, sample: int, seed: int, run: str | Path | None
) -> Sample:
    """Make a sample again as training made it, and restore it if there is a run.

    Raises:
        DataError: the recipe's method restores nothing.
    """
    rng = generator_for(seed, sample, STREAM)
    cube = sampler.sample(rng)
    learner = build_learner(recipe, store, seed)
    if run is not None:
        learner = make_learner(recipe, load_backbone(run))
    if not learner.restores:
        raise DataError(
            f"the method {recipe.method} restores nothing, so there is no restoration to draw; "
            "genesis report shows how accurate a run of it is"
        )
    views = learner.views({"image": cube.image}, rng)
    original, deformed = views["original"], views["deformed"]
    restored = None if run is None else restore(learner, views)
    axes = flipped_axes(cube.image, original)
    upright = [None if view is None else np.flip(view, axes) for view in (original, deformed, restored)]
    return Sample(cube, *upright)  # type: ignore[arg-type]


def restore(learner: Learner, views: Views) -> Array:
    """The network's prediction for the views of one sample, (C, X, Y, Z)."""
    learner.eval()
    with torch.no_grad():
        predicted = learner.predict(collate([{name: as_tensor(view) for name, view in views.items()}]))
    restored: Array = predicted[0].float().numpy()
    return restored
