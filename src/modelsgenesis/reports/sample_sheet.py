"""See what the network will see: `genesis show RECIPE STORE PICTURE`."""

import dataclasses
import functools
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from modelsgenesis import deformations
from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.words import nouns
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import Cube, CubeSampler
from modelsgenesis.data.store.store import Scan, Store
from modelsgenesis.figures.drawing import png
from modelsgenesis.figures.gallery import draw_gallery
from modelsgenesis.figures.locator import Locator
from modelsgenesis.figures.planes import Array, channel_in_words, middle_channel
from modelsgenesis.figures.sheet import Panel, draw_sheet
from modelsgenesis.figures.windows import WINDOWS_HU, ct_display, ct_window
from modelsgenesis.methods.peac import PEAC
from modelsgenesis.methods.popar import POPAR
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes.recipe import split
from modelsgenesis.reports.correspondence import draw_correspondence
from modelsgenesis.reports.replay import STREAM, Sample, replay, settings
from modelsgenesis.reports.view_sheet import draw_views

Law = Literal["local_shuffling", "non_linear", "out_painting", "in_painting"]
ALONE: tuple[Law, ...] = get_args(Law)
WORDS = {
    "non_linear": "non-linear",
    "out_painting": "out-painting",
    "in_painting": "in-painting",
    "genesis": "Models Genesis, all together",
}
GENESIS = "genesis"
METHODS = {
    "mae": "Masked auto-encoder",
    "rubiks_cube": "Rubik's cube",
    "denoising": "De-noising",
    "popar": "POPAR",
    "peac": "PEAC",
}
FLIPPED = "flips undone"
DROWNED = 0.3  # share of the voxels pushed out of the display from which a panel is shown over the full range


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """The options of genesis show.

    Args:
        run: The run, made by pretrain, whose network restores the sample.
        sample: The sample's number: sample 12345 shows what the network saw as its 12,345th cube of training.
        seed: The seed of the run; by default the run's own, or 0.
        size: The size of the cubes in voxels, in place of the recipe's.
        rule: The crop rule says where cubes may lie, in place of the recipe's.
        window: The window, lung or soft-tissue, for CT; by default what suits the cube.
        list: All deformations there are are drawn on one whole slice instead.
        landmarks: With popar or peac and a run: a table of known places, image, NAME_x, NAME_y; how far off the cells
            found for them lie is said under the picture, and in a table beside it.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
    """

    run: str | Path | None = None
    sample: int = 0
    seed: int | None = None
    size: tuple[int, ...] | None = None
    rule: str | None = None
    window: str | None = None
    list: bool = False
    landmarks: str | Path | None = None
    cache: Path | None = None
    cache_gib: float = 500.0


def show(recipe: Recipe | str, store: Path, into: Path, options: ShowOptions) -> Path:
    """Draw a sheet of one training sample; `commands.show` describes the arguments and errors."""
    into = png(into)
    scans = Store.open(store)
    recipe, seed = settings(recipe, options.run, options.seed)
    recipe = recipe.but(cubes={"size": options.size, "rule": options.rule})
    sampler = CubeSampler(scans, recipe.cubes, split(scans, recipe)[0])
    sample, window = options.sample, options.window
    if options.list:
        return draw_list(scans, recipe, sampler, into, sample=sample, seed=seed, window=window)
    kind = find_class("methods", recipe.method, Learner)
    if options.landmarks is not None and (options.run is None or not issubclass(kind, POPAR)):
        raise DataError("--landmarks measures what a run of popar or peac finds; give such a run with --run")
    if issubclass(kind, PEAC) or (issubclass(kind, POPAR) and options.run is not None):
        image = sampler.sample(generator_for(seed, sample, STREAM)).image
        display = display_of(recipe, image[middle_channel(image)], window)[0]
        if options.run is not None:  # a run keeps the encoder, not what restores cells
            landmarks = None if options.landmarks is None else Path(options.landmarks)
            run = Path(options.run)
            return draw_correspondence(
                scans, recipe, into, run=run, sample=sample, display=display, landmarks=landmarks
            )
        return draw_views(scans, recipe, sampler, into, sample=sample, seed=seed, display=display)
    seen = replay(scans, recipe, sampler, sample=sample, seed=seed, run=options.run)
    return draw_sample(scans, recipe, seen, into, sample=sample, seed=seed, window=window)


def draw_sample(
    store: Store, recipe: Recipe, seen: Sample, into: Path, *, sample: int, seed: int, window: str | None
) -> Path:
    """Draw the sheet of a sample."""
    shown_channel, said = middle_channel(seen.original), nouns(store.axes)
    original, deformed = seen.original[shown_channel], seen.deformed[shown_channel]
    display, shown = display_of(recipe, original, window)
    panels = [Panel("original", original)]
    for name in ALONE if recipe.method == GENESIS else ():
        alone = deformations.genesis(arm=name)(seen.original, generator_for(seed, sample, f"show {name}"))
        panels.append(legible(Panel(words(name), alone[shown_channel], note="alone"), original, display))
    changed = f"{100 * np.mean(deformed != original):.0f} % of {said.voxel}s changed"
    seen_by_network = Panel("what the network saw", deformed, note="together" if len(panels) > 1 else "")
    panels.append(legible(seen_by_network, original, display))
    panels.append(Panel("difference", deformed - original, "difference", changed))
    if seen.restored is not None:
        restored = seen.restored[shown_channel]
        error, unchanged = np.mean((restored - original) ** 2), np.mean((deformed - original) ** 2)
        panels.append(Panel("restoration", restored, note="what the network predicted"))
        panels.append(Panel("its error", restored - original, "difference",
                            f"MSE {error:.4f}, unrestored {unchanged:.4f}"))  # fmt: skip
    scan = seen.cube.scan
    number = f", slice {seen.cube.index + 1} of {scan.num_images}" if scan.num_images > 1 else ""
    where = f"{said.scan} {scan.id[:12]}{number}, {said.voxel}s {seen.cube.lower} to {upper(seen.cube)} of {scan.size}"
    differences = "difference = deformed − original" + (
        ", error = restoration − original" if seen.restored is not None else ""
    )
    notes = [where + millimetres(scan), shown, FLIPPED * flips(recipe), differences]
    draw = functools.partial(draw_gallery, columns=5, panel_inches=2.6) if store.axes == 2 else draw_sheet
    return draw(
        panels,
        into,
        spacing_mm=scan.spacing_mm,
        display=display,
        title=f"{method_words(recipe.method)}, recipe {recipe.name}: sample {sample} of seed {seed}",
        footnote="; ".join(filter(None, notes)) + channel_in_words(seen.original),
        locator=locate(store, recipe, seen.cube),
    )


def draw_list(
    store: Store, recipe: Recipe, sampler: CubeSampler, into: Path, *, sample: int, seed: int, window: str | None
) -> Path:
    """Draw all deformations on a whole picture, or an axial slice, deformed as part of a slab as deep as the cube."""
    cube = sampler.sample(generator_for(seed, sample, STREAM))
    scan, depth = cube.scan, slice(2, None)
    lower, slab = (0, 0, *cube.lower[depth]), (*scan.size[:2], *recipe.cubes.size[depth])
    picture = store.axes == 2
    drawn = f"whole picture of {scan.size}" if picture else f"axial slice {lower[2] + slab[2] // 2} of {scan.size[2]}"
    image = store.read_scaled(scan, lower, slab, recipe.cubes.intensity, index=cube.index)
    channel = middle_channel(image)
    original = image[channel]
    display, shown = display_of(recipe, original, window)
    panels = [Panel("original", original, note=f"{nouns(store.axes).scan} {scan.id[:12]}")]
    for name, deformation in gallery().items():
        deformed = deformation(image, generator_for(seed, sample, f"list {name}"))
        panels.append(legible(Panel(words(name), deformed[channel], note=summary(deformation)), original, display))
    return draw_gallery(
        panels,
        into,
        spacing_mm=scan.spacing_mm,
        display=display,
        title=f"The deformations there are, each alone on one {'picture' if picture else 'slice'}",
        footnote=f"{drawn}{millimetres(scan)}; {shown}; seed {seed}{channel_in_words(image)}",
    )


def gallery() -> dict[str, Deformation]:
    """Every deformation by name: the paper's four and their recipe, then the others."""
    there = deformations.gallery()
    return {name: there[name] for name in (*ALONE, "genesis")} | there


def flips(recipe: Recipe) -> bool:
    """Whether the recipe's method flips what it sees; those of cells never do."""
    kind = find_class("methods", recipe.method, Learner)
    return not issubclass(kind, POPAR) and bool(recipe.method_args.get("flip_rate", 1))


def locate(store: Store, recipe: Recipe, cube: Cube) -> Locator | None:
    """The whole scan or picture around a cube; None for cubes that came without their scan."""
    scan = cube.scan
    if (scan.num_cubes > 1 and len(scan.size) == 3) or recipe.cubes.size == scan.size:
        return None
    sections = []
    for axis in (2, 1, 0) if len(scan.size) == 3 else (None,):  # axial, coronal, sagittal, or the one there is
        lower, size = [0] * len(scan.size), [*scan.size]
        if axis is not None:
            lower[axis], size[axis] = cube.lower[axis] + recipe.cubes.size[axis] // 2, 1
        image = store.read_scaled(scan, tuple(lower), tuple(size), recipe.cubes.intensity, index=cube.index)
        sections.append(image[middle_channel(image)])
    step = scan.spacing_mm
    lower_mm = tuple(low * mm for low, mm in zip(cube.lower, step, strict=True))
    return Locator(sections, step, lower_mm, tuple(n * mm for n, mm in zip(recipe.cubes.size, step, strict=True)))


def display_of(recipe: Recipe, image: Array, window: str | None) -> tuple[tuple[float, float], str]:
    """The values shown black and white, and the words for them.

    Raises:
        DataError: a window was wanted that does not exist, or for images that are no CT.
    """
    intensity: Any = recipe.cubes.intensity
    if not isinstance(intensity, Window):
        if window is not None:
            raise DataError(
                f"the recipe {recipe.name} has no Hounsfield units, so there is no {window} window; leave it"
            )
        return (0.0, 1.0), "black to white is the recipe's whole range"
    limits = (intensity.low_hu, intensity.high_hu)
    chosen = (window or ct_window(image, limits)).replace("-", " ")
    if chosen not in WINDOWS_HU:
        known = ", ".join(name.replace(" ", "-") for name in WINDOWS_HU)
        raise DataError(f"no window {window!r}; there are: {known}")
    low, high = WINDOWS_HU[chosen]
    return ct_display(chosen, limits), f"{chosen} window, {low:.0f} to {high:.0f} HU".replace("-", "−")


def legible(panel: Panel, original: Array, display: tuple[float, float]) -> Panel:
    """The panel, shown over the full range when the display drowns much more of it than of the original."""
    low, high = display
    drowned, before = (float(np.mean((values < low) | (values > high))) for values in (panel.values, original))
    if drowned < before + DROWNED:
        return panel
    return dataclasses.replace(panel, display=(0.0, 1.0), mark="full range")


def summary(deformation: Deformation) -> str:
    """The first line of a deformation's docstring, broken to the width of a picture."""
    line = (inspect.getdoc(type(deformation)) or "").partition("\n")[0]
    return "\n".join(textwrap.wrap(line.rstrip("."), 38, max_lines=3, placeholder=" ..."))


def words(name: str) -> str:
    """Write a deformation's name in words."""
    return WORDS.get(name, name.replace("_", " "))


def method_words(method: str) -> str:
    """Write a method's name in words."""
    return "Models Genesis" if method == GENESIS else METHODS.get(method, words(method).capitalize())


def upper(cube: Cube) -> tuple[int, ...]:
    """The first voxel behind a cube, on each axis."""
    return tuple(low + side for low, side in zip(cube.lower, cube.image.shape[1:], strict=True))


def millimetres(scan: Scan) -> str:
    """Write a scan's spacing as the end of a line; a picture's is not known."""
    return "" if len(scan.size) == 2 else ", " + " x ".join(f"{mm:.3g}" for mm in scan.spacing_mm) + " mm"
