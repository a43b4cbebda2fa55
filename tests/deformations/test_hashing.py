"""Random numbers as a function of key and counter."""

import numpy as np
import torch
from scipy import stats

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations.kernels import device
from modelsgenesis.deformations.kernels.compiling import compiled
from modelsgenesis.deformations.kernels.hashing import below, bits, draw_key, halves, unit


@compiled
def expand(num, low, high):
    """The first bits of a key, and as numbers in 0..9 and in [0, 1)."""
    words, tens, units = np.empty(num, np.uint32), np.empty(num, np.int64), np.empty(num, np.float32)
    for k in range(num):
        words[k] = bits(np.uint32(k), low, high)
        tens[k] = below(10, words[k])
        units[k] = unit(words[k])
    return words, tens, units


def test_compiled_and_torch_agree_bit_for_bit() -> None:
    """For keys with and without their highest bits."""
    for key in (0, 1, 2**32 - 1, 2**63, 2**64 - 1, draw_key(generator_for(0, 0))):
        words, tens, units = expand(5000, *halves(key))
        low, high = device.key_words([key], torch.device("cpu"))
        theirs = device.bits(torch.arange(5000, dtype=torch.int32), low, high)
        np.testing.assert_array_equal(words.view(np.int32), theirs.numpy())
        np.testing.assert_array_equal(tens, device.below(10, theirs).numpy())
        noise = device.noise(low, high, 5000, 1, torch.tensor([False]))[0, 0]
        np.testing.assert_array_equal(units, noise.numpy())


def test_bits_are_fair_and_counters_and_keys_unrelated() -> None:
    """Each bit is 1 half of the time; a neighbour counter or key flips half of the bits."""
    words, tens, units = expand(200_000, *halves(12345))
    each = np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1)
    assert np.abs(each.mean(axis=0) - 0.5).max() < 0.006
    assert stats.chisquare(np.bincount(tens)).pvalue > 1e-4
    assert 0 <= units.min() < 1e-4 < 1 - 1e-4 < units.max() < 1
    for other in (words[1:], expand(200_000, *halves(12346))[0], expand(200_000, *halves(12345 + 2**32))[0]):
        flipped = np.unpackbits((words[: len(other)] ^ other).view(np.uint8)).mean()
        assert abs(flipped - 0.5) < 0.002
