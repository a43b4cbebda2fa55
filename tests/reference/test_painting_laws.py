"""Out- and in-painting and the recipe's rates against the laws written out anew."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import InPainting, OutPainting, genesis
from modelsgenesis.deformations.base.loop import Plan
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D
from modelsgenesis.recipes import find_recipe

SIZE, CROP, DRAWS, LEAST_P = (64, 64, 32), (96, 64), 2000, 1e-4
in_both = pytest.mark.parametrize("size", [SIZE, CROP], ids=["3D", "2D"])
painted = pytest.mark.parametrize("out", [True, False], ids=["out", "in"])


def ones(size: tuple[int, ...], channels: int = 1) -> np.ndarray:
    """An image out of the noise's range, so that what is hidden can be seen."""
    return np.full((channels, *size), 2.0, np.float32)


def slow_boxes(size: tuple[int, ...], out: bool, rng: np.random.Generator) -> list[tuple[slice, ...]]:
    """Draw the boxes as the paper's law says."""
    boxes: list[tuple[slice, ...]] = []
    while len(boxes) < 5 and ((out and not boxes) or rng.random() < 0.95):
        box = []
        for side in size:
            if out:
                length = side - rng.integers(3 * side // 7, 4 * side // 7 + 1)
            else:
                length = rng.integers(side // 6, side // 3 + 1)
            low = rng.integers(3, side - length - 3 + 1)
            box.append(slice(low, low + length))
        boxes.append(tuple(box))
    return boxes


def slow_visible(size: tuple[int, ...], out: bool, rng: np.random.Generator) -> np.ndarray:
    """Which voxels the paper's law leaves visible."""
    inside = np.zeros(size, bool)
    for box in slow_boxes(size, out, rng):
        inside[box] = True
    return inside == out


def learner_of(name: str) -> Genesis:
    """The learner of a recipe, on a network as small as can be."""
    recipe = find_recipe(name)
    return Genesis(UNet3D(axes=2, width=1), **recipe.method_args)


@in_both
@painted
def test_visible_part_agrees_with_the_slow_law(out: bool, size: tuple[int, ...]) -> None:
    """The mean visible part of 600 draws and its spread agree, within 4.5 standard errors and a tenth."""
    law = OutPainting(range=(0.0, 1.0)) if out else InPainting(range=(0.0, 1.0))
    ours = np.array([(law(ones(size), generator_for(0, k)) == 2).mean() for k in range(600)])
    slow = np.array([slow_visible(size, out, generator_for(1, k)).mean() for k in range(600)])
    error = np.sqrt((ours.var() + slow.var()) / 600)
    assert abs(ours.mean() - slow.mean()) < 4.5 * error
    assert ours.std() == pytest.approx(slow.std(), rel=0.1)
    if size == SIZE:
        assert ours.mean() == pytest.approx(0.32 if out else 0.945, abs=0.02)  # as run by the authors' code


@in_both
@painted
def test_where_is_visible_agrees_with_the_slow_law(out: bool, size: tuple[int, ...]) -> None:
    """The visible share of every place along every axis, over 600 draws, agrees within 0.07."""
    law = OutPainting() if out else InPainting()
    ours = np.mean([law(ones(size), generator_for(2, k))[0] == 2 for k in range(600)], axis=0)
    slow = np.mean([slow_visible(size, out, generator_for(3, k)) for k in range(600)], axis=0)
    for axis in range(len(size)):
        others = tuple({*range(len(size))} - {axis})
        np.testing.assert_allclose(ours.mean(axis=others), slow.mean(axis=others), atol=0.07)


@in_both
@painted
def test_boxes_have_uniform_sides_and_margins(out: bool, size: tuple[int, ...]) -> None:
    """Sides are uniform between their ends, both included, and boxes stay 3 voxels inside, and reach that."""
    law = OutPainting() if out else InPainting()
    boxes = np.array([b for k in range(DRAWS) for b in law.draw((1, *size), generator_for(4, k)).boxes])
    for axis, side in enumerate(size):
        lengths = boxes[:, axis + len(size)] - boxes[:, axis]
        least, most = (side - 4 * side // 7, side - 3 * side // 7) if out else (side // 6, side // 3)
        counts = np.bincount(lengths, minlength=most + 1)
        assert counts[:least].sum() == 0
        assert len(counts) == most + 1
        assert stats.chisquare(counts[least:]).pvalue > LEAST_P
        assert boxes[:, axis].min() == 3
        assert boxes[:, axis + len(size)].max() == side - 3


@in_both
@painted
def test_number_of_boxes_follows_the_rate(out: bool, size: tuple[int, ...]) -> None:
    """One more is tried at 0.95 each time, to five."""
    law = OutPainting() if out else InPainting()
    counts = Counter(len(law.draw((1, *size), generator_for(5, k)).boxes) for k in range(DRAWS))
    first = 1 if out else 0
    expected = [0.05 * 0.95 ** (n - first) for n in range(first, 5)] + [0.95 ** (5 - first)]
    seen = [counts[n] for n in range(first, 6)]
    assert stats.chisquare(seen, np.array(expected) * DRAWS).pvalue > LEAST_P


def test_noise_is_uniform_and_without_pattern() -> None:
    """A Kolmogorov-Smirnov test, no correlation with a neighbour on any axis (0.01), none between keys."""
    noises = [OutPainting()(ones(SIZE), generator_for(6, k))[0] for k in range(2)]
    hidden = (noises[0] != 2) & (noises[1] != 2)
    for noise in noises:
        assert stats.kstest(noise[noise != 2], "uniform").pvalue > LEAST_P
        for axis in range(3):
            both = (noise != 2) & (np.roll(noise, 1, axis) != 2)
            assert abs(np.corrcoef(noise[both], np.roll(noise, 1, axis)[both])[0, 1]) < 0.015
    assert abs(np.corrcoef(noises[0][hidden], noises[1][hidden])[0, 1]) < 0.015


def test_noise_per_channel_or_shared() -> None:
    """The boxes are the same in every channel; the noise is, if so chosen."""
    image = ones(SIZE, channels=3)
    for shared in (True, False):
        out = OutPainting(shared_noise=shared)(image, generator_for(7, 0))
        np.testing.assert_array_equal(out[0] == 2, out[1] == 2)
        assert ((out[0] == out[1]).all()) == shared


def test_in_2d_boxes_hold_one_noise_in_every_channel() -> None:
    """So the family paints inside; outside every channel has its own."""
    inside, outside = (law(ones(CROP, channels=3), generator_for(7, 1)) for law in (InPainting(), OutPainting()))
    assert (inside != 2).any()
    assert (inside[1:] == inside[0]).all()
    assert not (outside[1:] == outside[0]).all()


RECIPES = {
    "paper": (SIZE, genesis(), 0.5),
    "small-2d": (CROP, learner_of("small-2d").deformation, 1.0),
    "chest-xray": ((224, 224), learner_of("chest-xray").deformation, 1.0),
    "chest-ct-2d": ((224, 224), learner_of("chest-ct-2d").deformation, 1.0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_acts_at_the_paper_rates(name: str) -> None:
    """The combinations of the laws appear as often as 0.9, 0.9 and 0.8 say, and 0.5 of the shuffling, or 1 in 2D.

    Never does one crop get both paintings, and 40 windows are those of 2D.
    """
    size, deformation, p_local = RECIPES[name]
    seen: Counter[tuple[bool, bool, bool | None]] = Counter()
    for index in range(5000):
        windows, curve, paint = deformation.draw((1, *size), generator_for(8, index))
        seen[windows is not None, curve is not None, None if paint is None else paint.keep] += 1
        assert windows is None or windows.num_windows == (10_000 if name == "paper" else 40)
    expected = {
        (local, curve, keep): p * (0.9 if curve else 0.1) * {None: 0.1, True: 0.72, False: 0.18}[keep]
        for local, p in ((True, p_local), (False, 1 - p_local))
        for curve in (True, False)
        for keep in (None, True, False)
        if p
    }
    assert seen.keys() == expected.keys()
    assert stats.chisquare([seen[k] for k in expected], [5000 * p for p in expected.values()]).pvalue > LEAST_P


@pytest.mark.parametrize("name", ["small-2d", "chest-xray", "chest-ct-2d"])
def test_crops_are_deformed_independently_and_never_flipped(name: str) -> None:
    """Of 4000 crops, what happens to one says nothing of the next, nor do boxes, curves and keys repeat."""
    size, deformation, _ = RECIPES[name]
    drawn = [deformation.draw((1, *size), generator_for(9, index)) for index in range(4000)]
    numbers = np.array([(plan.curve is not None, plan.paint is not None, paints_out(plan)) for plan in drawn], float)
    tables = np.corrcoef(numbers[:-1].T, numbers[1:].T)[:3, 3:]
    assert np.abs(tables).max() < 4.5 / np.sqrt(4000)
    for parts in (
        [p.windows.key for p in drawn],
        [p.curve for p in drawn if p.curve],
        [p.paint for p in drawn if p.paint],
    ):
        assert len(set(parts)) == len(parts)
    flip = learner_of(name).flip
    image = generator_for(9, 0).random((1, 8, 8), dtype=np.float32)
    assert all((flip(image, generator_for(10, index)) == image).all() for index in range(50))


def paints_out(plan: Plan) -> bool:
    """Whether a crop is painted outside."""
    return plan.paint is not None and plan.paint.keep
