"""Cover all cases: always the one that is farthest from what has labels or was chosen."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.choosing.strategy import Choice, Pool, Strategy

FIRST = "drawn by the seed, since nothing has labels"


@dataclass(frozen=True)
class KCentre(Strategy):
    """Choose centres so that no case is far from one; greedily, which is at most twice as far as can be.

    Where nothing has labels, the first is drawn by the seed. The score is the distance to the nearest centre before.

    Source: Gonzalez 1985; Sener and Savarese, Active learning for convolutional neural networks: a core-set approach,
        ICLR 2018, algorithm 1. Distances are those of `comparable` vectors.
    """

    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Choose the farthest case, again and again."""
        chosen: list[Choice] = []
        far = np.full(len(pool.vectors), np.inf)
        for centre in np.flatnonzero(pool.labelled).tolist():
            far = np.minimum(far, _distances(pool, centre))
        while len(chosen) < num:
            first = not np.isfinite(far).any()
            taken = {choice.case for choice in chosen}
            left = [case for case in pool.open if case not in taken]
            case = int(rng.choice(left)) if first else int(max(left, key=lambda one: far[one]))
            score = 0.0 if first else float(far[case])
            chosen.append(Choice(case, score, FIRST if first else f"{score:.3f} from the nearest that has labels"))
            far = np.minimum(far, _distances(pool, case))
        return chosen


def _distances(pool: Pool, case: int) -> np.ndarray:
    return np.asarray(np.linalg.norm(pool.vectors - pool.vectors[case], axis=1))
