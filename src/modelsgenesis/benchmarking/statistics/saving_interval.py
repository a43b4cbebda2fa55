"""Between which numbers of cases an arm may just be as good as the reference: the interval of a label saving."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.few_seeds import Estimate, percentiles, t_reach
from modelsgenesis.benchmarking.statistics.learning_curve import first_reaching
from modelsgenesis.benchmarking.statistics.significance import SAME

STEPS = 64  # places looked at between two budgets
# A lead whose variance is below that share of the scores' own is the same in every seed, but for rounding.
ALIKE = 1e-12
DECIMALS = 9  # of a saving; beyond them is the rounding of logarithms, which must not show a saving of 0


def together(arm: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resampled curves and targets, (resamples, budgets + 1), where both are defined."""
    both = np.column_stack([arm, target])
    return np.asarray(both[np.isfinite(both).all(1)])


def covariance(resampled: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The covariance of curve and target, corrected for drawing from n."""
    return np.atleast_2d(np.cov(resampled, rowvar=False, ddof=0)) * n / (n - 1)


def level_with(
    logs: NDArray[np.float64], curve: NDArray[np.float64], parts: NDArray[np.float64], freedoms: NDArray[np.int64]
) -> tuple[float, float]:
    """The fewest and the most cases at which the arm may just be level with the target, as logarithms.

    A number of cases is possible where the 95 % t-interval of the arm's score there minus the target holds zero.
    -inf: the first budget may be enough; +inf: the last may not be. Where even the first is surely enough the most is
    -inf, and where even the last surely is not the fewest is +inf. Where all seeds have the same lead nothing is known
    of its spread, and that number of cases is possible, however great the lead is.

    Args:
        logs: (budgets,) of the arm.
        curve: (budgets + 1,): the arm's scores, then the target.
        parts: (sources, budgets + 1, budgets + 1) covariances of these; the seeds' first.
        freedoms: (sources,).
    """
    steps = (np.linspace(a, b, STEPS, endpoint=False) for a, b in pairwise(logs))
    places = np.concatenate([*steps, logs[-1:]])
    hats = np.stack([np.interp(places, logs, one) for one in np.eye(len(logs))], axis=1)
    minus = np.column_stack([hats, -np.ones(len(places))])  # (places, budgets + 1): arm minus target
    lead = minus @ curve
    variances = np.maximum(np.einsum("pi,sij,pj->sp", minus, parts, minus), 0)
    rounding = max(ALIKE * float(np.diag(parts[0]).max()), (SAME * float(np.abs(curve).max())) ** 2)
    reach = np.where(variances[0] > rounding, t_reach(variances, freedoms), np.inf)
    fewest = _crossing(places, lead + reach)
    most = -_crossing(-places[::-1], (reach - lead)[::-1])
    return fewest, most


def _crossing(places: NDArray[np.float64], heights: NDArray[np.float64]) -> float:
    """Find where heights first reach 0, interpolated between places; -inf before the first, +inf after the last."""
    above = heights >= 0
    at = int(above.argmax())
    if above[at] and at:
        share = -heights[at - 1] / (heights[at] - heights[at - 1])
        return float(places[at - 1] + share * (places[at] - places[at - 1]))
    return float("-inf") if above[at] else float("inf")


def as_savings(ends: tuple[float, float], budgets: NDArray[np.float64], budget: int) -> tuple[float, float]:
    """Low and high end of the saving, from the fewest and the most cases (logarithms, infinite beyond the budgets)."""
    fewest, most = ends
    high = 1.0 if fewest == -np.inf else 1 - min(np.exp(fewest), budgets[-1]) / budget
    low = -np.inf if most == np.inf else 1 - max(np.exp(most), budgets[0]) / budget
    return float(np.round(low, DECIMALS)), float(np.round(high, DECIMALS))


def percentile_interval(
    budgets: NDArray[np.float64], by_seed: NDArray[np.float64], budget: int, value: float
) -> Estimate:
    """The plain bootstrap's interval of a saving, over seeds alone; for few seeds it is too narrow."""
    drawn = 1 - first_reaching(budgets, by_seed[:, :-1], by_seed[:, -1]) / budget
    drawn[(by_seed[:, 0] >= by_seed[:, -1])] = 1.0  # the first budget is enough, perhaps fewer cases too
    found = percentiles(drawn, value)
    return Estimate(value, min(found.low95, 1 - float(budgets[0]) / budget), found.high95)
