"""Intervals that hold for the three to ten seeds a benchmark can pay for, over seeds alone or over patients too.

The bootstrap's own percentiles are too narrow there: of five seeds they hold the truth 84 times in 100, not 95. So the
bootstrap gives the standard error, made good for drawing from the few, and Student's t its reach.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from modelsgenesis.benchmarking.statistics.significance import is_constant
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.metrics.bootstrap import LEVEL, Weights

LISTED = 5**5  # up to five seeds all resamples are listed, so that no chance is left in them


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN is undefined, and an infinite end is open.

    Attributes:
        value: the number.
        low95: of the interval.
        high95: of the interval.
    """

    value: float
    low95: float = float("nan")
    high95: float = float("nan")

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero; never so where it is undefined."""
        return self.low95 > 0 or self.high95 < 0


def scope_words(over_patients: bool) -> str:
    """What an interval covers, in words."""
    return "over seeds and patients" if over_patients else "over seeds, for these test cases only"


def draw_seeds(num_seeds: int, resamples: int, seed: int) -> Weights:
    """Draw seeds with replacement: all ways, up to five of them, else at random.

    Args:
        num_seeds: that there are.
        resamples: how often, if at random.
        seed: of the draws.
    Returns:
        (resamples, num_seeds): how many times each is in.
    """
    if num_seeds**num_seeds <= LISTED:
        drawn = np.indices((num_seeds,) * num_seeds).reshape(num_seeds, -1).T
    else:
        drawn = generator_for(seed, 0, "seeds").integers(num_seeds, size=(resamples, num_seeds))
    return np.stack([(drawn == k).sum(1) for k in range(num_seeds)], axis=1).astype(np.int64)


def mean_over_seeds(values: NDArray[np.float64]) -> Estimate:
    """The mean of (seeds,) with Student's interval: what the bootstrap's standard error comes to for a mean.

    Where all are equal nothing is known of their spread, and there is no interval, as there is no t-test.
    """
    n = len(values)
    if n < 2 or is_constant(values):
        return Estimate(float(values.mean()) if n else float("nan"))
    return t_estimate(float(values.mean()), [(float(values.var(ddof=1)) / n, n - 1)])


def mean_over_both(values: NDArray[np.float64], bootstrap: NDArray[np.float64], num_patients: int) -> Estimate:
    """Estimate the mean over both seeds and patients.

    The variances of both are added. What seeds and patients share is thus in twice: the interval is rather too wide;
    it is never narrower than that over seeds, or over patients, alone, and there is none where the seeds have none.

    Args:
        values: (seeds,).
        bootstrap: (seeds, resamples), the same on resampled patients.
        num_patients: that were drawn from.
    """
    n = len(values)
    if min(n, num_patients) < 2 or is_constant(values):
        return Estimate(float(values.mean()) if n else float("nan"))
    of_patients = float(bootstrap.mean(0).var()) * num_patients / (num_patients - 1)
    of_seeds = float(values.var(ddof=1)) / n
    return t_estimate(float(values.mean()), [(of_seeds, n - 1), (of_patients, num_patients - 1)])


def t_estimate(value: float, parts: list[tuple[float, int]]) -> Estimate:
    """Estimate a mean with Student's t interval.

    Args:
        value: the number.
        parts: variance of the number and degrees of freedom, of each source of chance.
    """
    reach = float(t_reach(np.array([[variance] for variance, _ in parts]), np.array([free for _, free in parts]))[0])
    return Estimate(value, value - reach, value + reach)


def t_reach(variances: NDArray[np.float64], freedoms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Half the width of a 95 % interval whose variance is a sum, by Satterthwaite's degrees of freedom.

    It is never less than that of one source alone: the sum of two may have so many more degrees of freedom than the
    seeds that a further source of chance would make the interval narrower.

    Args:
        variances: (sources, numbers), of each number by each source of chance.
        freedoms: (sources,).
    Returns:
        (numbers,).
    """
    total = variances.sum(0)
    squares = (variances**2 / freedoms[:, None]).sum(0)
    freedom = np.divide(total**2, squares, out=np.full(len(total), 1.0), where=squares > 0)
    together = stats.t.ppf(LEVEL[1] / 100, freedom) * np.sqrt(total)
    alone = stats.t.ppf(LEVEL[1] / 100, freedoms[:, None]) * np.sqrt(variances)
    return np.asarray(np.maximum(together, alone.max(0)), np.float64)


def percentiles(values: NDArray[np.float64], value: float) -> Estimate:
    """The middle 95 % of resampled numbers, some perhaps infinite: the plain bootstrap, too narrow for few seeds."""
    if not len(values):
        return Estimate(value)
    low = np.percentile(values, LEVEL[0], method="lower")
    high = np.percentile(values, LEVEL[1], method="higher")
    return Estimate(value, float(low), float(high))
