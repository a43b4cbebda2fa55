"""The report of a probe: the benchmark's own tables and figures, and the metric within groups of the test cases."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from modelsgenesis.benchmarking.probe import GROUPS, Probed
from modelsgenesis.benchmarking.run_tables import RUNS
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.provenance import CommandLine, package_version
from modelsgenesis.core.tables import read_rows
from modelsgenesis.core.words import many, mean_sd
from modelsgenesis.figures.page import Headline, Page
from modelsgenesis.reports.benchmark_files import write_tables
from modelsgenesis.reports.benchmark_page import (
    AUDIT_HEAD,
    CLEAN,
    FIGURES,
    MARKDOWN,
    PAGE,
    Commands,
    Content,
    Section,
    Tabled,
    as_html,
    as_text,
    audit_rows,
    commands,
    plots,
)
from modelsgenesis.reports.benchmark_tables import COMPARISON_HEAD, comparison_rows, saving_table, score_table
from modelsgenesis.reports.benchmark_words import (
    SEEDS_ONLY,
    few_words,
    flat_words,
    how_words,
    lead,
    saved_words,
    seeds_words,
)

TITLE = "What frozen vectors say"
GROUPS_HEAD = ("column", "group", "test cases", "arm", "mean ± sd over the seeds")
HOW = (
    "Every arm learns from the same cases, drawn by the seed, and is scored on the same test patients, who were used "
    "for no choice: the strength of a linear model is chosen within the training cases. All cases together are one "
    "draw, and so one run, in no comparison. Differences are paired by seed, with Student's 95 % interval over seeds, "
    "for these test cases only; `over patients too` is for other patients as well; `bootstrap` is the plain percentile "
    "interval over seeds. The paired t-test is corrected by Holm over all lines of the table; the sign-flip test is "
    "paired. Draws overlap where the budget is a large part of all cases: the spread over seeds is then too small."
)

TRAINED = {  # what a benchmark says of trainings, and a probe of vectors
    "by pre-training": "by better vectors",
    "in so few updates more labels are of no use to it": "more labels are of little use to it",
    "says that an arm learns faster, and little of how many labels a longer training would need": "says little",
}


def write_probe_report(folder: Path, probed: Probed, *, command: CommandLine) -> Path:
    """Write the page and the tables of a probe.

    Args:
        folder: of the probe.
        probed: what it found.
        command: What spells the command that made a folder.
    Returns:
        The page's path.
    """
    (folder / FIGURES).mkdir(exist_ok=True)
    write_tables(folder, [replace(probed.findings, table=probed.table)])
    parts = _sections(folder, probed, command)
    said = _of_vectors(lead([probed.findings]))
    with written_aside(folder / MARKDOWN) as aside:
        aside.write_text(as_text(said, parts, folder, TITLE), encoding="utf-8")
    page = Page(TITLE, said)
    page.headline(_headline(probed))
    for heading, contents in parts:
        page.section(heading, *(shown for part in contents for shown in as_html(part)))
    return page.write(folder / PAGE, f"Made by genesis probe, modelsgenesis {package_version()}.")


def _of_vectors(text: str) -> str:
    """What a benchmark says of trainings, said of vectors."""
    for trained, of_vectors in TRAINED.items():
        text = text.replace(trained, of_vectors)
    return text


def _headline(probed: Probed) -> list[Headline]:
    table = probed.table
    patients = len({case.patient or case.id for case in probed.test})
    return [
        (str(len(probed.runs)), "runs", ""),
        (str(len(table.arms)), "arm" if len(table.arms) == 1 else "arms", ""),
        (str(len(table.budgets)), "numbers of labelled cases", ""),
        (str(len(table.seeds)), "seeds", ""),
        (str(len(probed.test)), f"test cases of {many(patients, 'patient')}", ""),
    ]


def _sections(folder: Path, probed: Probed, command: CommandLine) -> list[Section]:
    found, every = probed.findings, replace(probed.findings, table=probed.table)
    named = f"{found.table.task}, {found.title}"
    sections: list[Section] = [
        (f"Learning curves: {named}", plots(folder, every, "")),
        (f"Scores: {named}, mean ± sd over {seeds_words(found)}", [Tabled(*score_table(every))]),
    ]
    if found.comparisons:
        alone = [] if found.over_patients else [SEEDS_ONLY.format(metric=found.title, why=found.why)]
        saved: list[Content] = [
            saved_words(found),
            *alone,
            *map(_of_vectors, flat_words(found)),
            Tabled(*saving_table(found)),
        ]
        compared: list[Content] = [
            how_words(found) if found.by_choice else HOW,
            *few_words(found),
            *alone,
            Tabled(comparison_rows(found), COMPARISON_HEAD),
        ]
        sections += [
            (f"Savings of labels: {named}", saved),
            (f"Each arm against {found.reference}: {named}", compared),
        ]
    if probed.groups:
        words = f"With the most labelled cases; every run is in {GROUPS}. Small groups differ by chance alone."
        sections.append((f"Within groups: {named}", [words, Tabled(_group_rows(probed), GROUPS_HEAD)]))
    audit, rows = audit_rows(folder), read_rows(folder / RUNS)
    return [
        *sections,
        ("Every run", [Tabled([tuple(row.values()) for row in rows], tuple(rows[0]), RUNS)]),
        ("What the audit found", [Tabled(audit, AUDIT_HEAD) if audit else CLEAN]),
        ("How it came to be", [Commands(commands(folder, command))]),
    ]


def _group_rows(probed: Probed) -> list[tuple[str, ...]]:
    """A row a group and arm, of the runs with the most labelled cases."""
    most = max(row["cases"] for row in probed.groups)
    values: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for row in probed.groups:
        if row["cases"] == most:
            key = (row["column"], row["group"], str(row["n"]), row["arm"])
            values[key] += [float(row["value"])] if row["value"] else []
    rows: list[tuple[str, ...]] = []
    for key, some in values.items():
        mean, sd = mean_sd(some)
        rows.append((*key, "undefined" if not some else f"{mean:.3f}" + (f" ± {sd:.3f}" if len(some) > 1 else "")))
    return rows
