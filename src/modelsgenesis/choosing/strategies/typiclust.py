"""Few labels: the most typical case of each kind that has none."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.choosing.strategy import LEAST, Choice, Pool, Strategy
from modelsgenesis.core.words import many


@dataclass(frozen=True)
class TypiClust(Strategy):
    """Cut the vectors into as many clusters as there will be labels, and take the most typical of each without one.

    Clusters are taken by how few of their cases have labels, then by size. Typicality is one over the mean distance to
    the nearest neighbours in the cluster.

    Attributes:
        neighbours: that typicality is a mean over.
        most: clusters.
        small: a cluster of fewer cases comes last: nothing is typical of it.
    Source: Hacohen, Dekel and Weinshall, Active learning on a budget: opposite strategies suit high and low budgets,
        ICML 2022, section 3 and its appendix. Vectors are `comparable`, clusters those of k-means.
    """

    neighbours: int = 20
    most: int = 500
    small: int = 5

    def choose(self, pool: Pool, num: int, rng: np.random.Generator) -> list[Choice]:
        """Take a case of every cluster in turn."""
        clusters = self._clusters(pool.vectors, min(int(pool.labelled.sum()) + num, self.most), rng)
        free = ~pool.labelled
        chosen: list[Choice] = []
        while len(chosen) < num:
            cluster = min(set(clusters[free].tolist()), key=lambda each: self._standing(each, clusters, free))
            members = np.flatnonzero((clusters == cluster) & free)
            typical = self._typicality(pool.vectors[members])
            case = int(members[int(np.argmax(typical))])
            why = f"the most typical of {many(int((clusters == cluster).sum()), 'case')} of its cluster"
            chosen.append(Choice(case, float(typical.max()), why, cluster))
            free[case] = False
        return chosen

    def _clusters(self, vectors: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
        from sklearn.cluster import KMeans  # here, since it takes a second

        num = min(num, len(np.unique(vectors, axis=0)))
        model = KMeans(num, n_init=3, random_state=int(rng.integers(2**31)))
        return np.asarray(model.fit_predict(vectors))

    def _standing(self, cluster: int, clusters: np.ndarray, free: np.ndarray) -> tuple[bool, int, int, int]:
        """The order of clusters: large enough, few of its cases done, many cases."""
        own = clusters == cluster
        return bool(own.sum() < self.small), int((own & ~free).sum()), -int(own.sum()), cluster

    def _typicality(self, vectors: np.ndarray) -> np.ndarray:
        """One over the mean distance to the nearest other members; (members,)."""
        if len(vectors) == 1:
            return np.ones(1)
        squared = np.square(vectors).sum(axis=1)
        apart = np.sqrt(np.maximum(squared[:, None] + squared[None] - 2 * vectors @ vectors.T, 0))
        np.fill_diagonal(apart, np.inf)
        num = max(1, min(self.neighbours, len(vectors) // 2))
        return np.asarray(1 / np.maximum(np.sort(apart, axis=1)[:, :num].mean(axis=1), LEAST))
