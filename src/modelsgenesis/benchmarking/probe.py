"""What frozen vectors say of labels: small models on embeddings, with few and many cases, again and again."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.arms import budgets_of, metric_of
from modelsgenesis.benchmarking.choices import (
    RANDOM,
    Choosing,
    Said,
    begin,
    file_of,
    strategies_of,
    vectors_of,
    write_choices,
)
from modelsgenesis.benchmarking.findings import Findings, compare
from modelsgenesis.benchmarking.leakage_audit import Hit, Searched, audit, stop_at
from modelsgenesis.benchmarking.probe_heads import Head
from modelsgenesis.benchmarking.probe_heads import probe as learn
from modelsgenesis.benchmarking.probe_options import BUDGETS, ProbeOptions
from modelsgenesis.benchmarking.probe_scores import Numbers, Row, rows_of_cases, rows_of_groups, score_of, truth_of
from modelsgenesis.benchmarking.run_tables import KEY, RUNS
from modelsgenesis.benchmarking.statistics.bootstrap_runs import Rows, bootstrap_rows
from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores
from modelsgenesis.benchmarking.statistics.runs import Run, Table, tabulate
from modelsgenesis.benchmarking.trial import ALL
from modelsgenesis.choosing.strategy import Answers, Strategy
from modelsgenesis.core.console import make_console
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.lease import held
from modelsgenesis.core.options import given_options
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, read_provenance, write_provenance
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.tables import read_table, write_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import spell
from modelsgenesis.data.patient_names import PATIENTS, keep_names
from modelsgenesis.data.problems import COLUMNS, Problem
from modelsgenesis.embedding.embed import BASELINES, RAW, SIZE
from modelsgenesis.embedding.encoder import LIKE
from modelsgenesis.embedding.table import Embeddings, is_embeddings, read_embeddings
from modelsgenesis.finetuning.finetune import read_task
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.case_finder import names_of, rows_by_file_and_name
from modelsgenesis.tasks.splitting import CaseSplit, split_cases

GROUPS, FAILURES, LABELLED = "groups.csv", "failures.csv", "labels.csv"
NAMING = ("id", "image", "image_0", "file", "filename", "case")  # columns that may name a case
RUN_COLUMNS = [*KEY, "metric", "value"]


@dataclass(frozen=True)
class ProbeArm:
    """The vectors of one network and the head that learns on them.

    Attributes:
        name: in tables.
        embeddings: the vectors.
        head: that learns.
        vectors: by the id of the case.
        strategy: that chooses its training cases; None draws them.
    """

    name: str
    embeddings: Embeddings
    head: Head
    vectors: Mapping[str, NDArray[np.float32]]
    strategy: Strategy | None = None


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes:
        findings: of the runs whose cases were drawn, compared: one run with all cases has no spread over seeds.
        table: of all runs.
        runs: the rows of runs.csv.
        groups: the rows of groups.csv.
        test: the cases that were tested on.
        choices: what was chosen, by arm and seed, where cases were chosen rather than drawn.
    """

    findings: Findings
    table: Table
    runs: list[Row]
    groups: list[Row]
    test: tuple[Case, ...]
    choices: dict[tuple[str, int], Choosing] = field(default_factory=dict)


WriteReport = Callable[[Path, Probed], Path]


def probe(embeddings: Path, labels: Path, into: Path, options: ProbeOptions, *, write_report: WriteReport) -> Path:
    """Probe embeddings on labels, and report by `write_report`; `commands.probe` describes the rest."""
    begun = time.monotonic()
    _check(into, options)
    opened = _opened(embeddings, options)
    task = _read_labels(labels, into, opened, options)
    arms, task, problems = _matched(opened, task, options)
    if not isinstance(task.target, TableTarget):
        raise DataError(f"{labels}: a probe learns classes, labels and numbers, and this is a {task.target.kind}")
    whole = split_cases(task, test=options.test, val=0)
    if not whole.test:
        raise DataError("a probe needs test cases; give --test, such as 0.2, or declare them in the data")
    with held(into, "probe"):
        _audit(opened, whole.test, into, options)
        write_table(into / FAILURES, COLUMNS, [problem.to_row() for problem in problems])
        probed = _probe_all(arms, task, task.target, whole, _groups_of(labels, task, options), options)
        write_table(into / RUNS, RUN_COLUMNS, probed.runs)
        if options.groups:
            write_table(into / GROUPS, [*KEY, "metric", "value", "column", "group", "n"], probed.groups)
        else:
            (into / GROUPS).unlink(missing_ok=True)  # of an earlier probe, which had groups
        for (arm, seed), choosing in probed.choices.items():
            write_choices(file_of(into, arm, seed), choosing)
        inputs = [*(each.folder for each in opened.values()), labels]
        made = {GIVEN_OPTIONS: given_options(options), "runs": len(probed.runs)}
        write_provenance(into, "probe", made, inputs=inputs)
        write_report(into, probed)
    console = make_console()
    line = f"probe: {many(len(probed.runs), 'run')} in {time.monotonic() - begun:.0f} s"
    line += f", {many(len(whole.test), 'test case')}"
    line += f", {many(len(problems), 'problem')}: {into / FAILURES}" if problems else ""
    console.print(line, highlight=False, soft_wrap=True)
    return into


def _check(into: Path, options: ProbeOptions) -> None:
    if options.seeds < 1 or not options.head:
        raise DataError(f"seeds must be 1 or more and a head named, got {options.seeds} and {options.head}")
    if options.choose and (options.with_ or len(options.head) > 1):
        raise DataError("--choose compares ways to choose from one start: leave --with out, and name one --head")
    if (into / PROVENANCE).is_file():
        read_provenance(into, "probe")
    elif (
        into.exists()
        and (not into.is_dir() or any(not path.name.startswith(".") for path in into.iterdir()))
        and not any((into / name).is_file() for name in ("audit.csv", PATIENTS))
    ):
        raise DataError(f"{into} is there already and holds no probe; choose a new folder or an empty one")


def _opened(first: Path, options: ProbeOptions) -> dict[str, Embeddings]:
    """The embeddings by the names of their arms, the first given first."""
    named = {first.resolve().name: first}
    for word in options.with_:
        name, equals, place = word.partition("=")
        if not equals or name in named:
            raise DataError(f"--with {word}: write NAME=EMBEDDINGS, each name once; {', '.join(named)} is taken")
        named[name] = Path(place)
    for folder in named.values():
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; the order is genesis probe EMBEDDINGS LABELS OUT")
    return {name: read_embeddings(folder, options.region) for name, folder in named.items()}


def _read_labels(labels: Path, into: Path, opened: Mapping[str, Embeddings], options: ProbeOptions) -> Task:
    """Read the labelled cases; a table that names scans by id alone gets their files from the embeddings."""
    if labels.is_dir() and is_embeddings(labels):
        raise DataError(f"{labels} holds embeddings, not labels; the order is genesis probe EMBEDDINGS LABELS OUT")
    columns = dict(options.columns or {})
    if options.task is None and labels.is_file() and labels.suffix.lower() == ".csv":
        rows, head = read_table(labels)
        has_image = any(name == "image" or name.startswith("image_") for name in (*head, *columns))
        column = columns.get("id", "id")
        if not has_image and column in head:
            first = next(iter(opened.values()))
            images = dict(zip(first.ids, first.images, strict=True))
            known = [{**row, "image": images[fit(row[column])]} for row in rows if fit(row[column]) in images]
            if not known:
                raise DataError(f"{labels}: none of its ids is among the embeddings', such as {first.ids[0]}")
            unknown = [row[column] for row in rows if fit(row[column]) not in images]
            patient = columns.get("patient", "patient")
            names = keep_names(into, [(row.get(patient, ""), row[column]) for row in known])
            salted = [{**row, patient: names.salted(row[patient], row[column])} for row in known if patient in row]
            write_table(into / LABELLED, [*head, "image"], salted or known)
            task = read_task(into / LABELLED, options.of_the_task())
            problems = [
                Problem(labels, f"no vector in {first.folder} is called {id_!r}", "embed it too", "warning")
                for id_ in unknown
            ]
            return replace(task, name=labels.stem, problems=(*task.problems, *problems))
    return read_task(labels, options.of_the_task())


def _matched(
    opened: Mapping[str, Embeddings], task: Task, options: ProbeOptions
) -> tuple[list[ProbeArm], Task, list[Problem]]:
    """The arms, and the task without the cases that lack a vector in one of them."""
    found = {name: vectors_of(each, task.cases) for name, each in opened.items()}
    lacking = {case.id: name for case in task.cases for name, vectors in found.items() if case.id not in vectors}
    if len(lacking) == len(task.cases):
        name = next(iter(lacking.values()))
        raise DataError(
            f"{opened[name].folder}: none of the {many(len(task.cases), 'labelled case')} has a vector in all arms; "
            f"the first case is {task.cases[0].id}, the first vector {opened[name].ids[0]}; if scans were "
            "moved, name them in the table by the ids of the embeddings, in a column id"
        )
    problems = [
        Problem(case.images[0].path, f"it has a label and no vector in {lacking[case.id]}", "embed it too", "warning")
        for case in task.cases
        if case.id in lacking
    ]
    kept = replace(task, cases=tuple(case for case in task.cases if case.id not in lacking))
    if options.choose:
        ((name, vectors),) = found.items()
        ways = strategies_of(options.choose, options.cases if options.cases != BUDGETS else ())
        if patchy := [way for way, strategy in ways.items() if strategy.needs == "patches"]:
            raise DataError(
                f"--choose {patchy[0]} asks about patches, and a probe has one answer a case; benchmark can"
            )
        arms = [ProbeArm(way, opened[name], options.head[0], vectors, each) for way, each in ways.items()]
        return arms, kept, [*task.problems, *problems]
    several = len(options.head) > 1
    arms = [
        ProbeArm(f"{name}-{head}" if several else name, opened[name], head, vectors)
        for name, vectors in found.items()
        for head in options.head
    ]
    return arms, kept, [*task.problems, *problems]


def _audit(opened: Mapping[str, Embeddings], test: Sequence[Case], into: Path, options: ProbeOptions) -> None:
    """Look for the test cases among what the networks were trained on."""
    hits, searched = list[Hit](), Searched()
    for name, each in opened.items():
        if each.network not in BASELINES and not each.network.startswith(LIKE):
            hits += audit(name, Path(next(iter(each.made.inputs))), test, searched=searched)
    stop_at(hits, into, arms=list(opened), allow=options.allow)


def _groups_of(labels: Path, task: Task, options: ProbeOptions) -> dict[str, dict[str, str]]:
    """The group of each case by each column: {column: {case: group}}."""
    if not options.groups:
        return {}
    path = next((each for each in (labels, task.place, *sorted(labels.glob("*.csv"))) if each.is_file()), labels)
    rows, head = read_table(path)
    if missing := [column for column in options.groups if column not in head]:
        raise DataError(f"{path}: has no column {', '.join(missing)} for --groups; its columns are {', '.join(head)}")
    columns = [(options.columns or {}).get(name, name) for name in NAMING]
    by_file, by_name = rows_by_file_and_name(rows, path, columns)
    groups: dict[str, dict[str, str]] = {column: {} for column in options.groups}
    for case in task.cases:
        names = [*names_of(case), case.images[0].path.name]
        row_of = by_file.get(spell(case.images[0])) or next((by_name[name] for name in names if name in by_name), {})
        for column in options.groups:
            groups[column][case.id] = row_of.get(column, "") or "unknown"
    return groups


def _probe_all(
    arms: Sequence[ProbeArm],
    task: Task,
    target: TableTarget,
    whole: CaseSplit,
    groups: Mapping[str, Mapping[str, str]],
    options: ProbeOptions,
) -> Probed:
    """Do every run, and compare the arms."""
    metric = metric_of(options.metric, task, [case.patient or case.id for case in whole.test])
    num = len(whole.train)
    words = [word for word in options.cases if options.cases != BUDGETS or word == ALL or int(word) < num]
    words = [word for word in words if not (options.choose and word == ALL)]
    rows: list[Row] = []
    of_groups: list[Row] = []
    predicted: dict[tuple[str, int, int], Rows] = {}
    draw = _Draw(task, target, whole, options)
    reference = _reference(arms, options)
    for budget in budgets_of(words, num):
        for seed in range(options.seeds if budget else 1):  # all cases are the same whatever the seed
            for arm in arms:
                key = (arm.name, budget or num, seed)
                named = {"task": task.name, "arm": arm.name, "cases": budget or num, "seed": seed, "metric": metric}
                p = _predicted(arm, target, draw.cases(arm, budget, seed), whole.test)
                truth = truth_of(whole.test)
                value = score_of(p, truth, whole.test, target, metric)
                if math.isnan(value):
                    raise DataError(f"{metric} is undefined on these test cases; choose another --metric")
                rows.append({**named, "value": f"{value:.6g}"})
                predicted[key] = rows_of_cases(p, truth, whole.test, target)
                of_groups += rows_of_groups(named, p, truth, whole.test, target, groups)
    runs = [Run(row["task"], row["arm"], row["cases"], row["seed"], row["metric"], float(row["value"])) for row in rows]
    runs = sorted(runs, key=lambda run: run.arm != reference)
    findings = _findings([run for run in runs if run.cases < num] or runs, predicted)
    findings = replace(findings, by_choice=bool(options.choose))
    return Probed(findings, tabulate(runs)[0], rows, of_groups, whole.test, draw.choices)


@dataclass
class _Draw:
    """The training cases of each run: drawn, the same for all arms, or chosen by the arm's strategy.

    Attributes:
        task: whose cases.
        target: of it.
        whole: its division.
        options: of the probe.
        choices: what strategies have chosen, by arm and seed; a larger budget goes on from a smaller one.
    """

    task: Task
    target: TableTarget
    whole: CaseSplit
    options: ProbeOptions
    choices: dict[tuple[str, int], Choosing] = field(default_factory=dict)
    drawn: dict[tuple[int | None, int], tuple[Case, ...]] = field(default_factory=dict)

    def cases(self, arm: ProbeArm, budget: int | None, seed: int) -> tuple[Case, ...]:
        """The training cases of an arm's run; budgets must come in rising order."""
        if arm.strategy is None or budget is None:
            if (budget, seed) not in self.drawn:
                split = split_cases(self.task, cases=budget, test=self.options.test, val=0, seed=seed)
                self.drawn = {(budget, seed): split.train}
            return self.drawn[budget, seed]
        key = (arm.name, seed)
        if key not in self.choices:
            self.choices[key] = begin(arm.strategy, self.whole.train, arm.vectors, seed, None)
        before = [str(row["id"]) for row in self.choices[key].rows]
        chosen = self.choices[key].up_to(budget, lambda asked: self._said(arm, before, asked))
        by_id = {case.id: case for case in self.whole.train}
        return tuple(by_id[id_] for id_ in chosen)

    def _said(self, arm: ProbeArm, before: Sequence[str], asked: Sequence[int]) -> Said:
        """What the arm's head says of cases, learned from those that had labels before."""
        if not isinstance(self.target, (Classification, MultilabelClassification)):
            raise DataError(f"a {self.target.kind} gives no probabilities, so nothing says how sure it is")
        train = [case for case in self.whole.train if case.id in set(before)]
        p = _predicted(arm, self.target, train, [self.whole.train[number] for number in asked])
        if isinstance(self.target, Classification):
            each = p[:, None, :, None]  # (cases, answers, classes, places)
        else:
            each = np.stack([p, 1 - p], axis=1)[:, None]
        return ((number, iter([Answers(said)])) for number, said in zip(asked, each, strict=True))


def _predicted(arm: ProbeArm, target: TableTarget, train: Sequence[Case], test: Sequence[Case]) -> Numbers:
    """What an arm predicts for other cases than it learns from."""
    own, others = (np.array([arm.vectors[case.id] for case in cases], np.float64) for cases in (train, test))
    patients = [case.patient or case.id for case in train]
    return learn(arm.head, own, truth_of(train), patients, others, target)


def _findings(runs: Sequence[Run], predicted: Mapping[tuple[str, int, int], Rows]) -> Findings:
    """Compare the arms with the first by the benchmark's statistics."""

    def bootstrap(table: Table) -> tuple[BootstrapScores | None, str]:
        try:
            return bootstrap_rows(table, lambda *run: ("the run " + ", ".join(map(str, run)), predicted[run])), ""
        except DataError as error:
            return None, str(error)

    return compare(tabulate(runs)[0], bootstrap)


def _reference(arms: Sequence[ProbeArm], options: ProbeOptions) -> str:
    """The arm that the others are held against."""
    names = [arm.name for arm in arms]
    if options.reference is not None:
        if options.reference not in names:
            raise DataError(f"--reference {options.reference}: no such arm; there are {', '.join(names)}")
        return options.reference
    if options.choose:
        return RANDOM
    kinds = [arm.embeddings.network for arm in arms]
    at_random = [name for name, kind in zip(names, kinds, strict=True) if kind.startswith(LIKE)]
    simple = [name for word in (RAW, SIZE) for name, kind in zip(names, kinds, strict=True) if kind == word]
    return [*at_random, *simple, names[-1]][0]
