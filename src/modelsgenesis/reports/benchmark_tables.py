"""What a benchmark's runs say, as tables: for people, for programs, and for a paper."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsgenesis.benchmarking.statistics.bootstrap_runs import RESAMPLES, bootstrap_runs
from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores, bootstrap_means
from modelsgenesis.benchmarking.statistics.comparison import Comparison, compare
from modelsgenesis.benchmarking.statistics.few_seeds import Estimate, scope_words
from modelsgenesis.benchmarking.statistics.label_saving import LabelSaving, label_savings
from modelsgenesis.benchmarking.statistics.runs import CaseScore, Run, Table, tabulate
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.words import mean_sd_words, number
from modelsgenesis.finetuning.config import SCRATCH
from modelsgenesis.metrics.direction import more_is_better
from modelsgenesis.metrics.titles import TITLES

RUNS, CASES, PUBLISHED = "runs.csv", "cases.csv", "published.json"
Row = Sequence[str]

COMPARISON_HEAD = (
    "arm", "cases", "seeds", "difference", "95 % interval", "over patients too", "bootstrap", "t-test", "paired t",
    "paired t, Holm", "sign flip", "g", "g of pairs",
)  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """What the runs of one task and metric say.

    Attributes:
        table: of the runs, the reference first.
        reference: the arm that the others are held against.
        comparisons: of every other arm and budget.
        savings: likewise.
        by_case: the score of each run on each test case; empty for metrics of all cases together.
        published: scores of papers on that task by that metric: start, mean, sd, source.
        why: no interval is over patients.
    """

    table: Table
    reference: str
    comparisons: list[Comparison]
    savings: list[LabelSaving]
    by_case: tuple[CaseScore, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    why: str = ""

    @property
    def title(self) -> str:
        """The metric's name for people."""
        return TITLES.get(self.table.metric, self.table.metric)

    @property
    def over_patients(self) -> bool:
        """Whether its intervals are over patients too; if not, they hold for these test cases only."""
        return any(one.over_patients for one in self.comparisons)

    @property
    def scope(self) -> str:
        """What the interval of a saving is over, in words."""
        return scope_words(self.over_patients)

    @property
    def sign(self) -> float:
        """-1 where less is better."""
        return 1.0 if more_is_better(self.table.metric) else -1.0


def read_findings(folder: Path) -> list[Findings]:
    """Read the runs of a benchmark, finished or not, and compare the arms.

    Raises:
        DataError: there are no runs, they cannot be right, or of their metric neither more nor less is better.
    """
    if not (folder / RUNS).is_file():
        raise DataError(f"{folder}: holds no {RUNS}; give the folder of a genesis benchmark")
    runs = [
        Run(row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"], float(row["value"]))
        for row in rows_of(folder / RUNS)
    ]
    scores = [_score_of(row) for row in rows_of(folder / CASES)] if (folder / CASES).is_file() else []
    found = []
    for each in tabulate(sorted(runs, key=lambda run: _standing(run.arm)), scores):
        reference = each.arms[0]
        higher = more_is_better(each.metric)
        several = len(each.arms) > 1
        redrawn, why = _redrawn(folder, each) if several else (None, "")
        compared = compare(each, reference, redrawn=redrawn) if several else []
        saved = label_savings(each, reference, higher_is_better=higher, redrawn=redrawn) if several else []
        own = tuple(one for one in scores if (one.task, one.metric) == (each.task, each.metric))
        found.append(Findings(each, reference, compared, saved, own, _published(folder, each.metric), why))
    return found


def _redrawn(folder: Path, table: Table) -> tuple[BootstrapScores | None, str]:
    """The runs' scores on resampled patients, or why there are none."""
    try:
        return bootstrap_means(table, resamples=RESAMPLES, seed=0) or bootstrap_runs(folder, table), ""
    except DataError as error:
        return None, str(error)


def is_longer(arm: str) -> bool:
    """Whether it is scratch with more updates: no pre-training."""
    return arm.startswith(f"{SCRATCH}:")


def _standing(arm: str) -> int:
    """Scratch, which the others are held against, comes first, and then its longer schedules."""
    return 0 if arm == SCRATCH else 1 if is_longer(arm) else 2


def _score_of(row: dict[str, str]) -> CaseScore:
    known = (row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"])
    return CaseScore(*known, row["case"], row["patient"], float(row["value"] or "nan"))


def _published(folder: Path, metric: str) -> tuple[Mapping[str, Any], ...]:
    told = read_json(folder / PUBLISHED) if (folder / PUBLISHED).is_file() else {}
    return tuple(told["rows"]) if told.get("metric") == metric else ()


def score_table(found: Findings) -> tuple[list[Row], Row]:
    """Rows and head of the scores as papers print them: a row an arm, a column a budget."""
    head = ("arm", *(f"{budget} cases" for budget in found.table.budgets))
    return [(arm, *(_cell(values.tolist()) for values in found.table.of(arm))) for arm in found.table.arms], head


def _cell(values: Sequence[float]) -> str:
    """Mean and standard deviation, and of how many seeds where some are missing."""
    num = sum(map(math.isfinite, values))
    return mean_sd_words(values) + (f", {num} of {len(values)}" if 0 < num < len(values) else "")


def comparison_rows(found: Findings) -> list[Row]:
    """A row an arm and budget, against the reference."""
    return [
        (
            one.arm, str(one.cases), str(one.n), number(one.difference.value, signed=True), between(one.difference),
            between(one.over_patients) if one.over_patients else "-", between(one.percentile),
            number(one.independent_t.p, 3), number(one.paired_t.p, 3), number(one.paired_t.holm, 3),
            number(one.sign_flip.p, 3), number(one.g, 2, signed=True), number(one.g_z, 2, signed=True),
        )
        for one in found.comparisons
    ]  # fmt: skip


def saving_table(found: Findings) -> tuple[list[Row], Row]:
    """Rows and head of the savings: a row an arm and budget of the reference."""
    rows: list[Row] = [
        (
            one.arm,
            f"{one.cases} cases",
            _needed_words(one),
            "none"
            if one.bound == "at most" and one.saving.value <= 0
            else f"{one.bound} {one.saving.value:.0%}".strip(),
            between(one.saving, percent=True),
            one.claim,
        )
        for one in found.savings
    ]
    return rows, ("arm", f"{found.reference} with", "reached with", "saving", "95 % interval", "claim")


def _needed_words(one: LabelSaving) -> str:
    """The cases with which the arm is as good; of a bound, what is known of them."""
    if one.bound == "at least":
        return f"{one.needed:.0f} or fewer"
    return f"more than {one.cases * (1 - one.saving.value):.0f}" if one.bound else f"{one.needed:.1f}"


def published_table(found: Findings) -> tuple[list[Row], Row]:
    """Rows and head of the papers' scores, and ours with most cases beside those of the same start."""
    most = found.table.budgets[-1]
    ours = {arm: mean_sd_words(found.table.of(arm)[-1]) for arm in found.table.arms}
    rows: list[Row] = [
        (each["start"], _published_words(each), ours.pop(_same(each["start"], ours), "-"), each["source"])
        for each in found.published
    ]
    rows += [(arm, "-", words, "this benchmark") for arm, words in ours.items()]
    return rows, ("start", "published", f"ours, {most} cases", "source")


def _same(start: str, arms: Iterable[str]) -> str:
    """The arm that is called as a paper calls its start, but for capitals and what joins words."""

    def plain(name: str) -> str:
        return "".join(letter for letter in name.casefold() if letter.isalnum()).removeprefix("models")

    return next((arm for arm in arms if plain(arm) == plain(start)), "")


def _published_words(each: Mapping[str, Any]) -> str:
    return f"{each['mean']:.3f}" + (f" ± {each['sd']:.3f}" if each.get("sd") is not None else "")


def between(estimate: Estimate, *, percent: bool = False) -> str:
    """An interval in words."""
    if math.isnan(estimate.low95) or math.isnan(estimate.high95):
        return "-"
    words = [("none" if value < 0 else "all") if math.isinf(value) else
             f"{value:.0%}" if percent else f"{value:+.4f}" for value in (estimate.low95, estimate.high95)]  # fmt: skip
    return " to ".join(words)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
