"""What pre-training buys: the same task, cases and updates for every start, again and again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from modelsgenesis.benchmarking.leakage_audit import audit, stop_at
from modelsgenesis.benchmarking.run_record import place_of
from modelsgenesis.benchmarking.trial import ALL, METRICS, Result, Trial, do_trial, folder_of
from modelsgenesis.core.device import Accelerator, gpus_here, make_fabric
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.naming import describe
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.target import Kind
from modelsgenesis.evaluation.mask_comparison import METRICS as OF_MASKS
from modelsgenesis.evaluation.table_predictions import metrics_of
from modelsgenesis.finetuning.config import SCRATCH, Initialization, choose_initialization, make_config, usual_steps
from modelsgenesis.finetuning.finetune import axes_of
from modelsgenesis.finetuning.run import Tuning
from modelsgenesis.metrics.direction import NEITHER_IS_BETTER, more_is_better
from modelsgenesis.reports.benchmark_files import write_rows
from modelsgenesis.reports.benchmark_page import write_report
from modelsgenesis.reports.benchmark_tables import CASES, PUBLISHED, RUNS, rows_of
from modelsgenesis.reports.command_line import ASKED, given_options
from modelsgenesis.tasks import Task, read
from modelsgenesis.tasks.assembly import of_modality
from modelsgenesis.tasks.splitting import split_cases
from modelsgenesis.training.plan import Precision
from modelsgenesis.training.run_folder import SETTINGS, check_settings, refuse_run, remember
from modelsgenesis.weights.registry import resolve

MEASURED = 6  # cases that are read to time a step
BUDGETS = ("3", "6", "12", "25", "50", ALL)


@dataclass(frozen=True)
class Arm:
    """A start to compare.

    Attributes:
        name: in tables.
        start: a run or weights file, or "scratch".
        times: the updates of the others that it gets.
    """

    name: str
    start: str
    times: int = 1


def arms_of(words: Sequence[str]) -> list[Arm]:
    """Understand `scratch`, `scratch:3x`, `runs/genesis` and `name=runs/genesis`.

    Raises:
        GenesisError: two arms of one name, or no arm.
    """
    arms = []
    for word in words:
        name, equals, place = word.partition("=")
        if word == SCRATCH or (word.startswith(f"{SCRATCH}:") and word.endswith("x")):
            factor = word[len(SCRATCH) + 1 : -1] or "1"
            if not factor.isdecimal() or int(factor) < 1:
                raise GenesisError(f"{word}: say scratch:3x for a start from scratch with three times the updates")
            arms.append(Arm(word, SCRATCH, int(factor)))
        else:
            arms.append(Arm(name if equals else Path(word).stem, place if equals else word))
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) < len(names):
        raise GenesisError(f"arms need names of their own, got {', '.join(names) or 'none'}; write NAME=RUN")
    return arms


def benchmark(
    data: str | Path,
    into: str | Path,
    *,
    from_: tuple[str, ...] = (SCRATCH,),
    cases: tuple[str, ...] = BUDGETS,
    seeds: int = 5,
    test: float = 0.2,
    allow: tuple[str, ...] = (),
    like: str | None = None,
    task: str | None = None,
    kind: Kind | None = None,
    label: str | None = None,
    classes: dict[str, str] | None = None,
    modality: Literal["CT", "MR", "XR", "unknown"] | None = None,
    metric: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    warmup_steps: int | None = None,
    weight_decay: float | None = None,
    tune: Literal["full", "layer-decay", "probe", "head-first"] | None = None,
    size: tuple[int, int, int] | tuple[int, int] | None = None,
    spacing: tuple[float, float, float] | None = None,
    mirror: str | None = None,
    augment: bool = True,
    precision: Precision | None = None,
    accelerator: Accelerator = "auto",
    workers: int = 0,
    threads: int = 1,
    dry_run: bool = False,
) -> Path:
    """Ask what pre-training buys on a task: every start, with few and many labels, again and again.

    For a number of cases and a seed every arm is taught on the same cases, for as many updates, and scored on the same
    patients, who are never used for a choice. Run again, it goes on where it stopped, and further arms, budgets and
    seeds may be added: what was done before stays in the tables.

    Args:
        data: labelled cases, as finetune takes them.
        into: the folder of the runs, audit.csv, runs.csv, and the report.
        from_: the arms: scratch, scratch:3x (three times the updates), runs or weights files, NAME=RUN.
        cases: budgets of labelled cases, and all; by default those of 3 6 12 25 50 for which there are cases, and all.
        seeds: runs of each arm and budget, with seeds 0, 1, 2 ...
        test: share of the patients to test on, where the data declare no test cases.
        allow: arms that may have seen test cases, or of which nobody can tell.
        like: of scratch: the run or recipe whose kind of network is taken; by default the first arm's that has one.
        task: of a published one its name, such as ncc; its settings are the defaults of those below, and the paper's
            scores go into the report.
        kind: of the task, where a table's labels could mean two.
        label: the column of a table that is the label.
        classes: of a column that must be cut, as in --classes benign "<3" malignant ">3".
        modality: of all images, where the data do not declare one; CT is read in Hounsfield units.
        metric: to compare; dice, auc or mae by the kind of task, or another that evaluate gives of which more or less
            is better.
        steps: of the optimiser, for every arm alike; by default 100 a case, at least 1000.
        batch_size: patches a step.
        lr: peak learning rate.
        warmup_steps: over which it rises.
        weight_decay: of the convolutions' weights.
        tune: full, layer-decay, probe or head-first.
        size: of the patches in voxels; pictures are shrunk or enlarged to it.
        spacing: in mm along X, Y and Z, to resample to.
        mirror: axes that may be mirrored, such as xyz, yz or none.
        augment: leave the training patches as they are with --no-augment.
        precision: auto, 32-true or bf16-mixed.
        accelerator: auto, cpu or gpu.
        workers: runs at once, in processes of their own, to which the GPUs are dealt in turn; 0 is one after another
            in this one.
        threads: of the processor, a run.
        dry_run: print the plan with its hours, and train nothing.
    Returns:
        `into`.
    Raises:
        DataError: too few cases, test cases that an arm was pre-trained on, or a metric that evaluate does not give or
            that does not say which arm is better.
        GenesisError: arms without names of their own.
        TrainingError: the folder holds a benchmark with other settings.
    """
    options = given_options(benchmark, locals())
    data, into = Path(data), Path(into)
    arms = arms_of(from_)
    refuse_run(data, "the order is genesis benchmark DATA OUT --from scratch RUN ...")
    labelled = read(data, task=task, kind=kind, label=label, classes=classes)
    labelled = of_modality(labelled, modality) if modality else labelled
    metric = metric or (labelled.published.metric if labelled.published else METRICS[labelled.target.kind])
    whole = split_cases(labelled, test=test, val=0)
    if not whole.test:
        raise DataError("a benchmark needs test cases; give --test, such as 0.2, or declare them in the data")
    check_metric(metric, labelled, [case.patient or case.id for case in whole.test])
    num = len(whole.train)
    budgets = budgets_of([word for word in cases if cases != BUDGETS or word == ALL or int(word) < num], num)
    hits = [hit for arm in arms if arm.start != SCRATCH for hit in audit(arm.name, resolve(arm.start), whole.test)]
    stop_at(hits, into, arms=[arm.name for arm in arms], allow=allow)
    like = like or next((arm.start for arm in arms if arm.start != SCRATCH), None)
    start = choose_initialization(SCRATCH, labelled, like=like)
    meant = {"task": task, "kind": kind, "label": label, "classes": classes, "modality": modality}
    said = {**meant, "tune": tune, "test": test, "val": 0}
    plan = {
        "batch_size": batch_size, "lr": lr, "warmup_steps": warmup_steps, "weight_decay": weight_decay,
        "precision": precision,
    }  # fmt: skip
    settings: dict[str, dict[str, Any]] = {
        "reading": {"spacing_mm": spacing}, "plan": {**plan, "steps": steps}, "layer_rates": {},
        "augmentation": {"mirror": axes_of(mirror)}, "approach": {"size": size},
    }  # fmt: skip
    config = make_config(labelled, start, whole.train, validates=False, options=settings)
    fixed = {"size": config.size, "spacing": config.reading.spacing_mm, "mirror": mirror, "augment": augment}
    taught = {**said, **plan, **fixed, "accelerator": accelerator}
    alike = describe({**said, **plan, **fixed, "steps": steps, "data": labelled.name, "metric": metric})
    if (into / SETTINGS).is_file():
        check_settings(into, alike)
    trials = [
        Trial(
            arm.name, budget, seed, data, folder_of(into, arm.name, budget, seed),
            arm.start, like, into / "cases", metric,
            {**taught, "steps": arm.times * (steps or usual_steps(budget or len(whole.train)))}, threads,
        )
        for seed in range(seeds)
        for budget in budgets
        for arm in arms
    ]  # fmt: skip
    fabric = make_fabric(config.plan.precision, accelerator=accelerator)
    settings |= {"reading": {"spacing_mm": config.reading.spacing_mm}, "approach": {"size": config.size}}

    def tuning_from(start: Initialization) -> Tuning:
        how = make_config(labelled, start, whole.train, validates=False, options=settings)
        return Tuning(labelled, start, how, into, 0, fabric, options, case_cache=into / "cases", quiet=True)

    runs = Benchmark(labelled, trials, into, options, alike, num, workers, gpus_here(accelerator))
    torch.set_num_threads(threads)  # as the runs do, or a step would be timed too short
    seconds_a_step = tuning_from(start).seconds_a_step(
        split_cases(labelled, cases=min(num, MEASURED), test=test, val=0)
    )
    if not dry_run:  # before several processes would read the same cases into the same files
        starts = [
            start,
            *(choose_initialization(arm.start, labelled, like=None) for arm in arms if arm.start != SCRATCH),
        ]
        taught_on = [
            split_cases(labelled, cases=b, test=test, val=0, seed=seed) for seed in range(seeds) for b in budgets
        ]
        for tuning in {each.case_cache: each for each in map(tuning_from, starts)}.values():
            tuning.read_cases(taught_on)
    return runs.follow(seconds_a_step, dry_run=dry_run)


def check_metric(metric: str, task: Task, patients: Sequence[str]) -> None:
    """Refuse a metric that arms cannot be compared by.

    Args:
        metric: its name.
        task: whose.
        patients: of each test case.
    Raises:
        DataError: evaluate gives no such metric, or neither more nor less of it is better.
    """
    given = OF_MASKS if task.target.kind == "segmentation" else metrics_of(task.target, patients)
    if metric not in given:
        known = ", ".join(name for name in given if name not in NEITHER_IS_BETTER)
        raise DataError(f"there is no metric {metric} of these cases of {task.target.kind}; take one of: {known}")
    more_is_better(metric)


def budgets_of(words: Sequence[str], num: int) -> list[int | None]:
    """Understand budgets of labelled cases, rising; None is all.

    Args:
        words: numbers, and "all".
        num: cases there are to be taught on.
    Raises:
        DataError: a word that is neither, or more cases than there are.
    """
    budgets: set[int | None] = set()
    for word in words:
        if word != ALL and not word.isdecimal():
            raise DataError(f"a budget is a number of cases, or {ALL}, got {word!r}")
        if word != ALL and not 1 <= int(word) < num:
            raise DataError(f"{word} labelled cases asked for; {num} may be used, which {ALL} says")
        budgets.add(None if word == ALL else int(word))
    return sorted(budgets, key=lambda budget: num if budget is None else budget)


class Benchmark:
    """All runs of a benchmark.

    Args:
        task: whose.
        trials: to be done, in this order.
        into: the folder.
        asked: the options as they were given, for the certificate.
        alike: the settings that all runs of a folder share.
        num: cases that "all" stands for.
        workers: runs at once.
        gpus: to be dealt to them.
    """

    def __init__(
        self,
        task: Task,
        trials: Sequence[Trial],
        into: Path,
        asked: dict[str, Any],
        alike: dict[str, Any],
        num: int,
        workers: int,
        gpus: Sequence[str],
    ) -> None:
        self.task, self.trials, self.into = task, list(trials), into
        self.asked, self.alike = asked, alike
        self.num, self.workers, self.gpus = num, workers, gpus
        self.console = Console(stderr=True)
        self.results: dict[Trial, Result] = {}

    def follow(self, seconds_a_step: float, *, dry_run: bool) -> Path:
        """Print the plan, do what is not done, and write the tables and the report."""
        self.console.print(self._plan(seconds_a_step))
        if dry_run:
            return self.into
        remember(self.into, self.alike, self.task.place)
        if self.task.published and self.task.published.scores:
            write_json(self.into / PUBLISHED, self.task.published.to_json(self.task.name))
        for trial, result in work_through(do_trial, self.trials, self.workers, gpus=self.gpus):
            self.results[trial] = result or Result(math.nan, why="its process died; is there enough memory?")
            self._tell(trial, self.results[trial])
            self._write()
            if math.isnan(self.results[trial].value) and not self.results[trial].why and self.workers == 0:
                self.console.print("stopped; the same command goes on from there")
                return self.into
        if failed := [trial for trial in self.trials if self.results[trial].why]:
            first = self.results[failed[0]].why
            some = len(failed) < len(self.trials)
            told = f"; {write_report(self.into)} tells of the others" if some else ""
            raise DataError(
                f"{len(failed)} of {len(self.trials)} runs failed; the first, {failed[0].into}: {first}{told}. "
                "The same command tries them again"
            )
        arguments = {ASKED: self.asked, "runs": len(self.trials)}
        starts = sorted({trial.start for trial in self.trials} - {SCRATCH})
        write_provenance(self.into, "benchmark", arguments, inputs=[self.task.place, *map(resolve, starts)])
        write_report(self.into)
        return self.into

    def _plan(self, seconds_a_step: float) -> Table:
        table = Table(title=f"{self.task.name}: {len(self.trials)} runs, {max(1, self.workers)} at once")
        for head in ("arm", "cases", "seeds", "updates each", "hours"):
            table.add_column(head, justify="left" if head == "arm" else "right")
        kinds: dict[tuple[str, int | None], list[Trial]] = {}
        for trial in self.trials:
            kinds.setdefault((trial.arm, trial.cases), []).append(trial)
        total = 0.0
        for (arm, budget), some in kinds.items():
            hours = sum(trial.options["steps"] for trial in some) * seconds_a_step / 3600
            total += hours
            said = (arm, str(budget or ALL), str(len(some)), f"{some[0].options['steps']:,}", f"{hours:.2f}")
            table.add_row(*said)
        hours = total / max(1, self.workers)
        table.caption = f"{hours:.1f} hours of training, and the predictions; what is done is not done again"
        return table

    def _tell(self, trial: Trial, result: Result) -> None:
        number, said = len(self.results), result.why or f"{trial.metric} {result.value:.4f}"
        line = f"{number} of {len(self.trials)}: {trial.arm}, {trial.cases or ALL} cases, seed {trial.seed}: {said}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _write(self) -> None:
        """Write what there is so far: a row a run, and a row a test case of it; also what other commands did here."""
        runs, scores = [], []
        replaced: set[tuple[str, ...]] = set()
        for trial, result in self.results.items():
            known = (self.task.name, trial.arm, str(trial.cases or self.num), str(trial.seed))
            if not math.isnan(result.value):
                runs.append([*known, trial.metric, f"{result.value:.6g}", f"{result.time_s:.0f}"])
            if not math.isnan(result.value) or result.why:
                replaced.add(known)
            scores += [
                [*known, case, patient, trial.metric, "" if math.isnan(value) else f"{value:.6g}"]
                for case, patient, value in result.by_case
            ]
        head = ["task", "arm", "cases", "seed"]
        self._merge(RUNS, [*head, "metric", "value", "time_s"], runs, replaced)
        self._merge(CASES, [*head, "case", "patient", "metric", "value"], scores, replaced)

    def _merge(self, name: str, head: list[str], rows: list[list[str]], replaced: set[tuple[str, ...]]) -> None:
        """Write rows, and those there of runs that are whole and not replaced."""
        path = self.into / name
        before = [[row[column] for column in head] for row in rows_of(path)] if path.is_file() else []
        kept = [row for row in before if tuple(row[:4]) not in replaced and self._is_whole(*row[1:4])]
        write_rows(path, head, sorted(kept + rows, key=lambda row: (int(row[2]), row[1], int(row[3]))))

    def _is_whole(self, arm: str, cases: str, seed: str) -> bool:
        return (place_of(self.into, arm, int(cases), int(seed)) / "scores" / PROVENANCE).is_file()
