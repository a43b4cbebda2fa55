"""How much annotation an arm saves: the budget at which it reaches what the reference reaches with more."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores, bootstrap_means
from modelsgenesis.benchmarking.statistics.comparison import check_reference
from modelsgenesis.benchmarking.statistics.few_seeds import Estimate, draw_seeds, scope_words
from modelsgenesis.benchmarking.statistics.learning_curve import first_reaching, isotonic
from modelsgenesis.benchmarking.statistics.runs import Table
from modelsgenesis.benchmarking.statistics.saving_interval import (
    as_savings,
    covariance,
    level_with,
    percentile_interval,
    together,
)
from modelsgenesis.metrics.bootstrap import MOST_UNDEFINED, Weights

Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True)
class LabelSaving:
    """1 - needed / cases: the share of the reference's budget that the arm does without.

    Attributes:
        task: its name.
        metric: its name.
        arm: its name.
        reference: the arm whose score is to be reached.
        cases: the reference's budget.
        score: of the reference there, on its learning curve.
        needed: cases with which the arm reaches it; the arm's first budget where that is enough already, infinity where
            its last is not.
        bound: "at least" and "at most" in these two cases, for the saving is then a bound.
        saving: with its interval; the low end is -infinity where the arm's last budget may not be enough, the high end
            1 where its first may be.
        percentile: the same with the plain bootstrap's interval over seeds alone, which for few seeds is too narrow.
        n: seeds of the budget that has the fewest, of both arms.
        missing: runs of either arm that are not there.
        patients: that the interval is over, as well as over seeds; 0 where it holds for these test cases only.
    """

    task: str
    metric: str
    arm: str
    reference: str
    cases: int
    score: float
    needed: float
    bound: Bound
    saving: Estimate
    percentile: Estimate
    n: int
    missing: int
    patients: int

    @property
    def shown(self) -> bool:
        """Whether the whole interval is above zero: only then a saving may be claimed."""
        return self.saving.low95 > 0

    @property
    def claim(self) -> str:
        """The claim that the saving supports, and for whom it holds."""
        if not self.shown:
            return "not shown"
        much = f"{self.bound} {self.saving.value:.0%}".strip()
        ends = f"{self.saving.low95:.0%} to {self.saving.high95:.0%}"
        return f"saves {much} (95 % interval {ends}, {scope_words(self.patients > 0)})"


@dataclass(frozen=True)
class _Curves:
    """The learning curves of an arm, of which larger is better: the measured and the resampled."""

    budgets: NDArray[np.float64]  # (budgets,)
    n: int
    missing: int
    point: NDArray[np.float64]  # (budgets,)
    by_seed: NDArray[np.float64]  # (resamples, budgets), NaN where a budget was left without a run
    by_patient: NDArray[np.float64]  # (resamples, budgets)


def label_savings(
    table: Table,
    reference: str = "scratch",
    *,
    higher_is_better: bool = True,
    bootstrap: BootstrapScores | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[LabelSaving]:
    """Compute what every other arm saves at every budget of the reference.

    Seeds are resampled jointly for all arms and budgets, for their cases are the same and nested. Where scores on
    resampled patients are given, or those of the cases, the interval is over patients too.

    Args:
        table: of one task and metric.
        reference: the arm whose scores are to be reached.
        higher_is_better: False for errors and distances.
        bootstrap: the runs' scores on resampled patients; by default from the cases' scores, if the table has them.
        resamples: of the bootstrap.
        seed: of it.
    Raises:
        DataError: the reference is no arm of the table.
    """
    check_reference(table, reference)
    sign = 1.0 if higher_is_better else -1.0
    seeds = draw_seeds(len(table.seeds), resamples, seed)
    bootstrap = bootstrap or bootstrap_means(table, resamples=resamples, seed=seed)
    curves = {arm: _curves(table, arm, sign, seeds, bootstrap) for arm in table.arms}
    num_patients = bootstrap.num_patients if bootstrap else 0
    return [
        _saving(table, arm, reference, curves, column, sign, num_patients)
        for arm in table.arms
        if arm != reference
        for column in range(len(curves[reference].budgets))
    ]


def _curves(table: Table, arm: str, sign: float, seeds: Weights, bootstrap: BootstrapScores | None) -> _Curves:
    at, values = table.arms.index(arm), table.of(arm)
    run = np.isfinite(values).any(1)
    there = np.isfinite(values[run])
    scores = sign * np.where(there, bootstrap.whole[at, run] if bootstrap else values[run], 0)
    by_patient = np.empty((0, len(scores)))
    if bootstrap:
        drawn = np.moveaxis(sign * np.where(there[..., None], bootstrap.values[at, run], 0), -1, 0)
        by_patient = _fit(drawn, np.broadcast_to(there, drawn.shape))  # (resamples, budgets, seeds)
    return _Curves(
        np.array(table.budgets, np.float64)[run],
        int(there.sum(1).min()),
        int((~there).sum()),
        point=_fit(scores[None], there[None])[0],
        by_seed=_fit(scores * seeds[:, None], there * seeds[:, None]),
        by_patient=by_patient,
    )


def _fit(sums: NDArray[np.float64], counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Monotone curves (curves, budgets) of (curves, budgets, seeds); NaN where a budget has no run."""
    num = np.asarray(counts.sum(-1), np.float64)
    means = np.divide(sums.sum(-1), num, out=np.zeros(num.shape), where=num > 0)
    whole = (num > 0).all(-1, keepdims=True)
    return np.where(whole, isotonic(means, np.maximum(num, 1)), np.nan)


def _saving(
    table: Table, arm: str, reference: str, curves: dict[str, _Curves], column: int, sign: float, num_patients: int
) -> LabelSaving:
    ours, theirs = curves[arm], curves[reference]
    budget, target = int(theirs.budgets[column]), float(theirs.point[column])
    needed = float(first_reaching(ours.budgets, ours.point[None], np.array([target]))[0])
    value = 1 - float(min(needed, ours.budgets[-1])) / budget
    interval, percentile = _intervals(ours, theirs, column, value, num_patients)
    return LabelSaving(
        task=table.task,
        metric=table.metric,
        arm=arm,
        reference=reference,
        cases=budget,
        score=sign * target,
        needed=needed,
        bound="at most" if np.isinf(needed) else "at least" if target <= ours.point[0] else "",
        saving=interval,
        percentile=percentile,
        n=min(ours.n, theirs.n),
        missing=ours.missing + theirs.missing,
        patients=num_patients,
    )


def _intervals(
    ours: _Curves, theirs: _Curves, column: int, value: float, num_patients: int
) -> tuple[Estimate, Estimate]:
    """The saving with its interval, and with the plain bootstrap's; without any where seeds or patients are too few."""
    budget, target, n = int(theirs.budgets[column]), float(theirs.point[column]), min(ours.n, theirs.n)
    by_seed = together(ours.by_seed, theirs.by_seed[:, column])
    by_patient = together(ours.by_patient, theirs.by_patient[:, column])
    enough = len(by_seed) >= (1 - MOST_UNDEFINED) * len(ours.by_seed)
    if n < 2 or not enough or num_patients == 1:
        return Estimate(value), Estimate(value)
    parts = [covariance(by_seed, n)] + ([covariance(by_patient, num_patients)] if num_patients else [])
    freedoms = np.array([n - 1, num_patients - 1][: len(parts)])
    ends = level_with(np.log(ours.budgets), np.append(ours.point, target), np.stack(parts), freedoms)
    interval = Estimate(value, *as_savings(ends, ours.budgets, budget))
    return interval, percentile_interval(ours.budgets, by_seed, budget, value)
