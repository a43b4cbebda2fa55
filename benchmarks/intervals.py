"""How often the statistics of a comparison are right, on simulated runs whose truth is known.

Run: python benchmarks/intervals.py {differences,patients,aucs,savings,tests} SIMULATIONS
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.bootstrap_scores import weighted_auc
from modelsgenesis.benchmarking.statistics.comparison import TESTS, Comparison, compare_arms
from modelsgenesis.benchmarking.statistics.few_seeds import (
    Estimate,
    draw_seeds,
    mean_over_both,
    mean_over_seeds,
    percentiles,
)
from modelsgenesis.benchmarking.statistics.label_saving import LabelSaving, label_savings
from modelsgenesis.benchmarking.statistics.runs import Table
from modelsgenesis.metrics.bootstrap import resample_patients

BUDGETS = (3, 6, 12, 25, 50, 100)
SAVED = 0.4  # what the arm truly saves, at every budget
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
SHAPES: dict[str, Draw] = {  # each with mean 0
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy-tailed (t, 3 degrees)": lambda rng, n: rng.standard_t(3, n),
    "skewed (exponential)": lambda rng, n: rng.exponential(size=n) - 1,
}


def law(cases: NDArray[np.float64]) -> NDArray[np.float64]:
    """The true learning curve of scratch: a Dice that nears 0.85 by a power of the cases."""
    return np.asarray(0.85 - 0.5 * cases**-0.5)


def table_of(values: NDArray[np.float64], budgets: tuple[int, ...], cases: NDArray[np.float64] | None = None) -> Table:
    """A table of (arms, budgets, seeds): scratch and further arms; with (arms, budgets, seeds, patients) if given."""
    arms = ("scratch", *(f"arm {k}" for k in range(1, len(values))))
    patients = () if cases is None else tuple(f"p{k:03d}" for k in range(cases.shape[-1]))
    scores = np.full((*values.shape, 0), np.nan) if cases is None else cases
    return Table("simulated", "dice", arms, budgets, tuple(range(values.shape[-1])), values, patients, scores, 0)


def simulated(rng: np.random.Generator, num_seeds: int, arms: int, saved: float, noise: float = 0.03) -> Table:
    """Runs of scratch and arms that each save `saved`; which cases a seed drew moves all arms alike."""
    budgets = np.array(BUDGETS, float)
    cases = np.stack([budgets, *[budgets / (1 - saved)] * arms])
    spread = noise * (budgets / budgets[0]) ** -0.25
    drawn = rng.standard_normal((1, len(budgets), num_seeds))
    own = rng.standard_normal((arms + 1, len(budgets), num_seeds))
    return table_of(law(cases)[..., None] + spread[:, None] * (drawn + own) / np.sqrt(2), BUDGETS)


def with_patients(
    rng: np.random.Generator, num_seeds: int, num_patients: int, saved: float, gain: float = 0.04
) -> Table:
    """The same for scratch and one arm, with scores of test patients: some gain more from an arm than others."""
    runs = simulated(rng, num_seeds, 1, saved)
    shape = (2, len(BUDGETS))
    patient = 0.08 * rng.standard_normal(num_patients) + gain * rng.standard_normal((2, 1, 1, num_patients))
    scores = runs.values[..., None] + patient + 0.04 * rng.standard_normal((*shape, num_seeds, num_patients))
    return table_of(scores.mean(-1), BUDGETS, scores)


def holds(estimate: Estimate, truth: float) -> bool:
    """Whether the truth is in the interval."""
    return estimate.low95 <= truth <= estimate.high95


def compared(simulations: int, num_seeds: int, arms: int, seed: int = 0) -> Iterator[list[Comparison]]:
    """Comparisons of arms that are no better than scratch."""
    rng = np.random.default_rng(seed)
    for _ in range(simulations):
        yield compare_arms(simulated(rng, num_seeds, arms, 0.0), resamples=500)


def saved(
    simulations: int, num_seeds: int, truth: float, num_patients: int = 0, seed: int = 0
) -> list[list[LabelSaving]]:
    """What one arm saves, at each budget, of each simulation."""
    rng = np.random.default_rng(seed)
    tables = (
        with_patients(rng, num_seeds, num_patients, truth) if num_patients else simulated(rng, num_seeds, 1, truth)
        for _ in range(simulations)
    )
    return [label_savings(table, resamples=1000) for table in tables]


def false_positives(simulations: int) -> None:
    """Print how often a test calls a difference that is not there; Holm's over the family of all arms and budgets."""
    print(
        "| seeds | arms x budgets | "
        + " | ".join(TESTS)
        + " | any of the family: "
        + ", ".join(TESTS)
        + " after Holm |"
    )
    for num_seeds in (3, 5, 10):
        found = list(compared(simulations, num_seeds, arms=3))
        alone = [np.mean([getattr(one, test).p < 0.05 for every in found for one in every]) for test in TESTS]
        family = [np.mean([any(getattr(one, test).holm < 0.05 for one in every) for every in found]) for test in TESTS]
        words = [f"{rate:.3f}" for rate in alone] + [", ".join(f"{rate:.3f}" for rate in family)]
        print(f"| {num_seeds} | 3 x {len(BUDGETS)} | " + " | ".join(words) + " |", flush=True)


def coverage_of_differences(simulations: int) -> None:
    """Print how often the interval of a mean difference holds the truth, by the shape of the differences."""
    print("| seeds | differences | Student's t | percentile bootstrap |")
    rng = np.random.default_rng(1)
    for num_seeds in (3, 5, 10):
        counts = draw_seeds(num_seeds, 2000, 0)
        for name, draw in SHAPES.items():
            hits = np.zeros(2)
            for _ in range(simulations):
                values = draw(rng, num_seeds)
                plain = percentiles(counts @ values / num_seeds, float(values.mean()))
                hits += holds(mean_over_seeds(values), 0), holds(plain, 0)
            print(
                f"| {num_seeds} | {name} | " + " | ".join(f"{rate:.3f}" for rate in hits / simulations) + " |",
                flush=True,
            )


def over_both(values: NDArray[np.float64], patients: tuple[str, ...], resamples: int, seed: int) -> Estimate:
    """Our interval of the mean of (seeds, cases)."""
    weights = resample_patients(patients, resamples, seed)
    return mean_over_both(values.mean(1), values @ weights.T / weights.sum(1), len(set(patients)))


def crossed(values: NDArray[np.float64], patients: tuple[str, ...], resamples: int, seed: int) -> Estimate:
    """The plain two-level bootstrap of (seeds, cases): seeds drawn, patients drawn, the middle 95 %."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), resamples)
    weights = resample_patients(patients, resamples, seed)
    means = np.einsum("rs,sc,rc->r", counts, values, weights, optimize=True) / (len(values) * weights.sum(1))
    return percentiles(means, float(values.mean()))


def coverage_over_patients(simulations: int) -> None:
    """Print the same for seeds and test patients together, by how much of the spread is the seeds'."""
    print("| seeds | patients | sd of seeds, patients, both | variances added | plain two-level bootstrap |")
    rng = np.random.default_rng(2)
    for num_seeds in (5, 10):
        for num_patients in (20, 50):
            names = tuple(str(k) for k in range(num_patients))
            for parts in ((0.02, 0.04, 0.04), (0.005, 0.04, 0.04), (0.02, 0.01, 0.04), (0.0, 0.0, 0.04)):
                hits = np.zeros(2)
                for at in range(simulations):
                    values = parts[0] * rng.standard_normal((num_seeds, 1)) + parts[1] * rng.standard_normal(
                        num_patients
                    )
                    values = values + parts[2] * rng.standard_normal((num_seeds, num_patients))
                    ours = over_both(values, names, 500, at)
                    hits += holds(ours, 0), holds(crossed(values, names, 500, at), 0)
                rates = " | ".join(f"{rate:.3f}" for rate in hits / simulations)
                print(f"| {num_seeds} | {num_patients} | {parts} | {rates} |", flush=True)


def auc_over_both(
    rng: np.random.Generator, num_seeds: int, num_patients: int, seeds_sd: float, patients_sd: float
) -> Estimate:
    """Our interval of the AUC of an arm minus that of scratch, which are equally good.

    Scores are normal, a quarter of the patients has it, and is 1.5 higher; seeds move how much higher, patients move
    an arm's scores for them in all its runs.
    """
    there = np.arange(num_patients) % 4 == 0
    weights = resample_patients(tuple(map(str, range(num_patients))), 500, int(rng.integers(2**31)))
    everyone = np.ones((1, num_patients), np.int64)
    whole, redrawn = np.zeros((2, num_seeds)), np.zeros((2, num_seeds, 500))
    for arm in range(2):
        patient = patients_sd * rng.standard_normal(num_patients)
        for seed in range(num_seeds):
            lead = 1.5 + seeds_sd * rng.standard_normal()
            p = lead * there + patient + np.sqrt(1 - patients_sd**2) * rng.standard_normal(num_patients)
            whole[arm, seed] = weighted_auc(p, there, everyone)[0]
            redrawn[arm, seed] = weighted_auc(p, there, weights)
    return mean_over_both(whole[1] - whole[0], redrawn[1] - redrawn[0], num_patients)


def coverage_of_aucs(simulations: int) -> None:
    """Print the same for differences of AUC."""
    print("| seeds | patients | sd of seeds, patients | variances added |")
    rng = np.random.default_rng(3)
    for num_patients in (40, 120):
        for parts in ((0.3, 0.8), (0.0, 0.8), (0.3, 0.3)):
            hits = [holds(auc_over_both(rng, 5, num_patients, *parts), 0) for _ in range(simulations)]
            print(f"| 5 | {num_patients} | {parts} | {np.mean(hits):.3f} |", flush=True)


def of_savings(simulations: int) -> None:
    """Print bias and coverage of savings, and how often one is claimed."""
    print("| seeds | patients | true saving | at | median | bounds | holds the truth | plain bootstrap | claimed |")
    for num_seeds, num_patients, truth in (
        (3, 0, 0.4),
        (5, 0, 0.4),
        (10, 0, 0.4),
        (5, 0, 0.0),
        (10, 0, 0.0),
        (5, 30, 0.4),
        (5, 30, 0.0),
    ):
        found = saved(simulations, num_seeds, truth, num_patients)
        for column, cases in enumerate(BUDGETS):
            here = [every[column] for every in found]
            median = np.median([one.saving.value for one in here])
            rates = [
                np.mean([one.bound != "" for one in here]),
                np.mean([holds(one.saving, truth) for one in here]),
                np.mean([holds(one.percentile, truth) for one in here]),
                np.mean([one.shown for one in here]),
            ]
            words = " | ".join(f"{rate:.3f}" for rate in rates)
            print(f"| {num_seeds} | {num_patients or ''} | {truth} | {cases} | {median:.3f} | {words} |", flush=True)


PARTS = {
    "differences": coverage_of_differences,
    "patients": coverage_over_patients,
    "aucs": coverage_of_aucs,
    "savings": of_savings,
    "tests": false_positives,
}


def main() -> None:
    """Print the table that is asked for."""
    PARTS[sys.argv[1]](int(sys.argv[2]))


if __name__ == "__main__":
    main()
