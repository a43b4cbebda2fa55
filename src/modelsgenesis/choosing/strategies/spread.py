"""How far a network's answers over one case's patches lie apart: the seeds' own way, of active fine-tuning."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from modelsgenesis.choosing.strategy import LEAST, Answers, Choice, Needs, Pool, Strategy, by_score, entropy


@dataclass(frozen=True)
class Spread(Strategy):
    """Choose the cases whose patches get unsure answers, and answers that differ from each other.

    The matrix R of a case has the entropy of patch j on its diagonal, and beside it the symmetric divergence
    sum over k of (p_jk - p_lk) log(p_jk / p_lk) of the patches j and l. Of the patches, only the share counts that
    speaks most for the class that is likely on the whole: a patch beside the lesion says nothing of it. The paper
    sums R, where all cases have as many patches; ours is the mean of R, which ranks those alike, and others fairly. Of
    masks the answers are views of the same voxels, which all count, and the mean is over voxels too.

    Attributes:
        share: of the patches that count, in (0, 1], at least two of them.
        entropy_weight: the paper's lambda 1.
        diversity_weight: the paper's lambda 2.
    Source: Zhou et al., Fine-tuning convolutional neural networks for biomedical image analysis: actively and
        incrementally, CVPR 2017, equations 1 to 3 and algorithm 1 (majority selection, a quarter); and its journal
        version, Medical Image Analysis 71:101997, 2021.
    """

    share: float = 0.25
    entropy_weight: float = 1.0
    diversity_weight: float = 1.0
    needs: ClassVar[Needs] = "patches"

    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Rank cases by the mean of R."""
        return by_score(pool, num, self.score, lambda value: f"mean entropy and diversity of its patches {value:.4g}")

    def score(self, answers: Answers) -> float:
        """The mean of R over its elements, and over places."""
        p = answers.p if answers.same_places else majority(answers.p, self.share)
        return float(
            (self.entropy_weight * entropy(p, axis=1).sum(axis=0) + self.diversity_weight * diversity(p)).mean()
            / len(p) ** 2
        )


def majority(p: np.ndarray, share: float) -> np.ndarray:
    """The answers that speak most for the class that is likely on the whole, at each place by itself.

    Args:
        p: (answers, classes, places).
        share: of the answers that are kept, at least two where there are two.
    """
    likely = p.mean(axis=0).argmax(axis=0)  # (places,)
    of_likely = np.take_along_axis(p, likely[None, None], axis=1)[:, 0]  # (answers, places)
    kept = np.argsort(-of_likely, axis=0, kind="stable")[: max(min(2, len(p)), round(share * len(p)))]
    return np.take_along_axis(p, kept[:, None], axis=0)


def diversity(p: np.ndarray) -> np.ndarray:
    """The sum of the symmetric divergence over all ordered pairs of answers, (answers, classes, places) -> (places,).

    Each pair is taken twice, as in the paper's matrix; the sum over pairs is one of sums, so that none is formed.
    """
    log = np.log(np.maximum(p, LEAST))
    return np.asarray(2 * (len(p) * (p * log).sum(axis=(0, 1)) - (p.sum(axis=0) * log.sum(axis=0)).sum(axis=0)))
