"""Several sets of cases, one after the other: which case is sample number so-and-so of a run."""

import bisect
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for


@dataclass(frozen=True)
class Cycle:
    """One shuffled pass over each set, in the sets' order, again and again.

    A step sees one set. The last step of a pass is filled from the pass's beginning, so that every case is seen in
    each, and none more than the filling asks for.

    Args:
        cases: how many there are in each set.
        batch_size: samples a step.
    Raises:
        DataError: there is no set, or an empty one.
    """

    cases: tuple[int, ...]
    batch_size: int

    def __post_init__(self) -> None:
        if not self.cases or min(self.cases) < 1:
            raise DataError(f"every set needs a case to train on, got sets of {list(self.cases)}")

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of a pass over each set."""
        return tuple(-(-number // self.batch_size) for number in self.cases)

    def case(self, index: int, seed: int) -> tuple[int, int]:
        """The set and the case within it of sample number `index` of a run."""
        step, place = divmod(index, self.batch_size)
        number, within = pass_of(step, self.steps)
        chosen = number % len(self.cases)
        order = _shuffled(self.cases[chosen], number, seed)
        return chosen, int(order[(within * self.batch_size + place) % len(order)])


def pass_of(step: int, steps: Sequence[int]) -> tuple[int, int]:
    """The number of the pass that a step belongs to, from 0, and the step's own number within it.

    Args:
        step: of the run, from 0.
        steps: of a pass over each set.
    """
    ends = list(itertools.accumulate(steps))
    cycles, rest = divmod(step, ends[-1])
    which = bisect.bisect_right(ends, rest)
    return cycles * len(ends) + which, rest - (ends[which] - steps[which])


@functools.lru_cache(maxsize=2)  # a batch may span two passes at most
def _shuffled(number: int, which: int, seed: int) -> NDArray[np.int64]:
    """The order of a set's cases in a pass."""
    return generator_for(seed, which, "pass").permutation(number)
