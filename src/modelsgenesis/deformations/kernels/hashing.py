"""Random numbers without a state: the k-th one is a function of a 64-bit key and k, the same on every device.

A drawn key stands for as many numbers as a noise or a permutation needs. The function is 32-bit integer arithmetic
alone (exclusive or, shifts, multiplications that wrap), so a compiled loop, NumPy and a GPU agree bit for bit.

Source: the "lowbias32" mixer found by C. Wellons' search for integer hashes (public domain), applied once to the
counter with the key's low half and once more with its high half.
"""

from typing import Any

import numpy as np

from modelsgenesis.deformations.kernels.compiling import inlined

FIRST, SECOND = 0x7FEB352D, 0x846CA68B
A, B = np.uint32(FIRST), np.uint32(SECOND)
S15, S16, S8 = np.uint32(15), np.uint32(16), np.uint32(8)
WEYL = np.uint32(0x9E3779B9)  # odd, near 2^32 / golden ratio: its multiples spread evenly
TO_UNIT = np.float32(2.0**-24)


def draw_key(rng: np.random.Generator) -> int:
    """Draw the 64-bit key of one noise or permutation."""
    return int(rng.integers(0, 2**64, dtype=np.uint64))


def generator_of(key: int) -> np.random.Generator:
    """NumPy's counter-based generator of a drawn key, for noise that is not uniform."""
    return np.random.Generator(np.random.Philox(key=key))


def halves(key: int) -> tuple[np.uint32, np.uint32]:
    """Split a 64-bit key into its low and high 32 bits."""
    return np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32)


@inlined
def mixed(x: np.uint32) -> np.uint32:
    """Mix 32 bits: a bijection in which each bit of x flips each bit of the result half of the time."""
    x = np.uint32(x ^ (x >> S16))
    x = np.uint32(x * A)
    x = np.uint32(x ^ (x >> S15))
    x = np.uint32(x * B)
    return np.uint32(x ^ (x >> S16))


@inlined
def bits(counter: np.uint32, low: np.uint32, high: np.uint32) -> np.uint32:
    """The counter-th 32 random bits of the key (low, high)."""
    return mixed(np.uint32(mixed(np.uint32(counter ^ low)) + high))


@inlined
def below(bound: Any, random: np.uint32) -> np.int64:
    """Turn 32 random bits into an integer in 0..bound-1; its odds are even to bound / 2^32."""
    return np.int64((np.uint64(random) * np.uint64(bound)) >> np.uint64(32))


@inlined
def unit(random: np.uint32) -> np.float32:
    """Turn 32 random bits into a float32 in [0, 1): a multiple of 2^-24, so exact on every device."""
    return np.float32(np.int32(random >> S8)) * TO_UNIT
