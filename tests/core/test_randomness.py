"""Sample k of a run depends on the seed and k alone."""

import itertools

import pytest

from modelsgenesis.core.randomness import generator_for


def test_same_seed_and_index_give_the_same_draws() -> None:
    """Whoever asks, in whatever order."""
    assert generator_for(3, 10**12).random(4).tolist() == generator_for(3, 10**12).random(4).tolist()


def test_seeds_indices_and_streams_never_share_draws() -> None:
    """Any change of the three gives other numbers; 0 and 1 exchanged too."""
    keys = list(itertools.product((0, 1, 2), (0, 1, 2), ("train", "validation")))
    assert len({generator_for(seed, index, stream).random() for seed, index, stream in keys}) == len(keys)


def test_neighbouring_indices_are_independent() -> None:
    """First draws of 4,000 samples have the mean 1/2 and do not correlate with the next, both within 4 sigma."""
    import numpy as np

    draws = np.array([generator_for(0, index).random() for index in range(4000)])
    assert abs(draws.mean() - 0.5) < 4 / np.sqrt(12 * 4000)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_numbers_are_refused(seed: int, index: int) -> None:
    """The error shows both."""
    with pytest.raises(ValueError, match=f"seed {seed} and sample {index}"):
        generator_for(seed, index)
