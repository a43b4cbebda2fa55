"""Compose, Sometimes and OneOf."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import (
    Compose,
    Deformation,
    Gamma,
    Genesis,
    InPainting,
    LocalShuffling,
    NonLinear,
    OneOf,
    OutPainting,
    Sometimes,
    apply_batch,
)

PAINT = OneOf((OutPainting(), InPainting(), Gamma()), (2, 1, 1))
RECIPE = Compose((Sometimes(LocalShuffling(), 0.5), Sometimes(NonLinear(), 0.9), PAINT))


def test_parts_are_applied_in_order() -> None:
    """The result is that of the parts, one after another, from their own draws."""
    image = np.random.default_rng(0).random((1, 20, 20, 20), dtype=np.float32)
    both = Compose((LocalShuffling(), NonLinear()))
    drawn = both.draw(image.shape, generator_for(0, 0))
    expected = NonLinear().apply(LocalShuffling().apply(image, drawn[0]), drawn[1])
    np.testing.assert_array_equal(both.apply(image, drawn), expected)


def test_sometimes_acts_as_often_as_given() -> None:
    """At 0.3, 300 of 1000 draws act, within 60; at 0 and 1, none and all."""
    for p, low, high in ((0.3, 240, 360), (0.0, 0, 0), (1.0, 1000, 1000)):
        acts = sum(Sometimes(Gamma(), p).draw((1, 8, 8), generator_for(1, k)) is not None for k in range(1000))
        assert low <= acts <= high


def test_one_of_follows_its_weights() -> None:
    """Weights 3, 0 and 1 give 750, 0 and 250 of 1000 draws, within 60."""
    chooser = OneOf((Gamma(), NonLinear(), InPainting()), (3, 0, 1))
    counts = Counter(chooser.draw((1, 8, 8), generator_for(2, k))[0] for k in range(1000))
    assert counts[0] == pytest.approx(750, abs=60)
    assert counts[1] == 0


@pytest.mark.parametrize(
    "idle",
    [
        Compose(()),
        Sometimes(Gamma(), 0),
        Compose((Sometimes(Gamma(), 0),)),
        OneOf((Sometimes(Gamma(), 0),)),
        Genesis(arm="none"),
    ],
    ids=["no parts", "never", "none of its parts", "one that never acts", "no law"],
)
def test_nothing_done_is_still_a_copy_of_what_it_was(idle: Deformation) -> None:
    """Without a part that acts, array, tensor and batch equal the input, in memory of their own."""
    image = np.random.default_rng(0).random((1, 8, 8, 8), dtype=np.float32)
    tensor, drawn = torch.from_numpy(image), idle.draw(image.shape, generator_for(0, 0))
    results = [idle.apply(image, drawn), idle.apply(tensor, drawn), apply_batch(idle, tensor[None], [drawn])[0]]
    for result in results:
        np.testing.assert_array_equal(np.asarray(result), image)
        assert not np.shares_memory(np.asarray(result), image)


def test_a_whole_recipe_goes_through_json() -> None:
    """Combinations of combinations come back equal."""
    assert rebuild(json.loads(json.dumps(describe(RECIPE)))) == RECIPE


def test_a_batch_of_combinations_equals_one_by_one() -> None:
    """Images of one batch that take different ways through a recipe are each as by themselves."""
    images = torch.rand(8, 1, 20, 24, 16)
    drawn = [RECIPE.draw(images.shape[1:], generator_for(3, k)) for k in range(8)]
    alone = torch.stack([RECIPE.apply(*pair) for pair in zip(images, drawn, strict=True)])
    torch.testing.assert_close(apply_batch(RECIPE, images, drawn), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OneOf(()), "at least one"),
        (lambda: OneOf((Gamma(),), (1, 2)), "weights"),
        (lambda: OneOf((Gamma(), Gamma()), (-1, 2)), "weights"),
        (lambda: Sometimes(Gamma(), 1.5), "probability"),
        (lambda: Compose((abs,)), "takes deformations"),
        (lambda: Compose(Gamma()), "tuple"),
    ],
)
def test_wrong_parts_are_refused(make, words: str) -> None:
    """The message says what was wrong."""
    with pytest.raises(GenesisError, match=words):
        make()


def test_batch_and_draws_must_match() -> None:
    """One draw for each image."""
    with pytest.raises(ShapeError, match="draw once for each image"):
        apply_batch(RECIPE, torch.rand(2, 1, 16, 16, 16), [])
