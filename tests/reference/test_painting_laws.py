"""Out- and in-painting and the recipe's rates against the laws written out anew."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import InPainting, OutPainting, genesis

SIZE, DRAWS, LEAST_P = (64, 64, 32), 2000, 1e-4
ONES = np.full((1, *SIZE), 2.0, np.float32)  # out of the noise's range, so that what is hidden can be seen


def slow_boxes(out: bool, rng: np.random.Generator) -> list[tuple[slice, ...]]:
    """Draw the boxes as the paper's law says."""
    boxes: list[tuple[slice, ...]] = []
    while len(boxes) < 5 and ((out and not boxes) or rng.random() < 0.95):
        box = []
        for side in SIZE:
            if out:
                length = side - rng.integers(3 * side // 7, 4 * side // 7 + 1)
            else:
                length = rng.integers(side // 6, side // 3 + 1)
            low = rng.integers(3, side - length - 3 + 1)
            box.append(slice(low, low + length))
        boxes.append(tuple(box))
    return boxes


def slow_visible(out: bool, rng: np.random.Generator) -> np.ndarray:
    """Which voxels the paper's law leaves visible."""
    inside = np.zeros(SIZE, bool)
    for box in slow_boxes(out, rng):
        inside[box] = True
    return inside == out


@pytest.mark.parametrize("out", [True, False], ids=["out", "in"])
def test_visible_part_agrees_with_the_slow_law(out: bool) -> None:
    """The mean visible part of 600 draws and its spread agree, within 4.5 standard errors and a tenth."""
    law = OutPainting(range=(0.0, 1.0)) if out else InPainting(range=(0.0, 1.0))
    ours = np.array([(law(ONES, generator_for(0, k)) == 2).mean() for k in range(600)])
    slow = np.array([slow_visible(out, generator_for(1, k)).mean() for k in range(600)])
    error = np.sqrt((ours.var() + slow.var()) / 600)
    assert abs(ours.mean() - slow.mean()) < 4.5 * error
    assert ours.std() == pytest.approx(slow.std(), rel=0.1)
    assert ours.mean() == pytest.approx(0.32 if out else 0.945, abs=0.02)  # as run by the authors' code


@pytest.mark.parametrize("out", [True, False], ids=["out", "in"])
def test_where_is_visible_agrees_with_the_slow_law(out: bool) -> None:
    """The visible share of every place along every axis, over 600 draws, agrees within 0.07."""
    law = OutPainting() if out else InPainting()
    ours = np.mean([law(ONES, generator_for(2, k))[0] == 2 for k in range(600)], axis=0)
    slow = np.mean([slow_visible(out, generator_for(3, k)) for k in range(600)], axis=0)
    for axis in range(3):
        others = tuple({0, 1, 2} - {axis})
        np.testing.assert_allclose(ours.mean(axis=others), slow.mean(axis=others), atol=0.07)


@pytest.mark.parametrize("out", [True, False], ids=["out", "in"])
def test_boxes_have_uniform_sides_and_margins(out: bool) -> None:
    """Sides are uniform between their ends, both included, and boxes stay 3 voxels inside, and reach that."""
    law = OutPainting() if out else InPainting()
    boxes = np.array([b for k in range(DRAWS) for b in law.draw(ONES.shape, generator_for(4, k)).boxes])
    for axis, side in enumerate(SIZE):
        lengths = boxes[:, axis + 3] - boxes[:, axis]
        least, most = (side - 4 * side // 7, side - 3 * side // 7) if out else (side // 6, side // 3)
        counts = np.bincount(lengths, minlength=most + 1)
        assert counts[:least].sum() == 0
        assert len(counts) == most + 1
        assert stats.chisquare(counts[least:]).pvalue > LEAST_P
        assert boxes[:, axis].min() == 3
        assert boxes[:, axis + 3].max() == side - 3


@pytest.mark.parametrize("out", [True, False], ids=["out", "in"])
def test_number_of_boxes_follows_the_rate(out: bool) -> None:
    """One more is tried at 0.95 each time, to five."""
    law = OutPainting() if out else InPainting()
    counts = Counter(len(law.draw(ONES.shape, generator_for(5, k)).boxes) for k in range(DRAWS))
    first = 1 if out else 0
    expected = [0.05 * 0.95 ** (n - first) for n in range(first, 5)] + [0.95 ** (5 - first)]
    seen = [counts[n] for n in range(first, 6)]
    assert stats.chisquare(seen, np.array(expected) * DRAWS).pvalue > LEAST_P


def test_noise_is_uniform_and_without_pattern() -> None:
    """A Kolmogorov-Smirnov test, no correlation with a neighbour on any axis (0.01), none between keys."""
    noises = [OutPainting()(ONES, generator_for(6, k))[0] for k in range(2)]
    hidden = (noises[0] != 2) & (noises[1] != 2)
    for noise in noises:
        assert stats.kstest(noise[noise != 2], "uniform").pvalue > LEAST_P
        for axis in range(3):
            both = (noise != 2) & (np.roll(noise, 1, axis) != 2)
            assert abs(np.corrcoef(noise[both], np.roll(noise, 1, axis)[both])[0, 1]) < 0.015
    assert abs(np.corrcoef(noises[0][hidden], noises[1][hidden])[0, 1]) < 0.015


def test_noise_per_channel_or_shared() -> None:
    """The boxes are the same in every channel; the noise is, if so chosen."""
    image = np.full((3, *SIZE), 2.0, np.float32)
    for shared in (True, False):
        out = OutPainting(shared_noise=shared)(image, generator_for(7, 0))
        np.testing.assert_array_equal(out[0] == 2, out[1] == 2)
        assert ((out[0] == out[1]).all()) == shared


def test_recipe_acts_at_the_paper_rates() -> None:
    """The twelve combinations of the laws appear as often as 0.5, 0.9, 0.9 and 0.8 say."""
    seen: Counter[tuple[bool, bool, bool | None]] = Counter()
    for index in range(5000):
        windows, curve, paint = genesis().draw((1, *SIZE), generator_for(8, index))
        seen[windows is not None, curve is not None, None if paint is None else paint.keep] += 1
    expected = {
        (local, curve, keep): 0.5 * (0.9 if curve else 0.1) * {None: 0.1, True: 0.72, False: 0.18}[keep]
        for local in (True, False)
        for curve in (True, False)
        for keep in (None, True, False)
    }
    assert len(seen) == 12
    assert stats.chisquare([seen[k] for k in expected], [5000 * p for p in expected.values()]).pvalue > LEAST_P
