"""The findings of a benchmark: its tables read again, and the arms compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelsgenesis.benchmarking.arms import LONGER
from modelsgenesis.benchmarking.choices import CHOICES, RANDOM
from modelsgenesis.benchmarking.run_record import place_of
from modelsgenesis.benchmarking.run_tables import CASES, PUBLISHED, RUNS
from modelsgenesis.benchmarking.statistics.bootstrap_runs import RESAMPLES, bootstrap_runs
from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores, bootstrap_means
from modelsgenesis.benchmarking.statistics.comparison import Comparison, compare_arms
from modelsgenesis.benchmarking.statistics.few_seeds import scope_words
from modelsgenesis.benchmarking.statistics.label_saving import LabelSaving, label_savings
from modelsgenesis.benchmarking.statistics.runs import CaseScore, Run, Table, tabulate
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_object
from modelsgenesis.core.provenance import lineage
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.evaluation.evaluate import LINES
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.metrics.direction import more_is_better
from modelsgenesis.metrics.titles import title_of


@dataclass(frozen=True)
class Findings:
    """The results of the runs of one task and metric.

    Attributes:
        table: of the runs, the reference first.
        reference: the arm that the others are held against.
        comparisons: of every other arm and budget.
        savings: likewise.
        by_case: the score of each run on each test case; empty for metrics of all cases together.
        published: scores of papers on that task by that metric: start, mean, sd, source.
        why: no interval is over patients.
        in_pixels: its distances are in pixels, as the spacing of pictures is not known.
        by_choice: its arms differ in which cases they were taught on, rather than in what they start from.
    """

    table: Table
    reference: str
    comparisons: list[Comparison]
    savings: list[LabelSaving]
    by_case: tuple[CaseScore, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    why: str = ""
    in_pixels: bool = False
    by_choice: bool = False

    @property
    def title(self) -> str:
        """The metric's name for people."""
        return title_of(self.table.metric, pictures=self.in_pixels)

    @property
    def over_patients(self) -> bool:
        """Whether its intervals are over patients too; if not, they hold for these test cases only."""
        return any(one.over_patients for one in self.comparisons)

    @property
    def scope(self) -> str:
        """What the interval of a saving covers, in words."""
        return scope_words(self.over_patients)

    @property
    def sign(self) -> float:
        """-1 where less of the metric is better, otherwise 1."""
        return 1.0 if more_is_better(self.table.metric) else -1.0


def read_findings(folder: Path) -> list[Findings]:
    """Read the runs of a benchmark, finished or not, and compare the arms.

    Raises:
        DataError: it is a probe, there are no runs, they cannot be right, or of their metric neither more nor less is
            better.
    """
    if not (folder / RUNS).is_file():
        raise DataError(f"{folder}: holds no {RUNS}; give the folder of a genesis benchmark")
    if any(made.verb == "probe" for _, made in lineage(folder)[:1]):
        raise DataError(f"{folder} is a probe, which writes its page itself; to make it anew, run genesis probe again")
    runs = [
        Run(row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"], float(row["value"]))
        for row in read_rows(folder / RUNS)
    ]
    rows = read_rows(folder / CASES) if (folder / CASES).is_file() else []
    scores = [_score_of(row) for row in with_raw_patients(rows, folder)]  # drawn in the order of their raw names
    found = []
    by_choice = (folder / CHOICES).is_dir()
    for each in tabulate(sorted(runs, key=lambda run: _standing(run.arm, by_choice)), scores):
        own = tuple(one for one in scores if (one.task, one.metric) == (each.task, each.metric))
        compared = compare(each, lambda table: _bootstrap(folder, table), own)
        in_pixels = any(_in_pixels(folder, run) for run in runs if run.task == each.task)
        found.append(
            replace(compared, published=_published(folder, each.metric), in_pixels=in_pixels, by_choice=by_choice)
        )
    return found


Bootstrap = Callable[[Table], tuple[BootstrapScores | None, str]]  # the scores on resampled patients, or why not


def compare(table: Table, bootstrap: Bootstrap, by_case: tuple[CaseScore, ...] = ()) -> Findings:
    """Hold the arms of a table against its first.

    Args:
        table: of one task and metric.
        bootstrap: scores the runs on resampled patients; asked where there is more than one arm.
        by_case: the score of each run on each test case, if the metric is a mean over cases.
    """
    reference = table.arms[0]
    if len(table.arms) == 1:
        return Findings(table, reference, [], [], by_case)
    resampled, why = bootstrap(table)
    compared = compare_arms(table, reference, bootstrap=resampled)
    higher = more_is_better(table.metric)
    saved = label_savings(table, reference, higher_is_better=higher, bootstrap=resampled)
    return Findings(table, reference, compared, saved, by_case, why=why)


def _in_pixels(folder: Path, run: Run) -> bool:
    """Whether the scores of a run say that distances are in pixels; not where its folder is gone."""
    scores = place_of(folder, run.arm, run.cases, run.seed) / "scores" / LINES
    return scores.is_file() and bool(read_object(scores).get("in_pixels"))


def _bootstrap(folder: Path, table: Table) -> tuple[BootstrapScores | None, str]:
    """Score the runs on resampled patients, or explain why that is not possible."""
    try:
        return bootstrap_means(table, resamples=RESAMPLES, seed=0) or bootstrap_runs(folder, table), ""
    except DataError as error:
        return None, str(error)


def is_longer(arm: str) -> bool:
    """Whether an arm starts from scratch with more updates than the others."""
    return arm.startswith(f"{SCRATCH}:")


def has_more_updates(arm: str) -> bool:
    """Whether an arm has more updates than scratch, from any start: what it gains is not its start's alone."""
    return bool(LONGER.search(arm))


def _standing(arm: str, by_choice: bool) -> int:
    """Scratch, which the others are held against, comes first, and then its longer schedules; or a random choice."""
    if by_choice:
        return int(arm != RANDOM)
    return 0 if arm == SCRATCH else 1 if is_longer(arm) else 2


def _score_of(row: dict[str, str]) -> CaseScore:
    known = (row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"])
    return CaseScore(*known, row["case"], row["patient"], float(row["value"] or "nan"))


def _published(folder: Path, metric: str) -> tuple[Mapping[str, Any], ...]:
    published = read_object(folder / PUBLISHED) if (folder / PUBLISHED).is_file() else {}
    return tuple(published["rows"]) if published.get("metric") == metric else ()
