"""Ways to choose: the papers' formulas re-derived, and made-up vectors whose right answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsgenesis.choosing.strategies.k_centre import KCentre
from modelsgenesis.choosing.strategies.random import Random
from modelsgenesis.choosing.strategies.spread import Spread, majority
from modelsgenesis.choosing.strategies.typiclust import TypiClust
from modelsgenesis.choosing.strategies.uncertainty import Uncertainty
from modelsgenesis.choosing.strategy import ROOM, Answers, Pool, Strategy, choose_from, comparable, find_strategy
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import members
from modelsgenesis.core.randomness import generator_for

NAMES = [name for name in members(ROOM) if name != "base"]


def pool_of(vectors: np.ndarray, labelled: tuple[int, ...] = (), answers: list[np.ndarray] | None = None) -> Pool:
    """A pool of vectors (N, D), or of numbers on a line."""
    done = np.zeros(len(vectors), bool)
    done[list(labelled)] = True
    said = [(n, p) for n, p in enumerate(answers or []) if not done[n]]
    return Pool(
        vectors.reshape(len(vectors), -1).astype(float),
        done,
        lambda: ((number, iter([Answers(p)])) for number, p in said),
    )


def cases(strategy: Strategy, pool: Pool, num: int, seed: int = 0) -> list[int]:
    """The numbers of the cases that were chosen."""
    return [choice.case for choice in choose_from(strategy, pool, num, generator_for(seed, 0))]


@pytest.mark.parametrize("name", NAMES)
def test_every_way_chooses_other_cases_without_labels_the_same_again(name: str) -> None:
    """So many as wanted, none twice, none that has a label, each with its reason; equal for one seed."""
    rng = np.random.default_rng(3)
    said = [rng.dirichlet((1, 1), size=(6, 1)).transpose(0, 2, 1) for _ in range(20)]
    pool = pool_of(rng.standard_normal((20, 4)), (2, 5), said)
    chosen = choose_from(find_strategy(name.replace("_", "-")), pool, 7, generator_for(1, 0))
    numbers = [each.case for each in chosen]
    assert len(set(numbers)) == 7
    assert not {2, 5} & set(numbers)
    assert all(each.why and np.isfinite(each.score) for each in chosen)
    assert chosen == choose_from(find_strategy(name), pool, 7, generator_for(1, 0))
    with pytest.raises(DataError, match="19 cases wanted of 18 without labels; ask for 1 to that many"):
        choose_from(find_strategy(name), pool, 19, generator_for(1, 0))


def test_fewer_cases_by_chance_are_the_first_of_more() -> None:
    """And another seed draws others."""
    pool = pool_of(np.arange(30.0))
    assert cases(Random(), pool, 4) == cases(Random(), pool, 9)[:4]
    assert cases(Random(), pool, 9) != cases(Random(), pool, 9, seed=1)


def test_k_centre_takes_the_farthest_again_and_again() -> None:
    """On a line with a label at 0: 10 is farthest, then 4 (4 from 0, 6 from 10), then 7, as one sees."""
    line = np.array([0.0, 1, 4, 7, 10])
    assert cases(KCentre(), pool_of(line, (0,)), 3) == [4, 2, 3]
    scores = [each.score for each in choose_from(KCentre(), pool_of(line, (0,)), 3, generator_for(0, 0))]
    assert scores == [10, 4, 3]


@given(seed=st.integers(0, 200))
def test_k_centre_is_at_most_twice_as_far_as_can_be(seed: int) -> None:
    """Gonzalez' bound, against all sets of three centres."""
    points = np.random.default_rng(seed).standard_normal((9, 2))
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)

    def radius(centres: tuple[int, ...]) -> float:
        return float(apart[:, list(centres)].min(axis=1).max())

    least = min(radius(some) for some in itertools.combinations(range(9), 3))
    assert radius(tuple(cases(KCentre(), pool_of(points), 3, seed))) <= 2 * least + 1e-9


def test_typiclust_takes_the_most_typical_of_each_kind_without_a_label() -> None:
    """Of three kinds one has a label: the larger of the others comes first, each by its case nearest to its like."""
    rng = np.random.default_rng(0)
    kinds = [rng.normal(centre, 0.3, (num, 2)) for centre, num in ((0, 30), (8, 20), (16, 10))]
    points = np.concatenate(kinds)
    chosen = choose_from(TypiClust(), pool_of(points, (0,)), 2, generator_for(0, 0))
    assert [each.case // 30 + (each.case >= 50) for each in chosen] == [1, 2]
    for choice, first, some in zip(chosen, (30, 50), kinds[1:], strict=True):
        near = max(1, min(20, len(some) // 2))
        means = [sorted(np.linalg.norm(some - one, axis=1))[1 : near + 1] for one in some]
        typical = [1 / np.mean(each) for each in means]
        assert choice.case == first + int(np.argmax(typical))
        assert choice.score == pytest.approx(max(typical))
    assert len({each.cluster for each in chosen}) == 2


def test_typiclust_leaves_outliers_for_last() -> None:
    """Nothing is typical of a cluster of two, though nothing in it has a label; equal vectors make no harm."""
    points = np.concatenate([np.zeros((10, 2)), np.full((10, 2), 5.0), np.full((2, 2), 50.0)])
    points += np.random.default_rng(1).normal(0, 0.1, points.shape)
    assert all(case < 20 for case in cases(TypiClust(), pool_of(points), 3))
    assert len(cases(TypiClust(), pool_of(np.ones((6, 3))), 4)) == 4


def test_spread_is_the_papers_matrix() -> None:
    """Entropies on the diagonal, symmetric divergences beside it, of the quarter of the patches; its mean."""
    p = np.random.default_rng(5).uniform(0.05, 0.95, 12)
    kept = sorted(p, reverse=bool(p.mean() > 0.5))[:3]  # a quarter, of the likely class
    matrix = np.zeros((3, 3))
    for j, l in itertools.product(range(3), repeat=2):  # noqa: E741
        a, b = np.array([kept[j], 1 - kept[j]]), np.array([kept[l], 1 - kept[l]])
        matrix[j, l] = -(a * np.log(a)).sum() if j == l else ((a - b) * np.log(a / b)).sum()
    answers = Answers(np.stack([p, 1 - p], axis=1)[:, :, None])
    assert Spread().score(answers) == pytest.approx(matrix.mean())
    diagonal = Spread(diversity_weight=0).score(answers)
    assert diagonal == pytest.approx(np.trace(matrix) / 9)


@pytest.mark.parametrize(("low", "kept"), [(0.0, [0.0, 0.1]), (0.5, [0.9, 0.8])])
def test_majority_keeps_the_patches_of_the_likely_class(low: float, kept: list[float]) -> None:
    """Of a case that is likely ill the patches with the highest probability; of another those with the lowest."""
    p = low + np.array([0.3, 0.1, 0.2, 0.0, 0.4])
    two = np.stack([p, 1 - p], axis=1)[:, :, None]
    assert majority(two, 0.25)[:, 0, 0].tolist() == pytest.approx(kept)


def test_spread_prefers_answers_that_differ_and_uncertainty_those_that_are_unsure() -> None:
    """A network that contradicts itself, one that says half, and one that is sure."""
    sure, half, torn = ([0.99] * 8, [0.5] * 8, [0.99, 0.01] * 4)
    said = [np.stack([np.array(p), 1 - np.array(p)], axis=1)[:, :, None] for p in (sure, half, torn)]
    pool = pool_of(np.zeros((3, 1)), answers=said)
    assert cases(Spread(share=1), pool, 3) == [2, 1, 0]
    assert cases(Spread(share=1, diversity_weight=0), pool, 3)[0] == 1
    assert cases(Uncertainty(), pool, 3)[-1] == 0
    scores = [each.score for each in choose_from(Uncertainty(), pool, 3, generator_for(0, 0))]
    assert scores[0] == pytest.approx(np.log(2))


def test_vectors_are_compared_with_every_feature_alike() -> None:
    """A feature in other units changes nothing; one that never changes is no harm."""
    vectors = np.random.default_rng(2).standard_normal((12, 3))
    scaled = np.concatenate([vectors * [1, 1000, 1e-3] + 7, np.full((12, 1), 4.0)], axis=1)
    np.testing.assert_allclose(comparable(scaled)[:, :3], comparable(vectors), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(comparable(vectors), axis=1), 1)
