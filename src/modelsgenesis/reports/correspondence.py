"""One place found again in several patients by the nearest cell: `genesis show peac STORE PICTURE --run RUN`."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_hex

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.store.store import Scan, Store
from modelsgenesis.figures.cells import Cell, Marked, draw_marked, hues
from modelsgenesis.figures.planes import Array
from modelsgenesis.methods.popar import POPAR
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes.recipe import make_learner, split
from modelsgenesis.reports.known_landmarks import Points, read_landmarks
from modelsgenesis.reports.view_sheet import section
from modelsgenesis.weights.loading import load_backbone

OTHERS = 5  # patients in which a place is looked for
PLACES = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.5), (0.3, 0.65), (0.7, 0.65))  # of the sides, that are asked about
MOST_LANDMARKS = 6  # drawn


@dataclass(frozen=True)
class Embedded:
    """An image cut into cells, and a vector of each.

    Attributes:
        scan: which it is.
        image: (C, *size) in [0, 1].
        first: the first voxel of the first cell, along each axis.
        vectors: of length 1, (*cells, channels).
        points: known landmarks.
    """

    scan: Scan
    image: Array
    first: Array
    vectors: Array
    points: Points


def draw_correspondence(
    store: Store,
    recipe: Recipe,
    into: Path,
    *,
    run: Path,
    sample: int,
    display: tuple[float, float],
    landmarks: Path | None,
) -> Path:
    """Draw cells of one held-out image, and for each the most similar cell of several other patients.

    Args:
        store: of the images.
        recipe: of the run, whose method has cells.
        into: the PNG; with landmarks, a table of every error lies beside.
        run: whose encoder is asked.
        sample: which of the held-out images is asked about.
        display: values shown black and white.
        landmarks: a table of places that are known, as of `read_landmarks`.
    Raises:
        DataError: too few images are as large as a view, or the table names none of them.
    """
    learner, embedded = embed_held_out(store, recipe, run, sample, landmarks)
    said = nouns(store.axes)
    cell, measured = learner.grid.cell, ""
    if landmarks:
        rows = errors(embedded, cell)
        write_table(into.with_suffix(".csv"), list(rows[0]), rows)
        measured = "\n" + in_words(rows, said.voxel)
    pictures = marked(embedded[: 1 + OTHERS], cell)
    title = f"One place in {many(len(pictures), 'patient')}, found by the nearest cell: {recipe.method}, {recipe.name}"
    foot = f"cells of {cell} {said.voxel}s; alike is the cosine of two cells' vectors, less the mean of all"
    crosses = "; crosses are the landmarks" * bool(landmarks)
    return draw_marked(pictures, into, display=display, title=title, footnote=foot + crosses + measured, columns=3)


def embed_held_out(
    store: Store, recipe: Recipe, run: Path, sample: int, landmarks: Path | None = None
) -> tuple[POPAR, list[Embedded]]:
    """Embed one held-out image and those of other patients; arguments and errors as `draw_correspondence`."""
    learner = make_learner(recipe, load_backbone(run)).eval()
    if not isinstance(learner, POPAR):
        raise DataError(f"the method {recipe.method} has no cells to find again; popar and peac have")
    known = read_landmarks(landmarks, store) if landmarks else {}
    fits = [scan for scan in split(store, recipe)[1] if np.all(np.greater_equal(scan.size, learner.grid.view_size))]
    chosen = [scan for scan in fits if not landmarks or scan.id in known]
    of_patients = list({scan.patient: scan for scan in chosen}.values())
    said = nouns(store.axes)
    if len(of_patients) < 2:
        raise DataError(
            f"{many(len(of_patients), 'held-out patient')} with {said.scan}s of {learner.grid.view_size} {said.voxel}s "
            + (f"or more that {landmarks} names; two or more are needed" if landmarks else "or more; two are needed")
        )
    turned = of_patients[sample % len(of_patients) :] + of_patients[: sample % len(of_patients)]
    wanted = turned if landmarks else turned[: 1 + OTHERS]
    return learner, centred([embed(store, recipe, learner, scan, known.get(scan.id, {})) for scan in wanted])


@dataclass(frozen=True)
class Found:
    """An image with the cells that were asked about in it, or found.

    Attributes:
        title: says which image it is.
        image: (C, *size) in [0, 1].
        spacing_mm: between its voxels.
        side: of a cell, in voxels.
        cells: of each place its first voxel along each axis, how alike it is (None where it was asked), its colour.
    """

    title: str
    image: Array
    spacing_mm: tuple[float, ...]
    side: int
    cells: tuple[tuple[tuple[int, ...], float | None, str], ...]


def corresponding(store: Store, recipe: Recipe, run: Path, sample: int) -> list[Found]:
    """Cells of one held-out image, and for each the most similar cell of several others; as `draw_correspondence`."""
    learner, embedded = embed_held_out(store, recipe, run, sample)
    asked, cell = embedded[0], learner.grid.cell
    places = spread_cells(asked)
    colours = [to_hex(each) for each in hues(len(places))]
    found = []
    for one in embedded:
        cells = []
        for place, colour in zip(places, colours, strict=True):
            where, alike = (place, None) if one is asked else nearest(asked.vectors[tuple(place)], one)
            cells.append((tuple((one.first + cell * where).tolist()), alike, colour))
        found.append(Found(name_of(one, asked), one.image, one.scan.spacing_mm, cell, tuple(cells)))
    return found


def name_of(one: Embedded, asked: Embedded) -> str:
    """What an image is called beside the one that is asked about."""
    return f"{'asked: held-out' if one is asked else 'found in'} {nouns(len(one.first)).scan} {one.scan.id[:12]}"


def embed(store: Store, recipe: Recipe, learner: POPAR, scan: Scan, points: Points) -> Embedded:
    """Give every cell of an image the mean of its vectors in the views that show it, views lying half a view apart."""
    grid = learner.grid
    image = store.read_scaled(scan, (0,) * len(scan.size), scan.size, recipe.cubes.intensity)
    whole = [side // grid.cell for side in scan.size]
    first = np.array([side % grid.cell // 2 for side in scan.size])
    steps = [
        sorted({*range(0, number - shown + 1, max(1, shown // 2)), number - shown})
        for number, shown in zip(whole, grid.cells, strict=True)
    ]
    total = np.zeros((*whole, learner.backbone.channels[-1]), np.float32)
    for start in itertools.product(*steps):
        corner = first + grid.cell * np.array(start)
        view = image[:, *(slice(low, low + side) for low, side in zip(corner, grid.view_size, strict=True))]
        with torch.no_grad():
            vectors = learner.tokens(torch.from_numpy(np.ascontiguousarray(view))[None])[0].float().numpy()
        there = tuple(slice(low, low + shown) for low, shown in zip(start, grid.cells, strict=True))
        total[there] += unit(vectors).reshape(*grid.cells, -1)
    return Embedded(scan, image, first, unit(total), points)


def centred(images: Sequence[Embedded]) -> list[Embedded]:
    """Take from every vector the mean of all, which they share and which tells none from another."""
    mean = np.concatenate([one.vectors.reshape(-1, one.vectors.shape[-1]) for one in images]).mean(axis=0)
    return [replace(one, vectors=unit(one.vectors - mean)) for one in images]


def unit(vectors: Array) -> Array:
    """Vectors along the last axis of length 1."""
    made: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return made


def nearest(vector: Array, other: Embedded) -> tuple[Array, float]:
    """The cell of an image whose vector is most like one, along each axis, and the cosine between them."""
    alike = other.vectors @ vector
    best = np.unravel_index(int(np.argmax(alike)), alike.shape)
    return np.array(best), float(alike.max())


def cell_at(one: Embedded, point: Array, cell: int) -> Array:
    """The cell that holds a point, along each axis; the nearest where none does."""
    there = np.floor((point + 0.5 - one.first) / cell).astype(int)
    clipped: Array = np.clip(there, 0, np.array(one.vectors.shape[:-1]) - 1)
    return clipped


def middle_of(one: Embedded, place: Array, cell: int) -> Array:
    """The middle of a cell in voxels."""
    middle: Array = one.first + cell * place + 0.5 * (cell - 1)
    return middle


def spread_cells(one: Embedded) -> list[Array]:
    """The cells that are asked about where no landmark is known: of a picture five spread over it, of a volume one."""
    sides = np.array(one.vectors.shape[:-1])
    shares = PLACES if len(sides) == 2 else PLACES[:1]
    return [np.floor(sides * np.array([*share, 0.5][: len(sides)])).astype(int) for share in shares]


def marked(embedded: Sequence[Embedded], cell: int) -> list[Marked]:
    """The image that is asked about, with its cells, and the others with the cell found for each."""
    asked = embedded[0]
    names = list(asked.points)[:MOST_LANDMARKS]
    places = [cell_at(asked, asked.points[name], cell) for name in names] or spread_cells(asked)
    colours, pictures = hues(len(places)), []
    for one in embedded:
        found = [(place, 1.0) if one is asked else nearest(asked.vectors[tuple(place)], one) for place in places]
        boxes = []
        for number, ((place, _), colour) in enumerate(zip(found, colours, strict=True), 1):
            x, y = (one.first + cell * place)[:2].tolist()
            boxes.append(Cell((x, y), (cell, cell), colour, str(number)))
        known = [(*one.points[name].tolist(), colour) for name, colour in zip(names, colours, strict=False)
                 if name in one.points]  # fmt: skip
        at = [np.array([int(middle_of(one, found[0][0], cell)[2])])] if len(one.first) == 3 else []
        title = name_of(one, asked)
        note = "" if one is asked else "alike " + ", ".join(f"{alike:.2f}" for _, alike in found)
        pictures.append(Marked(title, section(one.image, one.scan.spacing_mm, at), boxes, note, known))
    return pictures


def errors(embedded: Sequence[Embedded], cell: int) -> list[dict[str, Any]]:
    """How far from each landmark its best cell lies, for all pairs of patients, beside two ways to know nothing.

    Returns:
        A row for each landmark and pair: "asked" and "found", the images; "landmark"; "error" of the middle of the best
        cell, "best_possible" of the nearest one, "same_place" of the landmark's place in the image that was asked, as a
        share of the sides, and "chance", the mean over all cells; each in the units of the store's spacing.
    """
    rows: list[dict[str, Any]] = []
    for asked, other in itertools.permutations(embedded, 2):
        step = np.array(other.scan.spacing_mm)
        middles = np.stack([middle_of(other, np.array(place), cell) for place in np.ndindex(other.vectors.shape[:-1])])
        for name in sorted(asked.points.keys() & other.points.keys()):
            truth = other.points[name]
            place, _ = nearest(asked.vectors[tuple(cell_at(asked, asked.points[name], cell))], other)
            moved = (asked.points[name] + 0.5) / asked.scan.size * other.scan.size - 0.5
            far = np.linalg.norm((middles - truth) * step, axis=1)
            off, same = (float(np.linalg.norm((at - truth) * step)) for at in (middle_of(other, place, cell), moved))
            measured = {"error": off, "best_possible": far.min(), "same_place": same, "chance": far.mean()}
            row = {"asked": asked.scan.id, "found": other.scan.id, "landmark": name}
            rows.append(row | {what: round(float(value), 3) for what, value in measured.items()})
    if not rows:
        raise DataError("no two held-out patients have a landmark of one name; give more rows")
    return rows


def in_words(rows: Sequence[dict[str, Any]], noun: str) -> str:
    """The errors, averaged over all pairs of patients."""
    means = {name: np.mean([row[name] for row in rows]) for name in ("error", "best_possible", "same_place", "chance")}
    return (
        f"mean error of {len(rows):,} searches for {len({row['landmark'] for row in rows})} landmarks: "
        f"{means['error']:.1f} (mm, or {noun}s of the file)\n"
        f"a cell chosen by chance {means['chance']:.1f}, the same place in the picture {means['same_place']:.1f}, "
        f"the best cell there is {means['best_possible']:.1f}"
    )
