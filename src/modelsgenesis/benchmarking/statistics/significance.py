"""Tests of a difference between two arms, and how large it is beside its spread. scipy computes."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

UNDEFINED = float("nan")
FLIPS = 9_999  # beyond 13 pairs the signs are drawn, not listed
DECIMALS = 12  # differences equal up to there share a rank
SAME = 1e-12  # a spread below that share of the numbers is rounding


@dataclass(frozen=True)
class PValue:
    """The p value of one two-sided test.

    Attributes:
        p: the chance of a difference as great where there is none; NaN undefined.
        least: the smallest p that so many seeds can give, whatever the difference.
        holm: `p` after Holm's correction for all comparisons of the family; NaN before it, or undefined.
    """

    p: float
    least: float = 0.0
    holm: float = UNDEFINED

    @property
    def can_reach(self) -> bool:
        """Whether any difference at all could come below 0.05; if not, a large p says nothing."""
        return self.least < 0.05


def independent_t(one: NDArray[Any], other: NDArray[Any]) -> PValue:
    """Student's two-sample t-test, the paper's; it does not know that the seeds are paired.

    Args:
        one: (n,).
        other: (m,).
    """
    if min(len(one), len(other)) < 2 or (is_constant(one) and is_constant(other)):
        return PValue(UNDEFINED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one of the two is constant: no reason to complain
        return PValue(float(stats.ttest_ind(one, other).pvalue))


def paired_t(differences: NDArray[Any]) -> PValue:
    """Student's t-test of paired differences (n,): below 0.05 exactly where the 95 % t-interval excludes zero."""
    if len(differences) < 2 or is_constant(differences):
        return PValue(UNDEFINED)
    return PValue(float(stats.ttest_1samp(differences, 0).pvalue))


def sign_flip(differences: NDArray[Any], seed: int = 0) -> PValue:
    """Exact test of paired differences (n,): of all ways to swap the two arms, how many give a mean as far from zero.

    It assumes no more than that, with no effect, either sign is as likely. Up to 13 pairs all ways are listed,
    and p cannot be below 2 / 2^n: 1/4 with 3 seeds, 1/16 with 5, 1/512 with 10.
    """
    n = len(differences)
    if n < 2:
        return PValue(1.0 if n else UNDEFINED, 1.0)
    listed = 2**n <= FLIPS
    found = stats.permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        rng=np.random.default_rng(seed),
    )
    return PValue(float(found.pvalue), min(1.0, 2.0 ** (1 - n)) if listed else 2 / (FLIPS + 1))


def wilcoxon(differences: NDArray[Any], seed: int = 0) -> PValue:
    """Wilcoxon's signed-rank test of paired differences (n,), exact; equal ranks are handled by flipping signs.

    Differences of zero are left out, as he did; the least p is that of the rest.
    """
    rounded = np.round(differences, DECIMALS)
    there = rounded[rounded != 0]
    if not len(there):
        return PValue(1.0 if len(differences) else UNDEFINED, 1.0)
    tied = len(np.unique(np.abs(there))) < len(there)
    rng = np.random.default_rng(seed)
    method: Any = stats.PermutationMethod(n_resamples=FLIPS, rng=rng) if tied else "exact"
    listed = not tied or 2 ** len(there) <= FLIPS
    least = min(1.0, 2.0 ** (1 - len(there))) if listed else 2 / (FLIPS + 1)
    return PValue(float(stats.wilcoxon(there, method=method).pvalue), least)


def holm(values: Sequence[PValue]) -> list[PValue]:
    """Correct a family of tests by Holm's steps; an undefined one counts in the family and stays undefined.

    Args:
        values: of one test, all comparisons that were looked at.
    """
    order = sorted(range(len(values)), key=lambda k: (math.isnan(values[k].p), values[k].p))
    corrected, worst = list(values), 0.0
    for rank, k in enumerate(order):
        if not math.isnan(values[k].p):
            worst = max(worst, min(1.0, (len(values) - rank) * values[k].p))
            corrected[k] = replace(values[k], holm=worst)
    return corrected


def cohen_d(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Difference of the means in pooled standard deviations; undefined where these are 0 or there are too few."""
    if min(len(one), len(other)) < 2 or (is_constant(one) and is_constant(other)):
        return UNDEFINED
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in (one, other))
    return float((one.mean() - other.mean()) / math.sqrt(squares / (len(one) + len(other) - 2)))


def cohen_dz(differences: NDArray[Any]) -> float:
    """Mean of paired differences (n,) in their standard deviations; undefined where that is 0 or there are too few."""
    if len(differences) < 2 or is_constant(differences):
        return UNDEFINED
    return float(differences.mean() / differences.std(ddof=1))


def hedges(effect: float, freedom: int) -> float:
    """Take the upward bias of few samples off an effect; undefined below two degrees of freedom.

    Args:
        effect: `cohen_d` with n + m - 2 degrees of freedom, or `cohen_dz` with n - 1.
        freedom: degrees of freedom.
    Source: Hedges 1981, the exact factor.
    """
    if freedom < 2:
        return UNDEFINED
    log_factor = special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2) - math.log(freedom / 2) / 2
    return effect * math.exp(float(log_factor))


def is_constant(values: NDArray[Any]) -> bool:
    """Whether all numbers are equal, but for rounding."""
    return bool(np.ptp(values) <= SAME * np.abs(values).max())
