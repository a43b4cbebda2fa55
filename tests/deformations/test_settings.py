"""Settings that cannot be are refused when a deformation is made."""

from collections.abc import Callable

import numpy as np
import pytest

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import (
    BiasField,
    BlockMask,
    Blur,
    Gamma,
    Gibbs,
    LowDose,
    Motion,
    Noise,
    PatchSwap,
    Percentiles,
    SliceThickness,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Blur(sigma=(2, 1)), "sigma must be a pair that rises"),
        (lambda: Noise(sd=(-0.1, 0.1)), "sd must be a pair"),
        (lambda: Noise(kind="poisson"), "no kind 'poisson'; there are: gaussian, rician"),
        (lambda: LowDose(grain=(0, 1)), "grain must be"),
        (lambda: BiasField(order=0), "order must be 1"),
        (lambda: Gibbs(cutoff=(0.5, 1.5)), r"within \[0, 1\]"),
        (lambda: Motion(num_moves=(0, 2)), "num_moves"),
        (lambda: SliceThickness(thickness=(5, 2)), "thickness must rise"),
        (lambda: PatchSwap(num_swaps=0), "num_swaps"),
        (lambda: BlockMask(hidden=60), "hidden in"),
        (lambda: Gamma(gamma=(0, 1)), "gamma must be above 0"),
        (lambda: Percentiles(99, 1), "percentiles must rise"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], object], words: str) -> None:
    """The message names the setting, what was given and what it may be."""
    with pytest.raises(GenesisError, match=words):
        make()


def test_rician_noise_lifts_the_background() -> None:
    """Where there is no signal, the mean magnitude of complex noise of deviation 0.1 is 0.1 * sqrt(pi / 2)."""
    background = np.zeros((1, 40, 40, 40), np.float32)
    out = Noise(sd=(0.1, 0.1), kind="rician")(background, generator_for(0, 0))
    assert out.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)


def test_block_mask_hides_the_part_it_is_given() -> None:
    """60 % of the blocks of 8, to the block."""
    out = BlockMask(block=8, hidden=0.6)(np.ones((2, 64, 64, 32), np.float32), generator_for(0, 1))
    assert (out == 0).mean() == pytest.approx(0.6, abs=1 / 256)
    np.testing.assert_array_equal(out[0], out[1])


def test_bias_field_is_smooth_and_leaves_no_signal_alone() -> None:
    """Neighbours differ by a few per cent; 0 stays 0."""
    image = np.full((1, 32, 32, 32), 0.4, np.float32)
    image[:, :4] = 0
    out = BiasField()(image, generator_for(0, 2))
    assert (out[:, :4] == 0).all()
    assert np.abs(np.diff(out[:, 4:], axis=2)).max() < 0.06
    assert out[:, 4:].std() > 0.01


def test_thick_slices_show_their_means() -> None:
    """The mean of the image over whole slabs is kept, and each slab shows one value."""
    image = np.random.default_rng(0).random((1, 6, 6, 24), dtype=np.float32)
    out = SliceThickness(thickness=(4, 4))(image, generator_for(0, 3))
    assert len(np.unique(out[0, 0, 0])) in (6, 7)
    np.testing.assert_allclose(out.mean(axis=-1), image.mean(axis=-1), atol=1e-5)
