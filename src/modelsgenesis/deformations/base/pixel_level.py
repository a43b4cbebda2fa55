"""Is it a deformation? A pixel-level one changes what a voxel shows, never where it is."""

from typing import Any

import numpy as np

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations.base.value_range import Array

NUM_DRAWS, NUM_PAIRS = 6, 48
FEWEST_SEEN = 16  # pairs, for a draw to be judged
FEWEST_MOVED = 0.3  # of the landmarks, from which content counts as moved
MOST_TOGETHER = 0.65  # of the pairs; shuffling, by chance, takes about a third of them the same way
MOST_EXPLAINED = 0.7  # of the displacements, by one affine map; chance explains a quarter of few landmarks


def check_pixel_level(deformation: Deformation, shape: tuple[int, ...] = (1, 32, 32, 32)) -> None:
    """Refuse a deformation that moves content.

    Pairs of neighbouring voxels are landmarks. Each is brightened alone, and the same draw is applied with and
    without: where the result changes, there the voxel went. Noise, blur, hiding and grey-level maps leave landmarks in
    place; shuffling scatters them singly; swapped patches are few. Content has moved when most pairs went somewhere
    together (a warp), or when one affine map says where all of them went (a flip, rotation, scaling or shift).

    Args:
        deformation: to be tried with several draws, in its own range.
        shape: (C, X, Y[, Z]) of the image to try on.
    Raises:
        GenesisError: it moves content; the message says from where to where.
    Example: >>> check_pixel_level(LocalShuffling())
    """
    rng = generator_for(0, 0, "pixel level")
    given = getattr(deformation, "range", None)
    low, high = given if isinstance(given, tuple) else (0.0, 1.0)
    image = (low + (high - low) * rng.uniform(0.3, 0.7, shape)).astype(np.float32)
    for number in range(NUM_DRAWS):
        drawn = deformation.draw(shape, generator_for(0, 1 + number, "pixel level"))
        plain = deformation.apply(image, drawn)
        places, ways = [], []
        for _ in range(NUM_PAIRS):
            pair = neighbours(shape, rng)
            way = [went(deformation, image, drawn, plain, voxel, 0.3 * (high - low)) for voxel in pair]
            if way[0] is not None and way[1] is not None:
                places.append(pair)
                ways.append(way)
        if len(places) >= FEWEST_SEEN:
            judge(deformation, np.array(places), np.array(ways))


def neighbours(shape: tuple[int, ...], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Choose two voxels side by side on a random axis."""
    first = [int(rng.integers(1, side - 1)) for side in shape[1:]]
    second = list(first)
    second[int(rng.integers(len(first)))] += 1
    return [tuple(first), tuple(second)]


def went(
    deformation: Deformation, image: Array, drawn: Any, plain: Array, voxel: tuple[int, ...], step: float
) -> Array | None:
    """The distance that a voxel's content moved, on each axis; None if it cannot be seen in the result."""
    marked = image.copy()
    for channel in marked:
        channel[voxel] += step
    change = np.abs(deformation.apply(marked, drawn) - plain).max(axis=0)
    if change.max() < 1e-3 * step:
        return None
    if change[voxel] >= change.max() / 2:
        return np.zeros(len(voxel), int)
    return np.subtract(np.unravel_index(int(change.argmax()), change.shape), voxel)


def judge(deformation: Deformation, places: Array, ways: Array) -> None:
    """Raise if the pairs at `places` went their `ways`, both (pairs, 2, axes), in company."""
    if ways.any(axis=-1).mean() < FEWEST_MOVED:
        return
    moved = ways.any(axis=-1).all(axis=-1)
    together = moved & (np.abs(ways[:, 0] - ways[:, 1]).max(axis=-1) <= 1)
    where, way = places.reshape(-1, places.shape[-1]), ways.reshape(-1, ways.shape[-1])
    affine = np.column_stack([where, np.ones(len(where))])
    left = way - affine @ np.linalg.lstsq(affine, way.astype(float), rcond=None)[0]
    explained = 1 - (left**2).sum() / max((way**2).sum(), 1)
    if together.mean() <= MOST_TOGETHER and explained <= MOST_EXPLAINED:
        return
    farthest = int(np.abs(way).max(axis=-1).argmax())
    start, end = tuple(where[farthest].tolist()), tuple((where[farthest] + way[farthest]).tolist())
    raise GenesisError(
        f"{type(deformation).__name__} moves content: what was at voxel {start} turned up at {end}, and its neighbours "
        "went along. The network has to restore the image in place and cannot know where things were; flip, turn "
        "or warp the image and its target alike instead, before deforming (see Flip)"
    )
