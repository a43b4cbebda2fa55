"""What pre-training buys: the same task, cases and updates for every start, again and again."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from modelsgenesis.benchmarking import rehearsal
from modelsgenesis.benchmarking.arms import Arm, arms_of, budgets_of, metric_of
from modelsgenesis.benchmarking.choices import Choices, file_of, strategies_of
from modelsgenesis.benchmarking.leakage_audit import Searched, audit, stop_at
from modelsgenesis.benchmarking.options import BUDGETS, PLAN, TASK, BenchmarkOptions
from modelsgenesis.benchmarking.plan_table import plan_table
from modelsgenesis.benchmarking.run_tables import PUBLISHED, write_run_tables
from modelsgenesis.benchmarking.trial import ALL, SCORES, Result, Trial, do_trial, folder_of
from modelsgenesis.core.cluster import Cluster, choose_cluster
from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.device import gpus_here, make_fabric
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.lease import held
from modelsgenesis.core.naming import describe
from modelsgenesis.core.options import given_options
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, write_provenance
from modelsgenesis.core.remote import Cache
from modelsgenesis.core.words import many
from modelsgenesis.data.patient_names import keep_names
from modelsgenesis.embedding.table import read_embeddings
from modelsgenesis.finetuning.config import make_config, usual_steps
from modelsgenesis.finetuning.finetune import read_task
from modelsgenesis.finetuning.initialization import SCRATCH, Initialization, choose_initialization
from modelsgenesis.finetuning.options import FineTuneOptions
from modelsgenesis.finetuning.run import Tuning
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.splitting import CaseSplit, split_cases
from modelsgenesis.training.run_folder import SETTINGS, check_settings, clear, refuse_run, remember
from modelsgenesis.weights.files import describe_network
from modelsgenesis.weights.registry import resolve

MEASURED = 6  # cases that are read to time a step

WriteReport = Callable[[Path], Path]


def benchmark(data: Path, into: Path, options: BenchmarkOptions, *, write_report: WriteReport) -> Path:
    """Compare starts on a task, and report by `write_report`; `commands.benchmark` describes the rest."""
    design = _design(data, into, options)
    with held(into, "benchmark"):
        return _follow(design, write_report)


def _follow(design: "Design", write_report: WriteReport) -> Path:
    """Do what is not done of a benchmark, or show what would be."""
    into, options = design.into, design.options
    if (into / SETTINGS).is_file():
        check_settings(into, design.alike())
    suite = Benchmark(design, write_report)
    if suite.is_done and not options.dry_run:
        return suite.follow()
    torch.set_num_threads(options.threads)  # as the runs do, or a step would be timed too short
    starts = {arm.name: design.start_of(arm) for arm in design.arms}
    seconds_a_step = design.seconds_a_step(starts)
    if not options.dry_run:  # before several processes would read the same cases into the same files
        design.read_cases(starts.values())
    suite.console.print(plan_table(design.task.name, suite.rehearsals + suite.trials, seconds_a_step, options.workers))
    return into if options.dry_run else suite.follow()


@dataclass(frozen=True)
class Design:
    """The arms, budgets, seeds and cases of a benchmark, chosen from the options and the task.

    Attributes:
        data: where the labelled cases lie.
        into: the benchmark's folder.
        options: as they were given.
        task: to be learned.
        arms: the starts.
        budgets: of labelled cases, rising; None is all.
        num: how many cases "all" stands for.
        metric: to compare by.
        like: of scratch: the run or recipe whose kind of network is taken.
        tuning: what all fine-tunings share, with the size and spacing that were decided.
        choices: what chooses the cases of each arm, where they are chosen rather than drawn.
    """

    data: Path
    into: Path
    options: BenchmarkOptions
    task: Task
    arms: Sequence[Arm]
    budgets: Sequence[int | None]
    num: int
    metric: str
    like: str | None
    tuning: FineTuneOptions
    choices: Choices | None = None

    def alike(self) -> dict[str, Any]:
        """The settings that all runs of a folder share."""
        names = (*TASK, "tune", "test", "val", *PLAN, "size", "spacing", "mirror", "augment", "steps")
        shared = {name: getattr(self.tuning, name) for name in names}
        rates = self.options.rates or self.tuning.lr
        views = {} if self.options.views == "whole" else {"views": self.options.views}
        chosen = {"embeddings": str(self.options.embeddings), "by_choice": True} if self.choices else {}
        return dict(describe({**shared, **views, **chosen, "lr": rates, "data": self.task.name, "metric": self.metric}))

    def cluster(self) -> Cluster | None:
        """The cluster that does the runs, one at a time each worker, if it is one."""
        options, tell = self.options, teller("benchmark", make_console())
        return choose_cluster(self.into, options.cluster, options.slurm, tell, workers=options.workers, most_in_batch=1)

    def trials(self, rates: Mapping[str, float]) -> list[Trial]:
        """All runs, in the order in which they are done: seed by seed, so that a part of them says something.

        Args:
            rates: the learning rates of arms that have one of their own.
        """
        return [
            self._trial(arm, budget, seed, folder_of(self.into, arm.name, budget, seed), lr=rates.get(arm.name))
            for seed in range(self.options.seeds)
            for budget in self.budgets
            for arm in self.arms
        ]

    def rehearsals(self) -> list[Trial]:
        """The runs that choose the rates of arms that have none yet: of the middle budget, without the test cases."""
        budget = self.budgets[(len(self.budgets) - 1) // 2]
        known = rehearsal.read_rates(self.into)
        split = split_cases(self.task, test=self.options.test, val=0, rehearsal=bool(self.options.rates))
        budget = None if budget is None or budget >= len(split.train) else budget
        return [
            self._trial(
                arm, budget, seed, folder_of(self.into / rehearsal.FOLDER / f"lr-{rate:g}", arm.name, budget, seed),
                lr=rate, rehearsal=True,
            )
            for seed in range(rehearsal.SEEDS)
            for arm in self.arms
            for rate in self.options.rates
            if arm.name not in known
        ]  # fmt: skip

    def _trial(self, arm: Arm, budget: int | None, seed: int, into: Path, **own: Any) -> Trial:
        """A run of an arm, with fine-tune options of its own; None leaves one as all have it."""
        steps = arm.times * (self.tuning.steps or usual_steps(budget or self.num))
        own = {name: value for name, value in own.items() if value is not None}
        if self.choices:
            own["chosen"] = file_of(self.into, arm.name, seed)
        return Trial(
            arm.name, budget, seed, self.data, into, arm.start, arm.like or self.like, self.case_cache, self.metric,
            replace(self.tuning, steps=steps, slices=arm.slices, **own), self.options.views, self.options.threads,
        )  # fmt: skip

    @property
    def case_cache(self) -> Path:
        """The folder of the case cache for all runs."""
        return self.into / "cases"

    def split(self, *, cases: int | None = None, seed: int = 0) -> CaseSplit:
        """The division of the cases that all runs begin with."""
        return split_cases(self.task, cases=cases, test=self.options.test, val=0, seed=seed)

    def tuning_from(self, start: Initialization) -> Tuning:
        """Make a fine-tuning of all cases, to time a step or to read them."""
        fabric = make_fabric(self.tuning.precision or "auto", accelerator=self.options.accelerator)
        every = self.split().train
        config = make_config(self.task, start, every, validates=False, options=self.tuning.settings())
        given = given_options(self.options)
        return Tuning(self.task, start, config, self.into, 0, fabric, given, case_cache=self.case_cache, quiet=True)

    def start_of(self, arm: Arm) -> Initialization:
        """Open the network that the runs of an arm begin with."""
        like = (arm.like or self.like) if arm.start == SCRATCH else None
        return choose_initialization(arm.start, self.task, like=like, slices=arm.slices)

    def seconds_a_step(self, starts: Mapping[str, Initialization]) -> dict[str, float]:
        """Measure a step of each arm, once for each kind of network among them."""
        few = self.split(cases=min(self.num, MEASURED))
        kinds = {name: json.dumps(describe_network(start.backbone)) for name, start in starts.items()}
        first = {kind: starts[name] for name, kind in reversed(kinds.items())}
        seconds = {kind: self.tuning_from(start).seconds_a_step(few) for kind, start in first.items()}
        return {name: seconds[kind] for name, kind in kinds.items()}

    def read_cases(self, starts: Iterable[Initialization]) -> None:
        """Read the cases of all runs, once for each way in which an arm reads images."""
        tunings = map(self.tuning_from, starts)
        draws = [(budget, seed) for seed in range(self.options.seeds) for budget in self.budgets]
        splits = [self.split()] if self.choices else [self.split(cases=budget, seed=seed) for budget, seed in draws]
        for tuning in {each.case_cache: each for each in tunings}.values():
            tuning.read_cases(splits)


def _design(data: Path, into: Path, options: BenchmarkOptions) -> Design:
    """Read the task, audit the arms, and decide what all runs share."""
    choose_cluster(into, options.cluster, options.slurm, lambda line: None, workers=options.workers)
    arms, tuning = arms_of(options.from_), options.of_every_run()
    refuse_run(data, "the order is genesis benchmark DATA OUT --from scratch RUN ...")
    task = read_task(data, tuning)
    whole = split_cases(task, test=options.test, val=0)
    if not whole.test:
        raise DataError("a benchmark needs test cases; give --test, such as 0.2, or declare them in the data")
    metric = metric_of(options.metric, task, [case.patient or case.id for case in whole.test])
    num = len(whole.train)
    words = [word for word in options.cases if options.cases != BUDGETS or word == ALL or int(word) < num]
    words = [word for word in words if not (options.choose and word == ALL)]
    budgets = budgets_of(words, num)
    pretrained = [arm for arm in arms if arm.start != SCRATCH]
    cache, searched = Cache(options.cache, options.cache_gib), Searched()
    hits = [hit for arm in pretrained for hit in audit(arm.name, resolve(arm.start), whole.test, cache, searched)]
    stop_at(hits, into, arms=[arm.name for arm in arms], allow=options.allow)
    like = options.like or next((arm.start for arm in pretrained), None)
    first = arms[0] if like is None else Arm(SCRATCH, SCRATCH)
    start = choose_initialization(SCRATCH, task, like=first.like or like, slices=first.slices)
    config = make_config(task, start, whole.train, validates=False, options=tuning.settings())
    choices = _choices(arms, task, whole, options)
    if choices:
        arms = [replace(arms[0], name=name) for name in choices.strategies]
    decided: dict[str, Any] = {"size": config.size, "spacing": config.reading.spacing_mm}
    return Design(data, into, options, task, arms, budgets, num, metric, like, replace(tuning, **decided), choices)


def _choices(arms: Sequence[Arm], task: Task, whole: CaseSplit, options: BenchmarkOptions) -> Choices | None:
    """What chooses the cases of each arm, where that is what is compared."""
    if not options.choose:
        return None
    if len(arms) > 1 or options.rates:
        raise DataError("--choose compares ways to choose from one start: name one in --from, and one --lr")
    given = options.cases if options.cases != BUDGETS else ()
    found = read_embeddings(options.embeddings) if options.embeddings else None
    return Choices.of(strategies_of(options.choose, given), whole.train, found, options.accelerator)


@dataclass
class Benchmark:
    """A benchmark under way, with all its runs.

    Args:
        design: what is compared with what.
        write_report: what writes the report of a folder and returns its page.
    """

    design: Design
    write_report: WriteReport
    console: Console = field(default_factory=make_console)
    results: dict[Trial, Result] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trials, self.rehearsals = self.design.trials({}), self.design.rehearsals()

    @property
    def is_done(self) -> bool:
        """Whether every run was trained, predicted and scored, so that no case needs to be read."""
        return all((trial.into / SCORES / PROVENANCE).is_file() for trial in self.trials)

    def follow(self) -> Path:
        """Do what is not done, and write the tables and the report."""
        design, into = self.design, self.design.into
        remember(into, design.alike(), design.task.place)
        keep_names(into, [(case.patient, case.id) for case in design.task.cases])  # before runs would make their own
        if design.task.published and design.task.published.scores:
            write_json(into / PUBLISHED, design.task.published.to_json(design.task.name))
        if not (self._choose_rates() and self._do_trials()):
            self.console.print("stopped; the same command goes on from there")
            return into
        self._refuse_failed()
        starts = sorted({trial.start for trial in self.trials} - {SCRATCH})
        options = replace(design.options, cluster=None, slurm=None)
        arguments = {GIVEN_OPTIONS: given_options(options), "runs": len(self.trials)}
        write_provenance(into, "benchmark", arguments, inputs=[design.task.place, *map(resolve, starts)])
        self.write_report(into)
        clear(into, design.case_cache)
        return into

    def _choose_rates(self) -> bool:
        """Choose every arm's learning rate, where there is a choice; return whether there was no request to stop."""
        results: dict[Trial, Result] = {}
        for trial, result in self._each_done(self.rehearsals):
            results[trial] = result
            rate = f"rehearsal with --lr {trial.options.lr:g}"
            self._report_progress(trial, result, f"{len(results)} of {len(self.rehearsals)}: {rate}")
        if any(_stopped(result) for result in results.values()):
            return False
        if results:
            rehearsal.write_rates(self.design.into, results, rehearsal.best_rates(results))
        self.trials = self.design.trials(rehearsal.read_rates(self.design.into))
        return True

    def _do_trials(self) -> bool:
        """Do every run; return whether all were done without a request to stop."""
        for trial, result in self._rounds():
            self.results[trial] = result
            self._report_progress(trial, result, f"{len(self.results)} of {len(self.trials)}")
            write_run_tables(self.design.into, self.design.task.name, self.design.num, self.results)
        return not any(_stopped(result) for result in self.results.values())

    def _rounds(self) -> Iterator[tuple[Trial, Result]]:
        """Do all runs; where cases are chosen, those of the smallest budget first, which the next choice asks."""
        choices = self.design.choices
        if choices is None:
            yield from self._each_done(self.trials)
            return
        for budget in self.design.budgets:
            trials = [trial for trial in self.trials if trial.cases == budget]
            for number, trial in enumerate(trials, start=1):
                if choices.choose(trial, self.design.into):  # which takes a minute where it asks a network
                    line = f"chosen {number} of {len(trials)}: {trial.arm}, {budget} cases, seed {trial.seed}"
                    self.console.print(line, highlight=False, soft_wrap=True)
            yield from self._each_done(trials)
            if any(trial not in self.results or math.isnan(self.results[trial].value) for trial in trials):
                return  # stopped or failed: the next round would have nobody to ask

    def _each_done(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Result]]:
        """Do runs, until one in this process is asked to stop."""
        options = self.design.options
        gpus = gpus_here(options.accelerator)
        for trial, result in work_through(do_trial, trials, options.workers, gpus=gpus, cluster=self.design.cluster()):
            done = result or Result(math.nan, why="its process died; is there enough memory?")
            yield trial, done
            if _stopped(done) and options.workers == 0 and self.design.cluster() is None:
                return

    def _refuse_failed(self) -> None:
        failed = [trial for trial in self.trials if trial in self.results and self.results[trial].why]
        if not failed:
            return
        first = self.results[failed[0]].why
        some = len(failed) < len(self.trials)
        others = f"; {self.write_report(self.design.into)} shows the others" if some else ""
        raise DataError(
            f"{len(failed)} of {many(len(self.trials), 'run')} failed; the first, {failed[0].into}: {first}{others}. "
            "The same command tries them again"
        )

    def _report_progress(self, trial: Trial, result: Result, place: str) -> None:
        words = result.why or f"{trial.metric} {result.value:.4f}"
        line = f"{place}: {trial.arm}, {trial.cases or ALL} cases, seed {trial.seed}: {words}"
        self.console.print(line, highlight=False, soft_wrap=True)


def _stopped(result: Result) -> bool:
    """Whether a run ended before it was done, and nothing went wrong."""
    return math.isnan(result.value) and not result.why
