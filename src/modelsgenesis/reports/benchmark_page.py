"""The report of a benchmark: one page, the same as Markdown, tables for programs and for a paper, and the figures."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.benchmarking.findings import Findings, is_longer, read_findings
from modelsgenesis.benchmarking.leakage_audit import FILE as AUDIT
from modelsgenesis.benchmarking.run_record import (
    STARTS_HEAD,
    TIMES_HEAD,
    Ran,
    place_of,
    read_ran,
    start_rows,
    time_rows,
    total_words,
    where_rows,
)
from modelsgenesis.benchmarking.run_tables import RUNS
from modelsgenesis.benchmarking.statistics.comparison import gain_from_labels
from modelsgenesis.benchmarking.trial import TEST
from modelsgenesis.core.files import written_aside
from modelsgenesis.core.provenance import CommandLine, lineage, package_version
from modelsgenesis.core.tables import read_rows
from modelsgenesis.figures.learning_curve import draw_learning, draw_pairs
from modelsgenesis.figures.page import Code, Folded, Page, Paragraph, Part, Table, picture
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

PAGE, MARKDOWN, LATEX, FIGURES = "report.html", "report.md", "tables.tex", "figures"
TITLE = "What pre-training buys"
AUDIT_HEAD, WHERE_HEAD = ("arm", "case", "why", "allowed"), ("runs", "machine and program")
CLEAN = (
    "The audit looked for every test case among what the arms were pre-trained on, by file, by patient and by voxels, "
    "and found none."
)
NOT_FINISHED = "The benchmark is not finished, so it has no birth certificate yet."
BY_CHANCE = 0.025  # of lines without any effect are claimed: the interval's lower end is wrong so often

HOW = (
    "Every arm is taught on the same cases for as many updates (scratch:3x for three times as many), and scored on the "
    "same test patients, who were used for no choice; a seed chooses cases, patches and first weights for all arms "
    "alike. Differences are paired by seed, with Student's 95 % interval over seeds, for these test cases "
    "only; `over patients too` is for other patients as well; `bootstrap` is the plain percentile interval over seeds, "
    "which is too narrow for few of them. The t-test is the paper's two-sample test; the paired one is corrected by "
    "Holm over all lines of the table; the sign-flip test is exact and paired. The intervals are not corrected. g: "
    "Hedges' effect size."
)
SAVED = (
    "A saving is the share of the reference's labels that an arm does without, read off a monotone learning curve; it "
    "is claimed only where its whole 95 % interval, {scope}, is above zero. These intervals are not "
    "corrected for the number of lines: of {lines} lines without any effect, {wrong:.1f} would be claimed by chance."
)
FLAT = (
    "From {first} to {last} labelled cases {reference} itself is not shown to get better ({gain:+.3f}, "
    "{interval} over seeds): in so few updates more labels are of no use to it. A saving read off so "
    "flat a curve says that an arm learns faster, and little of how many labels a longer training would need."
)
FEW = "With so few seeds no sign-flip test can fall below {least:.3f}, however great a difference is."
PAIRS = (
    "Each line above joins the runs of one seed: {reference} in grey, the arm in its colour. Below, a point is the "
    "difference of such a pair; the bar is the mean, with Student's 95 % interval over {seeds}, for these test "
    "cases only, cut where it is much longer than the differences."
)
SEEDS_ONLY = (
    "Of {metric} there is no interval over patients here: {why}. Every interval and test is over seeds, for these "
    "test cases only, and other patients might turn a difference round."
)
PUBLISHED = (
    "Published scores are of other patients, networks and schedules than ours: they say what to expect, and not who is "
    "better."
)


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


Said = str | Tabled | Commands | Sheet
Section = tuple[str, Sequence[Said]]


def write_report(folder: Path, page: Path | None = None, *, command: CommandLine) -> Path:
    """Write everything that a benchmark says, beside its runs.

    Args:
        folder: of the benchmark.
        page: of the HTML; report.html in the folder by default.
        command: What spells the command that made a folder.
    Returns:
        The page's path.
    """
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
        made.section(heading, *(shown for part in contents for shown in as_html(part)))
    return made.write(page or folder / PAGE, f"Made by genesis report, modelsgenesis {package_version()}.")


def sections_of(folder: Path, found: Findings, name: str) -> list[Section]:
    """What there is to say of one task and metric; its figures are drawn, and their names begin so."""
    sheets, why = case_sheets(folder, found, folder / FIGURES, name)
    named = f"{found.table.task}, {found.title}"
    sections: list[Section] = [
        (f"Learning curves: {named}", plots(folder, found, name)),
        (f"Scores: {named}, mean ± sd over {_seeds_words(found)}", [Tabled(*score_table(found))]),
    ]
    if found.published:
        sections.append((f"Published scores beside ours: {named}", [PUBLISHED, Tabled(*published_table(found))]))
    if found.comparisons:
        wrong = BY_CHANCE * len(found.savings)
        saved = SAVED.format(scope=found.scope, lines=len(found.savings), wrong=wrong)
        alone = [] if found.over_patients else [SEEDS_ONLY.format(metric=found.title, why=found.why)]
        words = [saved, *alone, *flat_words(found)]
        sections.append((f"Savings of labels: {named}", [*words, Tabled(*saving_table(found))]))
        compared = Tabled(comparison_rows(found), COMPARISON_HEAD)
        sections.append((f"Each arm against {found.reference}: {named}", [HOW, *few_words(found), *alone, compared]))
    sections.append((f"The worst and the best cases: {named}", [*sheets, *([why] if why else [])]))
    return sections


def few_words(found: Findings) -> list[str]:
    """What to say where seeds are too few for the exact test to show anything."""
    least = min((one.sign_flip.least for one in found.comparisons if not one.sign_flip.can_reach), default=None)
    return [] if least is None else [FEW.format(least=least)]


def flat_words(found: Findings) -> list[str]:
    """What to say where the reference does not get better with more labels; nothing where it does, or one budget is."""
    table, gain = found.table, gain_from_labels(found.table, found.reference)
    low, high = sorted((found.sign * gain.low95, found.sign * gain.high95))
    gained = found.sign * gain.value
    if not (low <= 0 or gained <= 0):  # NaN too: of one budget nothing is known
        return []
    interval = f"95 % interval {low:+.3f} to {high:+.3f}" if low <= high else "without an interval"
    first, last = table.budgets[0], table.budgets[-1]
    return [FLAT.format(first=first, last=last, reference=found.reference, gain=gained, interval=interval)]


def sections_of_all(folder: Path, ran: Sequence[Ran], command: CommandLine) -> list[Section]:
    """What there is to say of all runs together."""
    starts, audit, rows = start_rows(ran), audit_rows(folder), read_rows(folder / RUNS)
    every = Tabled([tuple(row.values()) for row in rows], tuple(rows[0]), RUNS)
    times: list[Said] = [total_words(ran), Tabled(time_rows(ran), TIMES_HEAD), Tabled(where_rows(ran), WHERE_HEAD)]
    return [
        ("What ran where, and how long", times + ([Tabled(starts, STARTS_HEAD)] if starts else [])),
        ("Every run", [every]),
        *([("What the audit found", [Tabled(audit, AUDIT_HEAD) if audit else CLEAN])] if audit is not None else []),
        ("How it came to be", [Commands(commands(folder, command))]),
    ]


def as_html(part: Said) -> list[Part]:
    """The parts of the page that show it."""
    if isinstance(part, str):
        return [Paragraph(part)]
    if isinstance(part, Sheet):
        return [picture(part.path, part.title), Paragraph(part.caption, "caption")]
    if isinstance(part, Commands):
        return [Code("\n".join(part.lines) or NOT_FINISHED)]
    made = Table(part.rows, part.head)
    return [Folded(f"{len(part.rows)} rows of {part.file}", [made]) if part.file else made]


def as_text(lead: str, sections: Sequence[Section], folder: Path) -> str:
    """The same as Markdown, the figures linked."""
    parts = [f"# {TITLE}", lead]
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
                parts.append(f"{len(part.rows)} rows: {part.file}" if part.file else as_markdown(part.rows, part.head))
    return "\n\n".join(parts) + "\n"


def plots(folder: Path, found: Findings, name: str) -> list[Said]:
    """Draw the learning curves, and the pairs if there are any."""
    values = {arm: found.table.of(arm) for arm in found.table.arms}
    into, budgets, seeds = folder / FIGURES, found.table.budgets, _seeds_words(found)
    path = draw_learning(into / f"{name}learning.png", found.title, budgets, values)
    words = f"A point is the mean of {seeds}, the band reaches from the least to the greatest."
    drawn: list[Said] = [Sheet(path, "Learning curves", f"{words} {_scored_words(folder, found)}")]
    if len(values) > 1:
        intervals = {(one.arm, one.cases): (one.difference.low95, one.difference.high95) for one in found.comparisons}
        path = draw_pairs(into / f"{name}pairs.png", found.title, budgets, values, intervals)
        drawn.append(Sheet(path, "Pairs of runs", PAIRS.format(reference=found.reference, seeds=seeds)))
    return drawn


def _seeds_words(found: Findings) -> str:
    """How many seeds, and which."""
    seeds = found.table.seeds
    if len(seeds) == 1:
        return f"one seed ({seeds[0]})"
    whole = all(map(math.isfinite, found.table.values.ravel().tolist()))
    return f"{len(seeds)} seeds ({', '.join(map(str, seeds))})" + ("" if whole else ", as far as they are run")


def _scored_words(folder: Path, found: Findings) -> str:
    """What a run's score is of."""
    better = "more is better" if found.sign > 0 else "less is better"
    tested = tested_on(folder, found)
    of = f"{len(tested)} test cases of {len(set(tested.values()))} patients" if tested else "all test cases"
    return f"{found.title} is {f'the mean over {of}' if found.by_case else f'of {of} together'}; {better}."


def tested_on(folder: Path, found: Findings) -> dict[str, str]:
    """The test cases, each with its patient; none where neither their scores nor a run are here."""
    if found.by_case:
        return {one.case: one.patient for one in found.by_case}
    table = found.table
    places = (place_of(folder, table.arms[0], table.budgets[0], seed) / "run" / TEST for seed in table.seeds)
    return next(({row["id"]: row["patient"] for row in read_rows(place)} for place in places if place.is_file()), {})


def headline(folder: Path, findings: Sequence[Findings], ran: Sequence[Ran]) -> list[tuple[str, str, str]]:
    """The numbers on top."""
    bought = [one.shown for each in findings for one in each.savings if not is_longer(one.arm)]
    num, counted = sum(bought), f"{sum(bought)} of {len(bought)}"
    patients = max(len(set(tested_on(folder, each).values())) for each in findings)
    return [
        (str(len(ran)), "runs", ""),
        (str(len({arm for each in findings for arm in each.table.arms})), "arms", ""),
        (str(max(len(each.table.budgets) for each in findings)), "numbers of labelled cases", ""),
        (str(max(len(each.table.seeds) for each in findings)), "seeds", ""),
        *([(str(patients), "test patients", "")] if patients else []),
        *([(counted, "savings of labels by pre-training shown", "good" if num else "bad")] if bought else []),
    ]


def lead(findings: Sequence[Findings]) -> str:
    """What can be said in a few sentences."""
    if not any(each.savings for each in findings):
        return "One arm alone: nothing to compare yet."
    return " ".join(_found(each) for each in findings)


def _found(found: Findings) -> str:
    """What pre-trained arms are shown to save, then what longer schedules are, and where labels are not what lacks."""
    longer = {one.arm for one in found.savings if is_longer(one.arm)}
    trained = {one.arm for one in found.savings} - longer
    said = [
        *([f"{found.table.task}: {_shown(found, trained, 'by pre-training')}"] if trained else []),
        *([f"{found.table.task}, without pre-training: {_shown(found, longer, 'by more updates')}"] if longer else []),
    ]
    return " ".join([*said, *(flat_words(found) if any(one.shown for one in found.savings) else [])])


def _shown(found: Findings, arms: Collection[str], how: str) -> str:
    """How many savings these arms are shown to bring, which is the surest, and how often they are better or worse."""
    savings = [one for one in found.savings if one.arm in arms]
    ends = [
        sorted((found.sign * estimate.low95, found.sign * estimate.high95))
        for one in found.comparisons
        if one.arm in arms
        for estimate in [one.over_patients or one.difference]
    ]
    better, worse = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    counted = (
        f"Of {len(ends)} comparisons with {found.reference}, the 95 % interval ({found.scope}) is on the "
        f"better side in {better} and on the worse side in {worse}."
    )
    shown = [one for one in savings if one.shown]
    if not shown:
        return f"no saving of labels {how} is shown: no interval of one is above zero. {counted}"
    best = max(shown, key=lambda one: one.saving.low95)
    return (
        f"{len(shown)} of {len(savings)} savings of labels {how} are shown; the surest: {best.arm} {best.claim} where "
        f"{best.reference} has {best.cases} cases. {counted}"
    )


def audit_rows(folder: Path) -> list[Row] | None:
    """What was found, and allowed by name; None where nothing was looked for."""
    if not (folder / AUDIT).is_file():
        return None
    return [(row["arm"], row["case"], row["why"], row["allowed"]) for row in read_rows(folder / AUDIT)]


def commands(folder: Path, command: CommandLine) -> list[str]:
    """The commands that made everything, the first one first."""
    return [command(place, made) for place, made in reversed(lineage(folder))]


def _write(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
