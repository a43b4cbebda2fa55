"""What a network is least sure of."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from modelsgenesis.choosing.strategy import Answers, Choice, Needs, Pool, Strategy, by_score, entropy


@dataclass(frozen=True)
class Uncertainty(Strategy):
    """Choose the cases whose mean answer has the greatest entropy, in nats; of masks the mean over voxels.

    Source: Shannon 1948; Lewis and Gale, A sequential algorithm for training text classifiers, SIGIR 1994.
    """

    needs: ClassVar[Needs] = "answer"

    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Rank cases by entropy."""
        return by_score(pool, num, _score, lambda value: f"entropy of the answer {value:.4g}")


def _score(answers: Answers) -> float:
    return float(entropy(answers.p.mean(axis=0), axis=0).mean())
