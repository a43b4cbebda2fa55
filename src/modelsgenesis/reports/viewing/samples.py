"""Scenes of what a network saw: a sample of training and its restoration, and places found again in other patients."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis import deformations
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.store.store import Store
from modelsgenesis.figures.planes import middle_channel
from modelsgenesis.figures.viewer import LabelEntry, Layer, Pane, Scene
from modelsgenesis.figures.windows import WINDOWS_HU, ct_display, ct_window
from modelsgenesis.methods.popar import POPAR
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes.recipe import split
from modelsgenesis.reports.correspondence import Found, corresponding
from modelsgenesis.reports.replay import clearest_sample, recipe_of, replay, settings
from modelsgenesis.reports.sample_sheet import ALONE, GENESIS, words

UNIT = "grey value in [0, 1]"
WHOLE = "whole range, 0 to 1"

Array = NDArray[np.float32]


def sample_scenes(
    folder: Path, *, recipe: str | None, run: Path | None, sample: int | None, seed: int | None
) -> tuple[list[Scene], int]:
    """The scene of a sample of training; of popar and peac with a run, that of places found again.

    Args:
        folder: of the store.
        recipe: by name; by default that of the run.
        run: whose network restores the sample, or finds places again.
        sample: its number; by default the clearest of the first ones.
        seed: of the run; by default its own, or 0.
    Raises:
        DataError: neither a run nor a recipe is given, or the method restores nothing.
    """
    named: Recipe | str | None = recipe or (None if run is None else recipe_of(run))
    if named is None:
        raise DataError(f"{folder} is a store: say with --run which network's samples are wanted, or with --recipe")
    store = Store.open(folder)
    chosen, seed = settings(named, run, seed)
    if run is not None and issubclass(find_class("methods", chosen.method, Learner), POPAR):
        return correspondence_scenes(store, chosen, run, sample or 0)
    number = clearest_sample(chosen, folder, run=run, seed=seed) if sample is None else sample
    seen = replay(store, chosen, CubeSampler(store, chosen.cubes, split(store, chosen)[0]), sample=number, seed=seed,
                  run=run)  # fmt: skip
    channel, said = middle_channel(seen.original), nouns(store.axes)
    affine = placed(seen.cube.scan.spacing_mm, seen.cube.lower)
    original = seen.original[channel]
    panes = [pane("original", original, affine)]
    for name in ALONE if chosen.method == GENESIS else ():
        alone = deformations.genesis(arm=name)(seen.original, generator_for(seed, number, f"show {name}"))
        panes.append(pane(f"{words(name)}, alone", alone[channel], affine))
    panes.append(pane("what the network saw", seen.deformed[channel], affine))
    notes = [
        f"{said.scan.capitalize()} {seen.cube.scan.id[:12]}; grey values in [0, 1]; places in mm from the first "
        f"{said.voxel} of the {said.scan}, flips undone."
    ]
    if seen.restored is not None:
        restored = seen.restored[channel]
        panes += [pane("restoration", restored, affine), error_pane(restored - original, affine)]
        notes.append(errors_in_words(restored, seen.deformed[channel], original))
    title = f"sample {number} of seed {seed}, recipe {chosen.name}"
    return [Scene(title, tuple(panes), windows_of(chosen, original), " ".join(notes))], 1


def pane(title: str, values: Array, affine: NDArray[np.float64]) -> Pane:
    """A pane of grey values in [0, 1]."""
    return Pane(title, np.ascontiguousarray(values), affine, unit=UNIT)


def error_pane(error: Array, affine: NDArray[np.float64]) -> Pane:
    """A pane of differences: blue where the restoration is too dark, red where too bright."""
    widest = max(float(np.abs(error).max()), 1e-3)
    limits = (-widest, widest)
    return Pane(
        "restoration less original", error, affine, display=limits, diverging=True, unit="of grey values in [0, 1]"
    )


def errors_in_words(restored: Array, deformed: Array, original: Array) -> str:
    """The mean squared error, beside those of two ways to know nothing."""
    error, unchanged, flat = (
        float(np.mean((each - original) ** 2)) for each in (restored, deformed, np.full_like(original, original.mean()))
    )
    return (
        f"Mean squared error of the restoration {error:.4f}; of what the network saw, left as it is, {unchanged:.4f}; "
        f"of the mean grey value everywhere {flat:.4f}."
    )


def placed(spacing_mm: tuple[float, ...], lower: tuple[int, ...]) -> NDArray[np.float64]:
    """From a voxel of a cube to mm from the first voxel of its scan, (4, 4)."""
    affine = np.eye(4)
    axes = len(spacing_mm)
    affine[:axes, :axes] = np.diag(spacing_mm)
    affine[:axes, 3] = np.array(lower) * np.array(spacing_mm)
    return affine


def windows_of(recipe: Recipe, values: Array) -> dict[str, tuple[float, float]]:
    """The whole range first, in which all deformations can be seen; of a CT then the windows of its reader."""
    intensity = recipe.cubes.intensity
    if not isinstance(intensity, Window):
        return {WHOLE: (0.0, 1.0)}
    limits = (intensity.low_hu, intensity.high_hu)
    best = ct_window(values, limits)
    return {WHOLE: (0.0, 1.0), **{name: ct_display(name, limits) for name in (best, *WINDOWS_HU)}}


def correspondence_scenes(store: Store, recipe: Recipe, run: Path, sample: int) -> tuple[list[Scene], int]:
    """Cells of one held-out image, and for each the most similar cell of several other patients, one colour a place."""
    found = corresponding(store, recipe, run, sample)
    panes = tuple(found_pane(one, recipe) for one in found)
    others = many(len(found) - 1, "other patient")
    note = f"One colour is one place, found in {others} by the nearest cell; grey values in [0, 1]."
    image = panes[0].values
    oriented = image.ndim == 3
    return [Scene(f"places found again: {recipe.method}", panes, windows_of(recipe, image), note, oriented, False)], 1


def found_pane(found: Found, recipe: Recipe) -> Pane:
    """An image with the cells that were asked about, or found."""
    image = found.image[middle_channel(found.image)]
    classes = np.zeros(image.shape, np.uint8)
    entries = []
    for number, (lower, alike, colour) in enumerate(found.cells, 1):
        box = tuple(slice(max(0, int(low)), int(low) + found.side) for low in lower)
        classes[box] = number
        entries.append(
            LabelEntry(number, f"place {number}", colour, "asked" if alike is None else f"alike {alike:.2f}")
        )
    affine = placed(found.spacing_mm, (0,) * image.ndim)
    middle = tuple(int(low) + found.side // 2 for low in found.cells[0][0])
    return Pane(found.title, image, affine, (Layer(classes, tuple(entries)),), unit=UNIT, at=middle)
