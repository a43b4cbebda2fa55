"""Two views of one image as PEAC sees them, and which cells are the same: `genesis show peac STORE PICTURE`."""

import itertools
from pathlib import Path

import numpy as np

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.words import nouns
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.store.store import Store
from modelsgenesis.figures.cells import Cell, Marked, draw_marked, hues
from modelsgenesis.figures.drawing import PALE
from modelsgenesis.figures.planes import Array, Plane, channel_in_words, cut_plane, middle_channel, names
from modelsgenesis.methods.base.cell_grid import CellGrid
from modelsgenesis.methods.peac import PEAC
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes.recipe import build_learner
from modelsgenesis.reports.replay import STREAM

FIRST, SECOND = "#ffd84d", "#5cc8ff"
FILL = 0.26


def draw_views(
    store: Store,
    recipe: Recipe,
    sampler: CubeSampler,
    into: Path,
    *,
    sample: int,
    seed: int,
    display: tuple[float, float],
) -> Path:
    """Draw a sample of PEAC as training makes it: where both views lie, their cells, and the disturbed one.

    A cell that both views show has one number and one colour in all pictures, taken from what the losses are given.
    Volumes are drawn in the layer of cells through the middle of what both show.

    Args:
        store: of the images.
        recipe: whose method is PEAC.
        sampler: of its cubes.
        into: the PNG.
        sample: its number.
        seed: of the run.
        display: values shown black and white.
    """
    rng = generator_for(seed, sample, STREAM)
    cube, learner = sampler.sample(rng), build_learner(recipe, store, seed)
    if not isinstance(learner, PEAC):
        raise DataError(f"the method {recipe.method} has one view; this sheet is of peac")
    views, grid, said = learner.views({"image": cube.image}, rng), learner.grid, nouns(store.axes)
    first, second = (offset_of(grid, cube.image, views[name]) for name in ("original", "second"))
    shared = np.flatnonzero(views["match"] >= 0)
    layer = middle_layer(grid, shared)
    deeper = layer + (first - second)[2:]
    numbers = {int(cell): number for number, cell in enumerate(shared, 1)}
    twins = {int(views["match"][cell]): number for cell, number in numbers.items()}
    shown = {int(place): numbers[cell] for place, cell in enumerate(views["order"].tolist()) if cell in numbers}
    whole = Marked(
        f"the {said.cube}, and two views of it",
        section(cube.image, cube.scan.spacing_mm, [(layer + first[2:]) * grid.cell + grid.cell // 2]),
        [frame_of(grid, first, FIRST), frame_of(grid, second, SECOND)],
        f"{said.scan} {cube.scan.id[:12]}; grid of {grid.cell} {said.voxel}s",
    )
    disturbed = "its cells put out of order" if views["shuffled"][0] else "deformed"
    both = f"{len(shared)} of {len(views['match'])} cells in both"
    drawn = [whole]
    for title, name, known, at, note in (
        ("first view (yellow)", "original", numbers, layer, both),
        ("what the student sees of it", "deformed", shown, layer, disturbed),
        ("second view (blue)", "second", twins, deeper, "clean; grey cells are in one view alone"),
    ):
        plane = section(views[name], cube.scan.spacing_mm, [at * grid.cell + grid.cell // 2])
        drawn.append(Marked(title, plane, cells_of(grid, known, len(shared), at), note))
    return draw_marked(
        drawn,
        into,
        display=display,
        title=f"PEAC, recipe {recipe.name}: sample {sample} of seed {seed}",
        footnote="one number, one place in the patient; student and teacher must agree there"
        + channel_in_words(cube.image),
    )


def offset_of(grid: CellGrid, image: Array, view: Array) -> Array:
    """Where a view was cut from an image, in cells."""
    offsets = map(np.array, itertools.product(range(grid.spare + 1), repeat=len(grid.cells)))
    return next(offset for offset in offsets if np.array_equal(grid.cut(image, offset), view))


def middle_layer(grid: CellGrid, shared: Array) -> Array:
    """The layer of cells in the middle of those shared, of a volume: (1,); of a picture: (0,)."""
    if len(grid.cells) == 2:
        return np.zeros(0, int)
    return np.array([int(np.median(np.unravel_index(shared, grid.cells)[2]))])


def section(image: Array, spacing_mm: tuple[float, ...], at: list[Array]) -> Plane:
    """The picture, or the axial slice of a volume at a place along Z, (1,)."""
    channel = image[middle_channel(image)]
    middle = [side // 2 for side in channel.shape]
    meet = (*middle[:2], *(int(z) for place in at for z in place))
    return cut_plane(channel, names(channel.ndim)[0], spacing_mm, meet)


def frame_of(grid: CellGrid, offset: Array, colour: str) -> Cell:
    """The border of a view on the image that it was cut from."""
    (x, y), (wide, tall) = (grid.cell * offset[:2]).tolist(), grid.view_size[:2]
    return Cell((x, y), (wide, tall), colour)


def cells_of(grid: CellGrid, known: dict[int, int], shared: int, layer: Array) -> list[Cell]:
    """The cells of one layer of a view, those in `known` with their number and its colour."""
    colours, side = hues(shared), (grid.cell, grid.cell)
    cells = []
    for x, y in np.ndindex(*grid.cells[:2]):
        number = known.get(int(np.ravel_multi_index((x, y, *layer), grid.cells)))
        corner = (float(x * grid.cell), float(y * grid.cell))
        dress = (colours[number - 1], str(number), FILL) if number else (PALE, "", 0.5)
        cells.append(Cell(corner, side, *dress))
    return cells
