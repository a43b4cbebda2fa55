"""Which cases to label next: `genesis choose EMBEDDINGS TABLE`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from modelsgenesis.choosing.answers import Asked
from modelsgenesis.choosing.options import ChooseOptions
from modelsgenesis.choosing.strategy import Answers, Choice, Pool, Strategy, choose_from, comparable, find_strategy
from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import find_machine
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit, read_object
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.tables import read_columns, read_table, write_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import entry_from, spell
from modelsgenesis.data.problems import Problem
from modelsgenesis.embedding.table import Embeddings, is_embeddings, read_embeddings
from modelsgenesis.inference.cases import find_cases
from modelsgenesis.inference.finetuned_networks import find_fine_tuned
from modelsgenesis.inference.predict import SETTINGS, progress
from modelsgenesis.tasks.case_tables import CASES
from modelsgenesis.tasks.label_values import MISSING

COLUMNS = ("rank", "id", "image", "score", "cluster", "why")
LEARNED = ("train", "val")  # roles of a run's cases whose labels it had
NAMING = ("id", "image", "image_0")
TELLING = {*COLUMNS, *NAMING, "patient", "modality", "split", "fold"}  # columns that are no labels


def choose(embeddings: Path, into: Path, options: ChooseOptions) -> Path:
    """Choose cases and write the table; `commands.choose` describes the arguments and errors."""
    if not is_embeddings(embeddings):
        raise DataError(f"{embeddings}: holds no embeddings; the order is genesis choose EMBEDDINGS TABLE")
    if into.suffix.lower() != ".csv" or (into.exists() and tuple(read_columns(into)) != COLUMNS):
        raise DataError(f"{into}: is no .csv, or a table that genesis choose did not write; give it a new name")
    found, strategy = read_embeddings(embeddings, options.region), find_strategy(options.method)
    asks = strategy.needs in ("answer", "patches")
    if asks != bool(options.run):
        needed = "asks a fine-tuned network; give it by --run" if asks else "asks no network; leave --run out"
        raise DataError(f"--method {options.method} {needed}")
    labelled = labelled_ids(found, options.labelled, list(map(str, options.run)))
    problems: list[Problem] = []
    chosen = _chosen(strategy, found, labelled, options, problems)
    rows = [
        {
            "rank": rank, "id": found.ids[one.case], "image": found.images[one.case], "score": f"{one.score:.6g}",
            "cluster": one.cluster, "why": one.why,
        }
        for rank, one in enumerate(chosen, start=1)
    ]  # fmt: skip
    write_table(into, COLUMNS, rows)
    console = make_console(quiet=options.quiet)
    for problem in problems:
        console.print(f"choose: {problem.path}: {problem.problem}; {problem.remedy}", soft_wrap=True, markup=False)
    line = f"choose: {many(len(rows), 'case')} of {len(found.ids) - len(labelled)} without labels by {options.method}"
    console.print(line, highlight=False, soft_wrap=True)
    return into


def _chosen(
    strategy: Strategy, found: Embeddings, labelled: set[str], options: ChooseOptions, problems: list[Problem]
) -> list[Choice]:
    """Choose by vectors, or by what networks say."""
    done = np.array([id_ in labelled for id_ in found.ids])
    rng = generator_for(options.seed, 0, "choose")
    vectors = comparable(found.vectors)
    if not options.run:
        return choose_from(strategy, Pool(vectors, done), options.cases, rng)
    tuned = find_fine_tuned(options.run)
    asked = Asked(tuned, find_machine(options.accelerator, options.precision), options.batch_size)
    scans = Path(str(read_object(found.folder / SETTINGS).get("scans", "")))
    there, wrong = find_cases(
        scans, tuned.channels, found.folder, pictures=len(tuned.patch) == 2, modality=tuned.modality
    )
    cases = _open_cases(there, found, labelled, scans)
    problems += wrong
    place = {id_: number for number, id_ in enumerate(found.ids)}

    def answers() -> Iterator[tuple[int, Iterator[Answers]]]:
        with progress("choose", "asked about", len(cases), make_console(quiet=options.quiet)) as (tick, count):
            for id_, said in asked.each(cases, scans if scans.is_dir() else scans.parent, problems.append):
                tick(id_, 0, 1)
                yield place[id_], said
                count(True)

    return choose_from(strategy, Pool(vectors, done, answers), options.cases, rng)


def _open_cases(there: list[Case], found: Embeddings, labelled: set[str], scans: Path) -> list[Case]:
    """The scans that were embedded and have no labels, as they lie where they were embedded from."""
    images = dict(zip(found.ids, found.images, strict=True))
    cases = [case for case in there if images.get(case.id) == spell(case.images[0]) and case.id not in labelled]
    if not cases:
        raise DataError(f"{scans}: none of the scans that were embedded from there is found; embed them anew")
    return cases


def labelled_ids(found: Embeddings, words: Sequence[str], runs: Sequence[str] = ()) -> set[str]:
    """The ids of the embedded cases that words name: ids, tables of cases, and runs.

    Args:
        found: the embeddings.
        words: that must name some.
        runs: whose cases count too, where they say which; one that was made by hand does not.
    Raises:
        DataError: a word names none of them.
    """
    known, by_image = set(found.ids), dict(zip(found.images, found.ids, strict=True))
    labelled: set[str] = set()
    for word in [*words, *runs]:
        tables = _tables_of(Path(word))
        if not tables and word in known:
            labelled.add(word)
        elif not tables and Path(word).is_dir() and word in words:
            raise DataError(f"--labelled {word}: is a folder without {CASES}, and no run; give a table of its cases")
        elif not tables and not Path(word).is_dir():
            raise DataError(f"--labelled {word}: is neither a table nor the id of an embedding, as {found.ids[0]}")
        named = {id_ for table in tables for id_ in _named(table, known, by_image)}
        if not named and tables == [Path(word)]:
            raise DataError(
                f"--labelled {word}: none of its cases is among the embeddings, such as {found.ids[0]}, and has a label"
            )
        labelled |= named
    return labelled


def _tables_of(path: Path) -> list[Path]:
    """The tables of cases that a path names: itself, a run's, or those of its folds; none where there are none."""
    if path.is_file():
        return [path]
    return [path / CASES] if (path / CASES).is_file() else sorted(path.glob(f"fold-*/{CASES}"))


def _named(path: Path, known: set[str], by_image: dict[str, str]) -> set[str]:
    """The embedded cases that a table names, by id or by the file of the image; those of a role that had labels.

    Where the table has columns of labels, a case without any is not yet labelled.
    """
    if path.suffix.lower() != ".csv" and not path.name.endswith(".csv.gz"):
        return set()  # a weights file given by --run
    rows, columns = read_table(path)
    of_run = "role" in columns
    labels = [name for name in columns if not (of_run or name in TELLING or name.startswith("image_"))]
    ids: set[str] = set()
    for row in rows:
        told = [name for name in labels if row[name].casefold() not in MISSING]
        if row.get("role", "train") not in LEARNED or (labels and not told):
            continue
        for column in NAMING:
            entry = row.get(column, "")
            image = entry_from(entry, path.parent)
            ids |= {each for each in (entry, fit(entry) if entry else "", by_image.get(image, "")) if each in known}
    return ids
