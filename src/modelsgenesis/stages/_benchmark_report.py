"""The report of a benchmark: one page, the same as Markdown, and tables for a paper."""

import csv
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.made import FILE as CERTIFICATE
from modelsgenesis.core.made import lineage, package_version, read_certificate
from modelsgenesis.metrics.comparison import Comparison, compare
from modelsgenesis.metrics.runs import CaseScore, Run, Table, tabulate
from modelsgenesis.metrics.saving import Saving, savings
from modelsgenesis.metrics.significance import PValue
from modelsgenesis.pictures.learning import draw_learning
from modelsgenesis.pictures.page import Page, code, folded, paragraph, picture, table
from modelsgenesis.stages._approach import SCRATCH
from modelsgenesis.stages._commands import command
from modelsgenesis.stages._trial import LOWER_IS_BETTER

RUNS, CASES = "runs.csv", "cases.csv"
PAGE, MARKDOWN, LATEX = "report.html", "report.md", "tables.tex"
COMPARISONS, SAVINGS = "comparisons.csv", "savings.csv"
Row = Sequence[str]

SCORES_HEAD = ("arm", "cases", "seeds", "mean", "sd")
COMPARISON_HEAD = (
    "arm", "cases", "seeds", "difference", "95 % interval", "over patients too", "t-test", "paired t", "sign flip",
    "sign flip, Holm", "g", "g of pairs",
)  # fmt: skip
SAVINGS_HEAD = ("arm", "scratch with", "reached with", "saving", "95 % interval", "claim")
HOW = (
    "Every arm is taught on the same cases for as many updates, and scored on the same test patients, who were used "
    "for no choice; a seed chooses cases, patches and first weights for all arms alike. Differences are paired by "
    "seed, with Student's interval over seeds; `over patients too` is for other patients as well. The t-test is the "
    "paper's two-sample test; the sign-flip test is exact and paired, corrected by Holm over all lines of the table. "
    "A saving is the share of the reference's labels that an arm does without on a monotone learning curve; it is "
    "claimed only where its whole interval is above zero."
)


@dataclass(frozen=True)
class Findings:
    """What the runs of one task and metric say."""

    table: Table
    reference: str
    comparisons: list[Comparison]
    savings: list[Saving]


def read_findings(folder: Path) -> list[Findings]:
    """Read the runs of a benchmark, finished or not, and compare the arms.

    Raises:
        DataError: there are no runs, or they cannot be right.
    """
    if not (folder / RUNS).is_file():
        raise DataError(f"{folder}: holds no {RUNS}; give the folder of a genesis benchmark")
    runs = [
        Run(row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"], float(row["value"]))
        for row in _rows(folder / RUNS)
    ]
    scores = [_score_of(row) for row in _rows(folder / CASES)] if (folder / CASES).is_file() else []
    found = []
    for each in tabulate(runs, scores):
        reference = SCRATCH if SCRATCH in each.arms else each.arms[0]
        better = each.metric not in LOWER_IS_BETTER
        several = len(each.arms) > 1
        compared = compare(each, reference) if several else []
        saved = savings(each, reference, higher_is_better=better) if several else []
        found.append(Findings(each, reference, compared, saved))
    return found


def _score_of(row: dict[str, str]) -> CaseScore:
    known = (row["task"], row["arm"], int(row["cases"]), int(row["seed"]), row["metric"])
    return CaseScore(*known, row["case"], row["patient"], float(row["value"]))


def write_report(folder: Path, page: Path | None = None) -> Path:
    """Write everything that a benchmark says, beside its runs.

    Args:
        folder: of the benchmark.
        page: of the HTML; report.html in the folder by default.
    Returns:
        The page's path.
    """
    findings = read_findings(folder)
    write_rows(folder / COMPARISONS, ("task", "metric", *COMPARISON_HEAD), _named(findings, comparison_rows))
    write_rows(folder / SAVINGS, ("task", "metric", *SAVINGS_HEAD), _named(findings, saving_rows))
    _write(folder / LATEX, "\n".join(latex(each) for each in findings))
    _write(folder / MARKDOWN, markdown(folder, findings))
    return as_page(folder, findings).write(
        page or folder / PAGE, f"Made by genesis benchmark, modelsgenesis {package_version()}."
    )


def as_page(folder: Path, findings: Sequence[Findings]) -> Page:
    """The page."""
    shown = [one for each in findings for one in each.savings if one.shown]
    num = len(list(_rows(folder / RUNS)))
    page = Page("What pre-training buys", lead(findings))
    page.figures(
        [
            (str(num), "runs", ""),
            (str(len({arm for each in findings for arm in each.table.arms})), "arms", ""),
            (str(max(len(each.table.seeds) for each in findings)), "seeds", ""),
            (str(len(shown)), "savings of labels shown", "good" if shown else "bad"),
        ]
    )
    with tempfile.TemporaryDirectory() as aside:
        for each in findings:
            values = {arm: each.table.of(arm) for arm in each.table.arms}
            drawn = draw_learning(
                Path(aside) / "learning.png", each.table.metric, each.table.budgets, values, each.reference
            )
            name = f"{each.table.task}: {each.table.metric}"
            page.section(name, picture(drawn, f"learning curves of {', '.join(each.table.arms)}"))
    for each in findings:
        page.section("Savings of labels", table(saving_rows(each), SAVINGS_HEAD))
        page.section(
            f"Each arm against {each.reference}", paragraph(HOW), table(comparison_rows(each), COMPARISON_HEAD)
        )
        page.section("Scores", table(score_rows(each), SCORES_HEAD))
    rows = [tuple(row.values()) for row in _rows(folder / RUNS)]
    page.section("Every run", folded(f"{len(rows)} runs", table(rows, tuple(next(iter(_rows(folder / RUNS)))))))
    audit = audit_lines(folder)
    if audit:
        page.section("What the audit found, and was allowed", table(audit, ("arm", "case", "why")))
    page.section("How it came to be", *(code(line) for line in commands(folder)))
    return page


def lead(findings: Sequence[Findings]) -> str:
    """What can be said in a sentence or two."""
    shown = [one for each in findings for one in each.savings if one.shown]
    if not any(each.savings for each in findings):
        return "One arm alone: nothing to compare yet."
    if not shown:
        return "No arm is shown to need fewer labels than the reference: every interval of a saving includes zero."
    best = max(shown, key=lambda one: one.saving.low95)
    return f"{best.task}: {best.arm} {best.claim} where {best.reference} has {best.cases} cases."


def markdown(folder: Path, findings: Sequence[Findings]) -> str:
    """The same as text."""
    parts = ["# What pre-training buys", lead(findings), HOW]
    for each in findings:
        parts += [f"## {each.table.task}, {each.table.metric}", _as_markdown(score_rows(each), SCORES_HEAD)]
        parts += [f"### Each arm against {each.reference}", _as_markdown(comparison_rows(each), COMPARISON_HEAD)]
        parts += ["### Savings of labels", _as_markdown(saving_rows(each), SAVINGS_HEAD)]
    if audit := audit_lines(folder):
        parts += ["## What the audit found, and was allowed", _as_markdown(audit, ("arm", "case", "why"))]
    parts += ["## How it came to be", *(f"    {line}" for line in commands(folder))]
    return "\n\n".join(parts) + "\n"


def latex(found: Findings) -> str:
    """Scores as a table of a paper: a row an arm, a column a budget."""
    budgets = found.table.budgets
    lines = [
        f"% {found.table.task}, {found.table.metric}: mean and sd over {len(found.table.seeds)} seeds",
        rf"\begin{{tabular}}{{l{'c' * len(budgets)}}}",
        r"\hline",
        " & ".join(["start", *(f"{budget} cases" for budget in budgets)]) + r" \\",
        r"\hline",
    ]
    for arm in found.table.arms:
        cells = [
            f"${mean:.3f} \\pm {sd:.3f}$" if math.isfinite(mean) else "--"
            for mean, sd in (_mean_sd(values) for values in found.table.of(arm))
        ]
        lines.append(" & ".join([arm.replace("_", r"\_"), *cells]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def score_rows(found: Findings) -> list[Row]:
    """Mean and spread of every arm and budget."""
    rows: list[Row] = []
    for arm in found.table.arms:
        for budget, values in zip(found.table.budgets, found.table.of(arm), strict=True):
            mean, sd = _mean_sd(values)
            known = sum(math.isfinite(value) for value in values.tolist())
            rows.append((arm, str(budget), str(known), _number(mean), _number(sd)))
    return rows


def comparison_rows(found: Findings) -> list[Row]:
    """A row an arm and budget, against the reference."""
    return [
        (
            one.arm, str(one.cases), str(one.n), _number(one.difference.value, signed=True),
            _between(one.difference.low95, one.difference.high95),
            _between(one.over_patients.low95, one.over_patients.high95) if one.over_patients else "-",
            _p(one.independent_t), _p(one.paired_t), _p(one.sign_flip), _number(one.sign_flip.holm, 3),
            _number(one.g, 2, signed=True), _number(one.g_z, 2, signed=True),
        )
        for one in found.comparisons
    ]  # fmt: skip


def saving_rows(found: Findings) -> list[Row]:
    """A row an arm and budget of the reference."""
    return [
        (
            one.arm,
            f"{one.cases} cases",
            f"{one.needed:.1f}" if math.isfinite(one.needed) else "never",
            f"{one.bound} {one.saving.value:.0%}".strip() if math.isfinite(one.saving.value) else "-",
            _between(one.saving.low95, one.saving.high95, percent=True),
            one.claim if one.shown else "not shown",
        )
        for one in found.savings
    ]


def audit_lines(folder: Path) -> list[Row]:
    """What was found and allowed by name."""
    if not (folder / CERTIFICATE).is_file():
        return []
    allowed = read_certificate(folder, "benchmark").arguments.get("allowed", [])
    return [(hit["arm"], hit["case"], hit["why"]) for hit in allowed]


def commands(folder: Path) -> list[str]:
    """The commands that made everything, the first one first."""
    return [command(place, made) for place, made in reversed(lineage(folder))]


def _mean_sd(values: Iterable[float]) -> tuple[float, float]:
    known = [float(value) for value in values if math.isfinite(value)]
    mean = sum(known) / len(known) if known else math.nan
    spread = sum((value - mean) ** 2 for value in known)
    return mean, math.sqrt(spread / (len(known) - 1)) if len(known) > 1 else math.nan


def _number(value: float, digits: int = 4, *, signed: bool = False) -> str:
    return f"{value:{'+' if signed else ''}.{digits}f}" if math.isfinite(value) else "-"


def _p(test: PValue) -> str:
    if not math.isfinite(test.p):
        return "-"
    return f"{test.p:.3f}" if test.can_reach else f"{test.p:.3f} (never below {test.least:.3f})"


def _between(low: float, high: float, *, percent: bool = False) -> str:
    if math.isnan(low) or math.isnan(high):
        return "-"
    words = [("none" if value < 0 else "all") if math.isinf(value) else
             f"{value:.0%}" if percent else f"{value:+.4f}" for value in (low, high)]  # fmt: skip
    return " to ".join(words)


def _as_markdown(rows: Sequence[Row], head: Row) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _named(findings: Sequence[Findings], rows: Callable[[Findings], list[Row]]) -> list[Row]:
    return [(each.table.task, each.table.metric, *row) for each in findings for row in rows(each)]


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, head: Row, rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV, whole or not at all."""
    with written_aside(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _write(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
