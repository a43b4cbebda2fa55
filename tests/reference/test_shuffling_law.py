"""Local shuffling against the law written out anew: one window after another, each permuted whole."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import LocalShuffling, OutPainting
from modelsgenesis.deformations.kernels import shuffling
from modelsgenesis.deformations.kernels.hashing import draw_key, halves

DRAWS = 150
in_both = pytest.mark.parametrize(("size", "windows"), [((41, 30, 34), 400), ((64, 96), 40)], ids=["3D", "2D"])
LEAST_P = 1e-4  # of a test of distribution; keys are fixed, so these tests never flicker


def slow_law(size: tuple[int, ...], num_windows: int, rng: np.random.Generator) -> np.ndarray:
    """The voxel that each voxel's value comes from."""
    image = np.arange(np.prod(size)).reshape(size)
    out = image.copy()
    for _ in range(num_windows):
        sides = [rng.integers(1, side // 10 + 1) for side in size]
        low = [rng.integers(0, whole - side + 1) for whole, side in zip(size, sides, strict=True)]
        window = tuple(slice(start, start + side) for start, side in zip(low, sides, strict=True))
        out[window] = rng.permutation(image[window].ravel()).reshape(sides)
    return out


def ours(size: tuple[int, ...], num_windows: int, rng: np.random.Generator) -> np.ndarray:
    """The same of the compiled law; voxel numbers are exact in float32."""
    image = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    given = None if (len(size), num_windows) == (2, 40) else num_windows  # those of 2D are the default
    law = LocalShuffling(num_windows=given, range=(0.0, float(image.max())))
    return law(image, rng)[0].astype(int)


def summary(source: np.ndarray) -> list[float]:
    """Unchanged voxels, lost voxels, and for each axis the shares of displacements by 0, 1, 2, ... voxels."""
    number = np.arange(source.size).reshape(source.shape)
    numbers = [float((source == number).mean()), 1 - len(np.unique(source)) / source.size]
    for axis, side in enumerate(source.shape):
        here, there = (np.unravel_index(which, source.shape)[axis] for which in (number, source))
        numbers += [float((np.abs(here - there) == step).mean()) for step in range(side // 10)]
    return numbers


@in_both
def test_agrees_with_the_slow_law_in_distribution(size: tuple[int, ...], windows: int) -> None:
    """Unchanged and lost voxels and displacements: means of 150 draws agree within 4.5 standard errors."""
    samples = [
        np.array([summary(law(size, windows, generator_for(0, k, law.__name__))) for k in range(DRAWS)])
        for law in (slow_law, ours)
    ]
    error = np.sqrt(sum(sample.var(axis=0) for sample in samples) / DRAWS)
    difference = np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0))
    assert (difference <= 4.5 * error + 1e-12).all(), difference / np.maximum(error, 1e-12)


@in_both
def test_spread_agrees_with_the_slow_law(size: tuple[int, ...], windows: int) -> None:
    """Draws differ among themselves as the slow law's do: standard deviations within a third."""
    spreads = [
        np.std([summary(law(size, windows, generator_for(1, k, law.__name__)))[:2] for k in range(DRAWS)], axis=0)
        for law in (slow_law, ours)
    ]
    np.testing.assert_allclose(spreads[1], spreads[0], rtol=1 / 3)


def test_paper_cube_changes_78_percent_and_loses_21_percent() -> None:
    """10,000 windows on 64 x 64 x 32, as run by the authors' code: 78 % changed and 21 % lost, within 1 %."""
    numbers = np.mean([summary(ours((64, 64, 32), 10_000, generator_for(2, k)))[:2] for k in range(10)], axis=0)
    assert 1 - numbers[0] == pytest.approx(0.78, abs=0.01)
    assert numbers[1] == pytest.approx(0.21, abs=0.01)


def test_windows_have_uniform_sides_and_places() -> None:
    """Chi-square tests of every axis' sides, and of the places of windows of every side."""
    size, most, num = (64, 64, 32), (6, 6, 3), 200_000
    number, side, low = np.empty(num, np.uint32), np.empty((3, num), np.uint32), np.empty((3, num), np.uint32)
    shuffling.place(number, side, low, size, most, num - 1, num, halves(draw_key(generator_for(3, 0))))
    for axis in range(3):
        assert stats.chisquare(np.bincount(side[axis], minlength=most[axis] + 1)[1:]).pvalue > LEAST_P
        for length in range(1, most[axis] + 1):
            places = np.bincount(low[axis, side[axis] == length], minlength=size[axis] - length + 1)
            assert len(places) == size[axis] - length + 1
            assert stats.chisquare(places).pvalue > LEAST_P
    assert np.abs(np.corrcoef(np.vstack([side, low / size[0]]))[:3, :3] - np.eye(3)).max() < 0.01


def test_a_window_is_permuted_uniformly() -> None:
    """A single window of three voxels shows each of its six orders equally often."""
    image = np.arange(31, dtype=np.float32).reshape(1, 1, 31)
    law = LocalShuffling(num_windows=1, range=(0.0, 30.0))
    seen = dict.fromkeys(permutations(range(3)), 0)
    for index in range(20_000):
        drawn = law.draw(image.shape, generator_for(4, index))
        number, side, low = np.empty(1, np.uint32), np.empty((3, 1), np.uint32), np.empty((3, 1), np.uint32)
        shuffling.place(number, side, low, (1, 1, 31), (1, 1, 3), 0, 1, halves(drawn.key))
        if side[2, 0] == 3:
            window = law.apply(image, drawn)[0, 0, low[2, 0] : low[2, 0] + 3] - low[2, 0]
            seen[tuple(window.astype(int).tolist())] += 1
    assert sum(seen.values()) > 6000
    assert stats.chisquare(list(seen.values())).pvalue > LEAST_P


def test_values_come_from_within_the_greatest_window() -> None:
    """No voxel comes from farther than a window reaches, on any axis."""
    source = ours((50, 40, 30), 3000, generator_for(5, 0))
    here, there = np.indices(source.shape), np.array(np.unravel_index(source, source.shape))
    assert np.abs(here - there).max(axis=(1, 2, 3)).tolist() == [4, 3, 2]


def test_in_2d_forty_windows_are_used() -> None:
    """The family's 2D recipes use 40 windows: about a tenth of the image is covered."""
    assert LocalShuffling().draw((1, 100, 100), generator_for(0, 0)).num_windows == 40
    assert LocalShuffling().draw((1, 100, 100, 10), generator_for(0, 0)).num_windows == 10_000


@pytest.mark.parametrize("size", [(64, 64, 32), (33, 20, 47), (50, 41), (9, 30, 8)], ids=str)
def test_tiled_law_is_a_permutation_within_tiles(size: tuple[int, ...]) -> None:
    """Every voxel appears once, none from farther than its tile reaches; channels move together."""
    num = int(np.prod(size))
    image = np.stack([np.arange(num).reshape(size), num - np.arange(num).reshape(size)]).astype(np.float32)
    out = LocalShuffling(variant="tiled", range=(0.0, float(num)))(image, generator_for(6, 0))
    source = out[0].astype(int)
    assert sorted(source.ravel()) == list(range(num))
    np.testing.assert_array_equal(out[1], num - out[0])
    here, there = np.indices(size), np.array(np.unravel_index(source, size))
    for axis, side in enumerate(size):
        assert np.abs(here - there)[axis].max() < max(1, side // 10)


def test_tiled_grid_begins_anywhere() -> None:
    """The borders between tiles fall on every voxel in turn."""
    starts = {LocalShuffling(variant="tiled").draw((1, 30, 30, 30), generator_for(7, k)).tiles for k in range(300)}
    assert len(starts) == 27


def test_shuffling_only_what_is_seen_is_the_same_law() -> None:
    """Inside the boxes that out-painting keeps, as many voxels change as when all is shuffled (within 0.5 %)."""
    image = np.arange(64 * 64 * 32, dtype=np.float32).reshape(1, 64, 64, 32)
    law, painting = LocalShuffling(range=(0.0, 131071.0)), OutPainting()
    changed: list[list[float]] = [[], []]
    for index in range(40):
        drawn = law.draw(image.shape, generator_for(8, index))
        boxes = painting.draw(image.shape, generator_for(9, index)).boxes
        for part, seen in zip(changed, [(), boxes], strict=True):
            out = law.apply(image, drawn._replace(seen=seen))
            part += [float((out != image)[0][tuple(map(slice, box[:3], box[3:]))].mean()) for box in boxes]
    assert np.mean(changed[0]) == pytest.approx(np.mean(changed[1]), abs=0.005)
