"""Any case is as good as any other: what every other way to choose has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from modelsgenesis.choosing.strategy import Choice, Needs, Pool, Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Draw cases by the seed; fewer are the first of more."""

    needs: ClassVar[Needs] = "nothing"

    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Draw without looking at anything."""
        drawn = rng.random(len(pool.labelled))
        first = sorted(pool.open.tolist(), key=lambda case: drawn[case])[:num]
        return [Choice(case, float(drawn[case]), "drawn by the seed") for case in first]
