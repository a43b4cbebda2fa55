"""Flip: plain augmentation of image and target alike."""

from collections import Counter

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Compose, Flip, apply_batch

IMAGE = np.arange(2 * 4 * 5 * 6, dtype=np.float32).reshape(2, 4, 5, 6)


def test_one_draw_flips_image_and_target_alike() -> None:
    """The same axes are reversed in both, in arrays and tensors, and the inputs stay."""
    for index in range(20):
        axes = Flip().draw(IMAGE.shape, generator_for(0, index))
        np.testing.assert_array_equal(Flip().apply(IMAGE, axes), np.flip(IMAGE, axes))
        np.testing.assert_array_equal(Flip().apply(torch.from_numpy(IMAGE), axes).numpy(), np.flip(IMAGE, axes))
    assert IMAGE.ravel()[1] == 1


def test_result_is_a_copy() -> None:
    """Without a flip, too, the result is not the input."""
    assert not np.shares_memory(Flip(p=0)(IMAGE, generator_for(0, 0)), IMAGE)


def test_flips_at_the_paper_rate() -> None:
    """Up to three reversals at 0.4 each: the odds of an even count on an axis, over 6000 draws, within 2 %."""
    counts: Counter[int] = Counter()
    for index in range(6000):
        counts.update(Flip().draw(IMAGE.shape, generator_for(1, index)))
    # one reversal: 0.4 * 0.6, two: 0.16 * 0.6, three: 0.064; an axis is reversed if drawn an odd number of times
    expected = 0.24 / 3 + 0.096 * (2 * 1 * 2 / 9) + 0.064 * (3 * 4 + 1) / 27
    for axis in (1, 2, 3):
        assert counts[axis] / 6000 == pytest.approx(expected, abs=0.02)
    assert counts[0] == 0


def test_faithful_never_flips_the_depth() -> None:
    """As in the authors' code, the axes are 0, 1 and 2 of (C, X, Y, Z)."""
    axes = {axis for k in range(300) for axis in Flip(match_official=True).draw(IMAGE.shape, generator_for(2, k))}
    assert axes == {0, 1, 2}


def test_2d_flips_both_axes_of_space() -> None:
    """In (C, X, Y) the axes are 1 and 2."""
    assert {axis for k in range(300) for axis in Flip().draw((3, 8, 8), generator_for(3, k))} == {1, 2}


def test_batch_is_flipped_image_by_image() -> None:
    """Each image by its own draw, bit for bit."""
    images = torch.rand(6, 1, 5, 6, 7)
    drawn = [Flip().draw(images.shape[1:], generator_for(4, k)) for k in range(6)]
    alone = torch.stack([image.flip(axes) for image, axes in zip(images, drawn, strict=True)])
    assert torch.equal(apply_batch(Flip(), images, drawn), alone)


def test_flip_is_no_deformation() -> None:
    """It moves content, so it is refused where deformations are asked for; the message says what to do."""
    with pytest.raises(GenesisError, match="target alike"):
        Compose((Flip(),))  # type: ignore[arg-type]


def test_rate_outside_0_to_1_is_refused() -> None:
    """A percentage given for a probability is caught."""
    with pytest.raises(GenesisError, match="probability"):
        Flip(p=40)
