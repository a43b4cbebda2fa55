"""The report of a benchmark: one page, the same as Markdown, tables for programs and for a paper, and the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.benchmarking.findings import Findings, read_findings
from modelsgenesis.benchmarking.leakage_audit import FILE as AUDIT
from modelsgenesis.benchmarking.rehearsal import FILE as RATES
from modelsgenesis.benchmarking.run_record import (
    STARTS_HEAD,
    TIMES_HEAD,
    Ran,
    read_ran,
    start_rows,
    time_rows,
    total_words,
    where_rows,
)
from modelsgenesis.benchmarking.run_tables import RUNS
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.provenance import CommandLine, lineage, package_version
from modelsgenesis.core.tables import read_rows
from modelsgenesis.core.words import many
from modelsgenesis.figures.learning_curve import draw_learning, draw_pairs
from modelsgenesis.figures.page import Code, Folded, Page, Paragraph, Part, Table, picture, viewer_beside
from modelsgenesis.reports.benchmark_cases import Sheet, case_sheets
from modelsgenesis.reports.benchmark_files import as_markdown, latex, write_tables
from modelsgenesis.reports.benchmark_tables import (
    COMPARISON_HEAD,
    Row,
    comparison_rows,
    published_table,
    saving_table,
    score_table,
)
from modelsgenesis.reports.benchmark_words import (
    PAIRS,
    PUBLISHED,
    SEEDS_ONLY,
    few_words,
    flat_words,
    headline,
    how_words,
    lead,
    saved_words,
    scored_words,
    seeds_words,
)

PAGE, MARKDOWN, LATEX, FIGURES = "report.html", "report.md", "tables.tex", "figures"
TITLE = "What pre-training buys"
AUDIT_HEAD, WHERE_HEAD = ("arm", "case", "why", "allowed"), ("runs", "machine and program")
CLEAN = (
    "The audit looked for every test case among what the arms were pre-trained on, by file, by patient and by values, "
    "and found none."
)
RATES_HOW = (
    "Each arm learns with the rate that was best for it in a rehearsal: trained and tested on patients who are no test "
    "cases, with one budget and the first seeds."
)
NOT_FINISHED = "The benchmark is not finished, so it has no provenance yet."

ENDS = "The worst and the best cases"


@dataclass(frozen=True)
class Tabled:
    """A table of the report.

    Attributes:
        rows: of words.
        head: the columns' names.
        file: where its rows are as well; the page folds it away then, and the Markdown leaves it out.
    """

    rows: Sequence[Row]
    head: Row
    file: str = ""


@dataclass(frozen=True)
class Commands:
    """Command lines, in their order."""

    lines: Sequence[str]


Content = str | Tabled | Commands | Sheet
Section = tuple[str, Sequence[Content]]


def write_report(folder: Path, page: Path | None = None, *, command: CommandLine) -> Path:
    """Write the page and the tables of a benchmark, beside its runs.

    Args:
        folder: of the benchmark.
        page: of the HTML; report.html in the folder by default.
        command: What spells the command that made a folder.
    Returns:
        The page's path.
    """
    page = page or folder / PAGE
    findings = read_findings(folder)
    arms = [arm for each in findings for arm in each.table.arms]
    ran = sorted(read_ran(folder, read_rows(folder / RUNS)), key=lambda one: (arms.index(one.arm), one.cases))
    (folder / FIGURES).mkdir(exist_ok=True)
    several = len(findings) > 1
    parts = [
        part for k, each in enumerate(findings, 1) for part in sections_of(folder, each, f"{k}-" if several else "")
    ]
    parts += sections_of_all(folder, ran, command)
    write_tables(folder, findings)
    _write(folder / LATEX, "\n".join(latex(each) for each in findings))
    _write(folder / MARKDOWN, as_text(lead(findings), parts, folder))
    made = Page(TITLE, lead(findings))
    made.headline(headline(folder, findings, ran))
    for heading, contents in parts:
        pictured = heading.startswith(ENDS) and any(isinstance(part, Sheet) for part in contents)
        viewer = [viewer_beside(page, folder)] if pictured else []
        made.section(heading, *(shown for part in contents for shown in as_html(part)), *viewer)
    return made.write(page, f"Made by genesis report, modelsgenesis {package_version()}.")


def sections_of(folder: Path, found: Findings, name: str) -> list[Section]:
    """The sections on one task and metric; their figures are drawn, into files whose names begin with `name`."""
    sheets, why = case_sheets(folder, found, folder / FIGURES, name)
    named = f"{found.table.task}, {found.title}"
    sections: list[Section] = [
        (f"Learning curves: {named}", plots(folder, found, name)),
        (f"Scores: {named}, mean ± sd over {seeds_words(found)}", [Tabled(*score_table(found))]),
    ]
    if found.published:
        sections.append((f"Published scores beside ours: {named}", [PUBLISHED, Tabled(*published_table(found))]))
    if found.comparisons:
        alone = [] if found.over_patients else [SEEDS_ONLY.format(metric=found.title, why=found.why)]
        words = [saved_words(found), *alone, *flat_words(found)]
        sections.append((f"Savings of labels: {named}", [*words, Tabled(*saving_table(found))]))
        compared = Tabled(comparison_rows(found), COMPARISON_HEAD)
        sections.append(
            (f"Each arm against {found.reference}: {named}", [how_words(found), *few_words(found), *alone, compared])
        )
    sections.append((f"{ENDS}: {named}", [*sheets, *([why] if why else [])]))
    return sections


def sections_of_all(folder: Path, ran: Sequence[Ran], command: CommandLine) -> list[Section]:
    """The sections on all runs together."""
    starts, audit, rows = start_rows(ran), audit_rows(folder), read_rows(folder / RUNS)
    every = _tabled(rows, RUNS)
    chosen = read_rows(folder / RATES) if (folder / RATES).is_file() else []
    rates: list[Section] = [("Each arm's learning rate", [RATES_HOW, _tabled(chosen)])] if chosen else []
    times: list[Content] = [total_words(ran), Tabled(time_rows(ran), TIMES_HEAD), Tabled(where_rows(ran), WHERE_HEAD)]
    return [
        ("What ran where, and how long", times + ([Tabled(starts, STARTS_HEAD)] if starts else [])),
        *rates,
        ("Every run", [every]),
        *([("What the audit found", [Tabled(audit, AUDIT_HEAD) if audit else CLEAN])] if audit is not None else []),
        ("How it came to be", [Commands(commands(folder, command))]),
    ]


def _tabled(rows: Sequence[Mapping[str, str]], file: str = "") -> Tabled:
    return Tabled([tuple(row.values()) for row in rows], tuple(rows[0]), file)


def as_html(part: Content) -> list[Part]:
    """Make the parts of the page for a piece of content."""
    if isinstance(part, str):
        return [Paragraph(part)]
    if isinstance(part, Sheet):
        return [picture(part.path, part.title), Paragraph(part.caption, "caption")]
    if isinstance(part, Commands):
        return [Code("\n".join(part.lines) or NOT_FINISHED)]
    made = Table(part.rows, part.head)
    return [Folded(f"{many(len(part.rows), 'row')} of {part.file}", [made]) if part.file else made]


def as_text(lead: str, sections: Sequence[Section], folder: Path, title: str = TITLE) -> str:
    """Write the sections as Markdown, with links to the figures."""
    parts = [f"# {title}", lead]
    for heading, contents in sections:
        parts.append(f"## {heading}")
        for part in contents:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, Sheet):
                parts += [f"![{part.title}]({part.path.relative_to(folder)})", part.caption]
            elif isinstance(part, Commands):
                parts.append("\n".join(f"    {line}" for line in part.lines) or NOT_FINISHED)
            else:
                parts.append(
                    f"{many(len(part.rows), 'row')}: {part.file}" if part.file else as_markdown(part.rows, part.head)
                )
    return "\n\n".join(parts) + "\n"


def plots(folder: Path, found: Findings, name: str) -> list[Content]:
    """Draw the learning curves, and the pairs if there are any."""
    values = {arm: found.table.of(arm) for arm in found.table.arms}
    into, budgets, seeds = folder / FIGURES, found.table.budgets, seeds_words(found)
    path = draw_learning(into / f"{name}learning.png", found.title, budgets, values)
    words = f"A point is the mean of {seeds}, the band reaches from the least to the greatest."
    drawn: list[Content] = [Sheet(path, "Learning curves", f"{words} {scored_words(folder, found)}")]
    if len(values) > 1:
        intervals = {(one.arm, one.cases): (one.difference.low95, one.difference.high95) for one in found.comparisons}
        path = draw_pairs(into / f"{name}pairs.png", found.title, budgets, values, intervals)
        drawn.append(Sheet(path, "Pairs of runs", PAIRS.format(reference=found.reference, seeds=seeds)))
    return drawn


def audit_rows(folder: Path) -> list[Row] | None:
    """The rows of what the audit found and the user allowed; None where there was no audit."""
    if not (folder / AUDIT).is_file():
        return None
    return [(row["arm"], row["case"], row["why"], row["allowed"]) for row in read_rows(folder / AUDIT)]


def commands(folder: Path, command: CommandLine) -> list[str]:
    """The commands that made everything, in their order."""
    return [command(place, made) for place, made in reversed(lineage(folder))]


def _write(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
