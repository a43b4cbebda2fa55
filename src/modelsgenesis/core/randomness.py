"""Counter-based randomness: sample k of a run with seed s is a function of (s, k) alone."""

import zlib

import numpy as np

from modelsgenesis.core.errors import GenesisError


def generator_for(seed: int, index: int, stream: str = "") -> np.random.Generator:
    """Make the generator of one sample: the same whatever the worker, process or GPU that draws.

    Args:
        seed: the run's seed, 0 or more.
        index: the sample's number, 0 or more.
        stream: what the draws are for, so that training and validation never share theirs.
    Raises:
        GenesisError: a negative seed or index.
    Source: Salmon et al. 2011, Philox; keys are hashed by NumPy's SeedSequence.
    Example: >>> generator_for(0, 12345).random() == generator_for(0, 12345).random()
    True
    """
    if seed < 0 or index < 0:
        raise GenesisError(f"seed and sample must be 0 or more, got seed {seed} and sample {index}")
    entropy = (seed, index, zlib.crc32(stream.encode()))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
