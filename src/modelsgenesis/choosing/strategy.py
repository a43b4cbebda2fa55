"""What a way to choose cases is given, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.words import many

ROOM = "choosing.strategies"
LEAST = 1e-12  # of a length or a spread that something is divided by

Numbers = NDArray[np.float64]
Needs = Literal["nothing", "vectors", "answer", "patches"]  # "answer" may be one of the whole case


@dataclass(frozen=True)
class Answers:
    """What a network says of the same thing when it is shown it again and again.

    Attributes:
        p: (answers, classes, places), probabilities that sum to 1 over the classes; of one label among several that do
            not exclude each other the classes are there and not there, and each label is a place.
        same_places: every answer is of the same voxels; otherwise answers are of patches of which some show little.
    """

    p: Numbers
    same_places: bool = False


@dataclass(frozen=True)
class Pool:
    """Cases to choose from, and those that have labels already.

    Attributes:
        vectors: (cases, length), as `comparable` gives them; (cases, 0) where there are none.
        labelled: (cases,), which have labels.
        answers: gives the number of each case without labels and what a network says of it, in parts; cases that it
            cannot read are left out.
    """

    vectors: Numbers
    labelled: NDArray[np.bool_]
    answers: Callable[[], Iterator[tuple[int, Iterator[Answers]]]] = field(default=lambda: iter(()))

    @property
    def open(self) -> NDArray[np.intp]:
        """The numbers of the cases without labels."""
        return np.flatnonzero(~self.labelled)


@dataclass(frozen=True)
class Choice:
    """A case that was chosen.

    Attributes:
        case: its number in the pool.
        score: by which it was; what it means is the strategy's.
        why: in words.
        cluster: of vectors that it stands for, or None.
    """

    case: int
    score: float
    why: str
    cluster: int | None = None


class Strategy(ABC):
    """A way to choose; a frozen dataclass whose fields are its settings."""

    needs: ClassVar[Needs] = "vectors"

    @abstractmethod
    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Choose cases without labels, the one to label first first.

        Args:
            pool: with at least so many of them.
            num: how many.
            rng: for what is left to chance.
        """


def find_strategy(name: str) -> Strategy:
    """Make the strategy of a file's name, or of `package.module:Class` from outside.

    Raises:
        GenesisError: there is none.
    """
    made: Strategy = find_class(ROOM, name, Strategy)()
    return made


def choose_from(strategy: Strategy, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
    """Choose cases.

    Args:
        strategy: that chooses.
        pool: to choose from.
        num: how many.
        rng: for what is left to chance.
    Raises:
        DataError: there are not so many cases without labels, or not so many that could be read.
    """
    if not len(pool.open):
        raise DataError("every case has a label already: there is none to choose; embed scans without labels too")
    if not 1 <= num <= len(pool.open):
        raise DataError(f"{many(num, 'case')} wanted of {len(pool.open)} without labels; ask for 1 to that many")
    chosen = strategy.choose(pool, num, rng)
    if len(chosen) < num:
        raise DataError(f"{many(num, 'case')} wanted, and only {len(chosen)} could be read; ask for fewer")
    return chosen


def comparable(vectors: NDArray[np.float32] | Numbers) -> Numbers:
    """Standardise vectors by all of them and give each the length 1, so that distances weigh every feature alike."""
    wide = np.asarray(vectors, np.float64)
    spread = wide.std(axis=0)
    spread[spread < LEAST] = 1.0
    centred = (wide - wide.mean(axis=0)) / spread
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), LEAST))


def by_score(pool: Pool, num: int, score: Callable[[Answers], float], words: Callable[[float], str]) -> list[Choice]:
    """Choose the cases with the greatest mean score of their answers; of equal ones the first."""
    scores = [(case, float(np.mean([score(part) for part in parts]))) for case, parts in pool.answers()]
    best: Sequence[tuple[int, float]] = sorted(scores, key=lambda each: -each[1])[:num]
    return [Choice(case, value, words(value)) for case, value in best]


def entropy(p: Numbers, axis: int) -> Numbers:
    """The entropy of probabilities along an axis, in nats."""
    return np.asarray(-(p * np.log(np.maximum(p, LEAST))).sum(axis=axis))
