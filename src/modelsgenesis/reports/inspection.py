"""What a target task holds, and what is wrong with it: `genesis inspect DATA`."""

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as ConsoleTable

from modelsgenesis.core.console import PlainConsole, make_console
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import package_version
from modelsgenesis.core.target import Kind
from modelsgenesis.core.words import many
from modelsgenesis.data.store.store import Store
from modelsgenesis.figures.overlay import overlay_picture
from modelsgenesis.figures.page import Folded, Page, Paragraph, Picture, Table
from modelsgenesis.reports.inspection_tables import (
    FEW,
    PROBLEM_HEAD,
    Row,
    case_head,
    case_rows,
    example_cases,
    last_line,
    overlay_of,
    problem_rows,
    summary,
)
from modelsgenesis.reports.store_inspection import LOOKED_UP, is_store, looked_up, store_rows, verified_row
from modelsgenesis.tasks import Task, read
from modelsgenesis.tasks.checks import Checked, check
from modelsgenesis.tasks.task import NoCaseError

Titled = tuple[Sequence[Row], Row, str]  # the rows of a table, its head, its title

WIDTH, NARROWEST = 120, 80  # of the text, in letters: where there is no terminal, and at least
PICTURES = (
    "The first channel in three planes, in radiological view: the patient's right on the picture's left. The planes go "
    "where most of the labels is to be seen."
)


@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """The options of genesis inspect.

    Args:
        into: A page (.html) that also shows some cases with their labels; without one, the text is what comes back.
        task: The name of a published task, such as ncc, or with settings: ncc,negatives=10.
        kind: The kind of task, where a table's labels could mean two.
        label: The column of a table that is the label, or several with commas between.
        classes: How a column is cut into classes, as in --classes benign "<3" malignant ">3"; other rows are left out.
        columns: What columns of a table are called, as in --columns image Path patient "Patient ID".
        cases: How many cases are listed one by one in the text; the page lists all.
        id: Of a store, while its salt is there: ids or salted patients, to see which files they are; or files, to see
            their ids. Nothing of it is written anywhere.
        verify: Every file of a store is compared with its checksum.
        workers: How many processes read; by default one a core where there is much to read, 0 works in this process.
        cache: The folder on a local disk where files of an object store are kept, where a URL is given (s3://, gs://).
        cache_gib: How many GiB the cache may fill; what was not used for longest goes.
        quiet: No progress is shown.
    """

    into: Path | None = None
    task: str | None = None
    kind: Kind | None = None
    label: str | None = None
    classes: dict[str, str] | None = field(default=None, hash=False)
    columns: dict[str, str] | None = field(default=None, hash=False)
    cases: int = 20
    id: tuple[str, ...] = ()
    verify: bool = False
    workers: int | None = None
    cache: Path | None = None
    cache_gib: float = 500.0
    quiet: bool = False


def inspect(data: Path, options: InspectOptions) -> Path | str:
    """Inspect labelled cases or a store; `commands.inspect` describes the arguments and errors."""
    into, cases, workers = options.into, options.cases, options.workers
    if into is not None and Path(into).suffix.lower() != ".html":
        raise DataError(f"--into names a page, so give a name that ends in .html, got {Path(into).name!r}")
    if cases < 0 or (workers is not None and workers < 0):
        raise DataError(f"cases and workers cannot be negative, got {cases} and {workers}")
    console = make_console(quiet=options.quiet)
    if is_store(data):
        return _of_store(data, options, console)
    if options.id:
        raise DataError(f"{data} is no store, and only a store has such ids; leave --id out")
    if options.verify:
        raise DataError(f"{data} is no store, and only a store has checksums; leave --verify out")
    try:
        labelled = read(
            data, task=options.task, kind=options.kind, label=options.label, classes=options.classes,
            columns=options.columns,
        )  # fmt: skip
        checked = _checked(labelled, workers, console)
    except NoCaseError as error:
        rows = problem_rows(error.place, error.problems)
        if rows:
            console.print(_table(rows, PROBLEM_HEAD, "problems"), highlight=False)
        raise
    text = as_text(labelled, checked, most=cases)
    return _told(text, as_page(labelled, checked), options, console) if into else text


def _told(text: str, page: Page, options: InspectOptions, console: Console) -> Path:
    """Show the text, and write the page."""
    console.print(text, soft_wrap=True, highlight=False)
    return page.write(Path(options.into or ""), f"Made by genesis inspect, modelsgenesis {package_version()}.")


def _of_store(place: Path, options: InspectOptions, console: Console) -> Path | str:
    """Inspect a store."""
    store = Store.open(place)
    rows = store_rows(store)
    if options.verify:
        rows.append(verified_row(store, options.workers, console))
    tables: list[Titled] = [(rows, (), place.name)]
    if options.id:
        tables.append((looked_up(store, options.id), LOOKED_UP, "looked up"))
        if options.into:
            raise DataError("--id leads from ids to files, which no page should hold; leave --into out")
    text = _as_text(tables)
    if options.into is None:
        return text
    page = Page(place.name, "A store, as genesis inspect found it.")
    page.section("What there is", Table(rows))
    return _told(text, page, options, console)


def _checked(task: Task, workers: int | None, console: Console) -> Checked:
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        bar = progress.add_task("reading", total=len(task.cases))
        checked = check(task, workers=workers, progress=lambda done: progress.update(bar, completed=done))
    if not checked.usable:
        raise NoCaseError(task.place, checked.problems)
    return checked


def as_text(task: Task, checked: Checked, *, most: int) -> str:
    """Write the inspection as tables in plain text.

    Args:
        task: that was checked.
        checked: what was found.
        most: cases listed one by one.
    """
    head, rows = task.target.labels_table(checked.kept)
    tables: list[Titled] = [(summary(task, checked), (), task.name), (rows, head, "labels")]
    if most:
        rows = case_rows(task, checked)
        title = "cases" if len(rows) <= most else f"the first {most} of {many(len(rows), 'case')}"
        tables.append((rows[:most], case_head(task), title))
    if checked.problems:
        tables.append((problem_rows(task.place, checked.problems), PROBLEM_HEAD, "problems"))
    return _as_text(tables, last_line(checked))


def _as_text(tables: Sequence[Titled], last: str = "") -> str:
    """Write tables one below the other, and a last line."""
    width = max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)
    written = io.StringIO()
    console = PlainConsole(file=written, width=width, color_system=None, highlight=False)
    for rows, head, title in tables:
        console.print(_table(rows, head, title))
    if last:
        console.print(last, soft_wrap=True)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _table(rows: Sequence[Row], head: Row, title: str) -> ConsoleTable:
    drawn = ConsoleTable(title=title, title_justify="left", title_style="", show_header=bool(head))
    for name in head or rows[0]:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def as_page(task: Task, checked: Checked) -> Page:
    """Write the inspection as a page with pictures of a few cases."""
    errors = sum(problem.severity == "error" for problem in checked.problems)
    page = Page(task.name, f"A {task.target.kind} task, as genesis inspect found it.")
    page.headline(
        [
            (str(len(checked.usable)), "labelled cases that can be used", ""),
            (str(len(task.target.labels)), task.target.noun, ""),
            (str(errors), "errors, each of which costs a case", "bad" if errors else "good"),
            (str(len(checked.problems) - errors), "warnings", ""),
        ]
    )
    if checked.problems:
        rows = problem_rows(task.place, checked.problems)
        page.section("Problems and what to do", Table(rows, PROBLEM_HEAD))
    head, labels = task.target.labels_table(checked.kept)
    page.section("What there is", Table(summary(task, checked)))
    page.section(task.target.noun.capitalize(), Table(labels, head))
    flat = all(len(finding.size) == 2 for finding in checked.findings)
    words = "The first channel, as the file has it." if flat else PICTURES
    page.section("Some of the cases", Paragraph(words, "caption"), pictures(task, checked))
    rows = case_rows(task, checked)
    every = [Table(rows, case_head(task))]
    page.section("Every case", Folded(f"{many(len(rows), 'case')}", every, unfolded=len(rows) <= FEW))
    return page


def pictures(task: Task, checked: Checked) -> Picture:
    """Draw the sheet of example cases, with one a row."""
    rows = [overlay_of(case, caption, task.target) for case, caption in example_cases(task, checked)]
    return overlay_picture(rows, "cases with their labels", labels=task.target.names)
