"""An arm of a benchmark against the reference, budget by budget, paired by seed."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores, bootstrap_means
from modelsgenesis.benchmarking.statistics.few_seeds import (
    Estimate,
    draw_seeds,
    mean_over_both,
    mean_over_seeds,
    percentiles,
)
from modelsgenesis.benchmarking.statistics.runs import Table
from modelsgenesis.benchmarking.statistics.significance import (
    PValue,
    cohen_d,
    cohen_dz,
    hedges,
    holm,
    independent_t,
    is_constant,
    paired_t,
    sign_flip,
    wilcoxon,
)
from modelsgenesis.core.errors import DataError

TESTS = ("independent_t", "paired_t", "sign_flip", "wilcoxon")


@dataclass(frozen=True)
class Comparison:
    """An arm and the reference after training with as many cases; all numbers are of the seeds that both have.

    Attributes:
        task: its name.
        metric: its name.
        arm: its name.
        reference: the arm it is held against.
        cases: trained with.
        n: pairs of runs.
        missing: seeds that lack the run of one or both, and so are in no number.
        mean: of the arm.
        sd: of the arm, with n - 1.
        reference_mean: of the reference.
        reference_sd: of the reference, with n - 1.
        difference: arm minus reference, for other seeds on the same test cases.
        percentile: the same with the plain bootstrap's interval, which for few seeds is too narrow.
        over_patients: the same for other seeds and other patients; None where nothing is known of patients.
        patients: that it is over.
        undefined: test cases it leaves out.
        independent_t: the paper's two-sample t-test.
        paired_t: Student's test of the differences; agrees with `difference`.
        sign_flip: the exact permutation test of the differences.
        wilcoxon: the exact signed-rank test.
        d: Cohen's, of two independent samples.
        g: `d` without its bias of few samples (Hedges).
        d_z: Cohen's, of the differences.
        g_z: `d_z` without its bias.
    """

    task: str
    metric: str
    arm: str
    reference: str
    cases: int
    n: int
    missing: tuple[int, ...]
    mean: float
    sd: float
    reference_mean: float
    reference_sd: float
    difference: Estimate
    percentile: Estimate
    over_patients: Estimate | None
    patients: int
    undefined: int
    independent_t: PValue
    paired_t: PValue
    sign_flip: PValue
    wilcoxon: PValue
    d: float
    g: float
    d_z: float
    g_z: float


def compare_arms(
    table: Table,
    reference: str = "scratch",
    *,
    bootstrap: BootstrapScores | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Comparison]:
    """Hold every other arm against the reference at every budget it was run with; together they are Holm's family.

    Args:
        table: of one task and metric.
        reference: the arm to hold against.
        bootstrap: the runs' scores on resampled patients; by default from the cases' scores, if the table has them.
        resamples: of the bootstrap.
        seed: of it.
    Raises:
        DataError: the reference is no arm of the table.
    """
    check_reference(table, reference)
    bootstrap = bootstrap or bootstrap_means(table, resamples=resamples, seed=seed)
    compared = [
        _comparison(table, bootstrap, arm, reference, budget, resamples, seed)
        for arm in table.arms
        if arm != reference
        for budget, values in enumerate(table.of(arm))
        if np.isfinite(values).any()
    ]
    for test in TESTS:
        corrected = holm([getattr(one, test) for one in compared])
        changes: list[dict[str, Any]] = [{test: value} for value in corrected]
        compared = [replace(one, **change) for one, change in zip(compared, changes, strict=True)]
    return compared


def gain_from_labels(table: Table, arm: str = "scratch") -> Estimate:
    """How much more an arm scores with its most labelled cases than with its fewest, paired by seed.

    Where that is not shown to be more, something else than labels limits the arm, such as the updates it gets.

    Args:
        table: all runs of a task, by one metric.
        arm: to look at.
    Returns:
        The mean over the seeds that have both, with Student's 95 % interval; NaN where there is none, or one budget.
    Raises:
        DataError: no such arm.
    """
    check_reference(table, arm)
    values = table.of(arm)
    gains = values[-1] - values[0] if len(table.budgets) > 1 else np.empty(0)
    return mean_over_seeds(gains[np.isfinite(gains)])


def check_reference(table: Table, reference: str) -> None:
    """Raise a DataError where the reference is no arm of the table."""
    if reference not in table.arms:
        known = ", ".join(table.arms)
        raise DataError(f"no arm of {table.task} is called {reference}; the reference is one of: {known}")


def _comparison(
    table: Table, bootstrap: BootstrapScores | None, arm: str, reference: str, budget: int, resamples: int, seed: int
) -> Comparison:
    ours, theirs = table.of(arm)[budget], table.of(reference)[budget]
    paired = np.isfinite(ours) & np.isfinite(theirs)
    missing = tuple(each for each, there in zip(table.seeds, paired, strict=True) if not there)
    ours, theirs = ours[paired], theirs[paired]
    n, differences = len(ours), ours - theirs
    d, d_z = cohen_d(ours, theirs), cohen_dz(differences)
    return Comparison(
        table.task,
        table.metric,
        arm,
        reference,
        table.budgets[budget],
        n,
        missing,
        *_mean_and_sd(ours),
        *_mean_and_sd(theirs),
        difference=mean_over_seeds(differences),
        percentile=_plain(differences, resamples, seed),
        over_patients=_over_patients(table, bootstrap, arm, reference, budget, paired) if bootstrap else None,
        patients=bootstrap.num_patients if bootstrap else 0,
        undefined=table.undefined,
        independent_t=independent_t(ours, theirs),
        paired_t=paired_t(differences),
        sign_flip=sign_flip(differences, seed),
        wilcoxon=wilcoxon(differences, seed),
        d=d,
        g=hedges(d, 2 * n - 2),
        d_z=d_z,
        g_z=hedges(d_z, n - 1),
    )


def _mean_and_sd(values: NDArray[np.float64]) -> tuple[float, float]:
    nothing = float("nan")
    return (
        float(values.mean()) if len(values) else nothing,
        float(values.std(ddof=1)) if len(values) > 1 else nothing,
    )


def _plain(differences: NDArray[np.float64], resamples: int, seed: int) -> Estimate:
    n = len(differences)
    if n < 2 or is_constant(differences):
        return Estimate(_mean_and_sd(differences)[0])
    return percentiles(draw_seeds(n, resamples, seed) @ differences / n, float(differences.mean()))


def _over_patients(
    table: Table, bootstrap: BootstrapScores, arm: str, reference: str, budget: int, paired: NDArray[np.bool_]
) -> Estimate:
    ours, theirs = table.arms.index(arm), table.arms.index(reference)
    whole, values = (
        scores[ours, budget][paired] - scores[theirs, budget][paired] for scores in (bootstrap.whole, bootstrap.values)
    )
    return mean_over_both(whole, values, bootstrap.num_patients)
