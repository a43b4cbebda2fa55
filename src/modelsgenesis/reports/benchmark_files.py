"""A benchmark's tables in the forms that programs and papers want: CSV, LaTeX, Markdown."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelsgenesis.benchmarking.findings import Findings
from modelsgenesis.benchmarking.statistics.few_seeds import Estimate
from modelsgenesis.core.tables import write_table
from modelsgenesis.core.words import mean_sd
from modelsgenesis.reports.benchmark_tables import (
    COMPARISON_HEAD,
    Row,
    comparison_rows,
    published_table,
    saving_table,
    score_table,
)

SPREAD = re.compile(r"(-?\d+\.\d+) ± (\d+\.\d+)(, \d+ of \d+)?")
AS_TEXT = str.maketrans({
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{letter: f"{{{letter}}}" for letter in "[]*"},  # after the end of a row they would be its arguments
    "<": "$<$", ">": "$>$", "|": "$|$", "±": r"$\pm$", "²": "$^2$", "ρ": r"$\rho$",
    **dict.fromkeys("\n\r\t", " "),
})  # fmt: skip


def write_tables(folder: Path, findings: Sequence[Findings]) -> None:
    """Write scores.csv, comparisons.csv and savings.csv: numbers as numbers, and nothing where one is undefined.

    Where nothing is compared, a table of an earlier comparison goes.
    """
    for name, rows_from in (("scores", _scores), ("comparisons", _comparisons), ("savings", _savings)):
        rows = [row for each in findings for row in rows_from(each)]
        if rows:
            plain = [{column: _plain(value) for column, value in row.items()} for row in rows]
            write_table(folder / f"{name}.csv", list(rows[0]), plain)
        else:
            (folder / f"{name}.csv").unlink(missing_ok=True)


def _scores(found: Findings) -> list[dict[str, Any]]:
    table = found.table
    return [
        {"task": table.task, "metric": table.metric, "arm": arm, "cases": budget,
         "seeds": sum(map(math.isfinite, values)), "mean": mean, "sd": sd}
        for arm in table.arms
        for budget, values in zip(table.budgets, table.of(arm).tolist(), strict=True)
        for mean, sd in [mean_sd(values)]
    ]  # fmt: skip


def _comparisons(found: Findings) -> list[dict[str, Any]]:
    return [
        {
            "task": one.task, "metric": one.metric, "arm": one.arm, "reference": one.reference, "cases": one.cases,
            "seeds": one.n, "missing_seeds": " ".join(map(str, one.missing)), "mean": one.mean, "sd": one.sd,
            "reference_mean": one.reference_mean, "reference_sd": one.reference_sd,
            "difference": one.difference.value, **_ends("", one.difference), **_ends("bootstrap_", one.percentile),
            **_ends("over_patients_", one.over_patients or Estimate(math.nan)),
            "t_test_p": one.independent_t.p, "t_test_holm": one.independent_t.holm,
            "paired_t_p": one.paired_t.p, "paired_t_holm": one.paired_t.holm,
            "sign_flip_p": one.sign_flip.p, "sign_flip_holm": one.sign_flip.holm,
            "sign_flip_least": one.sign_flip.least, "wilcoxon_p": one.wilcoxon.p, "wilcoxon_holm": one.wilcoxon.holm,
            "g": one.g, "g_of_pairs": one.g_z,
        }
        for one in found.comparisons
    ]  # fmt: skip


def _savings(found: Findings) -> list[dict[str, Any]]:
    return [
        {
            "task": one.task, "metric": one.metric, "arm": one.arm, "reference": one.reference, "cases": one.cases,
            "score": one.score, "reached_with": one.needed, "bound": one.bound, "saving": one.saving.value,
            **_ends("", one.saving), **_ends("bootstrap_", one.percentile), "seeds": one.n,
            "missing_runs": one.missing, "patients": one.patients, "claim": one.claim,
        }
        for one in found.savings
    ]  # fmt: skip


def _ends(before: str, estimate: Estimate) -> dict[str, float]:
    return {f"{before}low95": estimate.low95, f"{before}high95": estimate.high95}


def _plain(value: Any) -> Any:
    """Write a number with six digits; what is undefined is empty, what is open is inf."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def latex(found: Findings) -> str:
    """The tables of a paper in LaTeX that needs no package: scores, comparisons, savings, and what was published."""
    task, n = found.table.task, len(found.table.seeds)
    title = f"{found.title} on {task}"
    tables = [(f"{title}: mean and standard deviation over {n} seeds.", *score_table(found))]
    if found.comparisons:
        words = (
            f"{title}: difference from {found.reference}, paired by seed, with 95 % intervals over {n} seeds, for "
            f"these test cases only{', and over patients too' if found.over_patients else ''}."
        )
        tables.append((words, comparison_rows(found), COMPARISON_HEAD))
        words = (
            f"{title}: labels saved against {found.reference}; intervals are {found.scope}, and not corrected for "
            "their number."
        )
        tables.append((words, *saving_table(found)))
    if found.published:
        tables.append((f"{title}: published scores beside ours.", *published_table(found)))
    return "\n".join(_as_latex(*each) for each in tables)


def _as_latex(caption: str, rows: Sequence[Row], head: Row) -> str:
    lines = [" & ".join(map(tex, row)) + r" \\" for row in rows]
    top = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
    ]
    middle = [r"\hline", " & ".join(map(tex, head)) + r" \\", r"\hline", *lines, r"\hline"]
    return "\n".join([*top, *middle, r"\end{tabular}", r"\end{table}", ""])


def tex(text: str) -> str:
    """Write text as LaTeX, and numbers with their spread as mathematics."""
    if spread := SPREAD.fullmatch(text):
        return rf"${spread[1]} \pm {spread[2]}${spread[3] or ''}"
    return text.translate(AS_TEXT)


def as_markdown(rows: Sequence[Row], head: Row) -> str:
    """Write a table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])
