"""A fine-tuning under way: cases read, networks started, trained and kept, one for each split of the cases."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import MACHINE, describe_machine, launch
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import describe, described_at_first
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import GIVEN_OPTIONS, fingerprint, write_provenance
from modelsgenesis.core.words import nouns
from modelsgenesis.data.case import Case
from modelsgenesis.data.sampling.patches import CentredPatches, PatchSampler
from modelsgenesis.data.sampling.stream import CubeStream
from modelsgenesis.data.store.case_cache import CachedCase, CaseCache
from modelsgenesis.finetuning.config import FineTuneConfig
from modelsgenesis.finetuning.greeting import greeting, warnings_of
from modelsgenesis.finetuning.initialization import Initialization
from modelsgenesis.finetuning.network import loading_report, make_learner
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.case_tables import write_cases, write_held_out
from modelsgenesis.tasks.reading import middle_spacing_mm, read_cases
from modelsgenesis.tasks.splitting import CaseSplit
from modelsgenesis.training.batches import RunSamples
from modelsgenesis.training.dry_run import STEPS, report_dry_run, seconds_a_step
from modelsgenesis.training.loop import Materials, Outcome, Training
from modelsgenesis.training.run_folder import BEST, LAST, SETTINGS, clear, is_done, remember
from modelsgenesis.weights.files import describe_network, kept_network, save_network
from modelsgenesis.weights.registry import part_of
from modelsgenesis.weights.transfer import LoadingMap

CASES = "cases"  # the folder of what was read
OWN = (SETTINGS, CASES, "fold-*")
LOADING = "loading.json"


class Tuning:
    """One fine-tuning, or one for each fold.

    Args:
        task: to be learned.
        start: what with.
        config: how.
        into: the folder.
        seed: of everything random.
        fabric: where; not yet launched.
        options: as they were given, for the provenance.
        case_cache: where what is read of the cases is kept, in a folder for each way of reading; by default in `into`,
            until the run is finished.
        quiet: show the user nothing.
    """

    def __init__(
        self,
        task: Task,
        start: Initialization,
        config: FineTuneConfig,
        into: Path,
        seed: int,
        fabric: Processes,
        options: dict[str, Any],
        *,
        case_cache: str | Path | None = None,
        quiet: bool = False,
    ) -> None:
        self.task, self.start, self.config = task, start, config
        self.into, self.seed, self.fabric, self.options = into, seed, fabric, options
        how = json.dumps([described_at_first(task.target), describe(config.reading)])
        self.case_cache = Path(case_cache) / _hashed(how)[:8] if case_cache is not None else into / CASES
        self.own_caches = [into / CASES] if case_cache is None else []
        self.console = make_console(quiet=quiet)

    def dry_run(self, split: CaseSplit) -> Path:
        """Measure a few steps and show what the whole would take; what was read of the cases is kept."""
        learner, materials = self._rehearsed(split)
        report_dry_run(learner, self.config.plan, materials, fabric=self.fabric, console=self.console)
        return self.into

    def seconds_a_step(self, split: CaseSplit) -> float:
        """Measure the time of a step; cases that were read for it stay in the cache."""
        learner, materials = self._rehearsed(split)
        plan = self.config.plan
        return seconds_a_step(learner, plan, materials.training(0, (STEPS + 1) * plan.accumulate), self.fabric)

    def _rehearsed(self, split: CaseSplit) -> tuple[Learner, Materials]:
        """The samples and callbacks of a dry run."""
        launch(self.fabric)
        fold = _Fold(self, self.read_cases([split]), split, self.into)
        return fold.learner, fold.materials()

    def run(self, splits: Sequence[CaseSplit]) -> Path:
        """Train what is not trained yet; the folder gets its provenance when all is done."""
        several = len(splits) > 1
        self._check_folder(several)
        folders = [self.into / f"fold-{number}" for number in range(len(splits))] if several else [self.into]
        every = list(zip(splits, folders, strict=True))
        todo = [(split, folder) for split, folder in every if not is_done(folder, "finetune", self.settings(split))]
        if todo:
            launch(self.fabric)
            case_cache = self.read_cases([split for split, _ in todo])
            if several and self.fabric.is_global_zero:
                write_held_out(self.into, splits[0], self.task.target)
            if not all(_Fold(self, case_cache, split, folder).train() for split, folder in todo):
                return self.into
        else:
            self.announce(f"{self.into}: this run is done already")
        if self.fabric.is_global_zero:  # also of a run that is done: it may have been killed before this
            if several and (todo or not (self.into / PROVENANCE).is_file()):
                self.certify(self.into, splits[0])
            for folder in folders:
                clear(folder)
            clear(self.into, *self.own_caches)
        if todo:
            self.fabric.barrier()
        return self.into

    def _check_folder(self, several: bool) -> None:
        """Refuse a folder that holds another kind of fine-tuning."""
        if (self.into / SETTINGS).is_file() if several else any(self.into.glob("fold-*")):
            other = "a run without --folds" if several else "the folds of a cross-validation"
            raise TrainingError(f"{self.into} holds {other}; choose another folder")

    def read_cases(self, splits: Sequence[CaseSplit]) -> CaseCache:
        """Read every case that is trained or validated on, unless it was read before.

        Raises:
            DataError: one cannot be read, or the images are not alike.
        """
        if self.fabric.is_global_zero:
            every = {case.id: case for split in splits for case in (*split.train, *split.val)}
            read_cases(self.task, list(every.values()), self.config.reading, self.case_cache, self.console)
        self.fabric.barrier()
        return CaseCache(self.case_cache)

    def settings(self, split: CaseSplit) -> dict[str, Any]:
        """The settings that decide the weights."""
        config = describe(self.config)
        backbone = self.start.backbone
        network = {"network": type(backbone).__name__, "arguments": describe_network(backbone)["arguments"]}
        sliced = {"slices": self.start.slices} if self.start.slices else {}
        start = {"weights": _fingerprint_of(self.start), **sliced} if self.start.pretrained else network
        roles = "\n".join(f"{role} {case.id} {case.images[0].path}" for role, case in split.roles())
        cases = {"train": len(split.train), "val": len(split.val), "sha256": _hashed(roles)}
        target = describe(self.task.target)
        return {"approach": config, "target": target, "start": start, "cases": cases, "seed": self.seed}

    def certify(self, into: Path, split: CaseSplit) -> None:
        """Write the provenance: the options, what came of them, and on what it was computed."""
        arguments = {GIVEN_OPTIONS: self.options, **self.settings(split), MACHINE: describe_machine(self.fabric)}
        inputs = [self.task.place, *([self.start.place] if self.start.pretrained else [])]
        outputs = [name for name in (BEST, LAST) if (into / name).is_file()]  # not of a folder of folds
        write_provenance(into, "finetune", arguments, inputs=inputs, seed=self.seed, outputs=outputs)

    def announce(self, text: str) -> None:
        """Print a line for the user, once for all processes."""
        if self.fabric.is_global_zero:
            self.console.print(text, highlight=False, soft_wrap=True)


class _Fold:
    """One network of a fine-tuning: its learner, its samples, and the files of its folder."""

    def __init__(self, tuning: Tuning, case_cache: CaseCache, split: CaseSplit, into: Path) -> None:
        self.tuning, self.split, self.into = tuning, split, into
        self.train_cases = _cached(case_cache, split.train)
        self.learner, self.loading = make_learner(
            tuning.task.target, tuning.start, tuning.config, self.train_cases, tuning.seed
        )
        self.samples = self._samples(case_cache)
        self.spacing_mm = middle_spacing_mm(split.train)  # once: scans may be gone when the training ends

    def _samples(self, case_cache: CaseCache) -> RunSamples:
        """Augmented patches to train on; patches of what is held out, or the middle of each case that has one label."""
        config, seed, held_out = self.tuning.config, self.tuning.seed, _cached(case_cache, self.split.val)
        noun = nouns(len(config.size)).cube
        reach, foreground = config.augmentation.reach(config.size), config.foreground
        sampler = PatchSampler(case_cache, self.train_cases, config.size, reach=reach, foreground=foreground)
        training = CubeStream(sampler, self.learner.views, seed=seed, name="train")
        if self.tuning.task.target.dense and held_out:
            patches = PatchSampler(case_cache, held_out, config.size, foreground=foreground)
            validation = CubeStream(patches, _unchanged, seed=seed, name="validation")
            return RunSamples(training, validation, config.plan.val_cubes, noun)
        return RunSamples(training, CentredPatches(case_cache, held_out, config.size), len(held_out), noun)

    def materials(self) -> Materials:
        """Put together the samples and callbacks of the training loop."""
        return self.samples.materials(self.tuning.config.plan, self.tuning.fabric, keep_best=self._keep_best)

    def train(self) -> bool:
        """Train the network; return whether it finished rather than being stopped."""
        tuning = self.tuning
        plan, fabric = tuning.config.plan, tuning.fabric
        training = Training(
            self.learner, plan, self.materials(), self.into, fabric=fabric, seed=tuning.seed, console=tuning.console
        )
        if fabric.is_global_zero:
            self._begin()
        outcome = training.run()
        if outcome.stopped:
            at = f"step {outcome.state.step} of {plan.steps}"
            tuning.announce(f"stopped by {outcome.stopped} at {at}; the same command goes on from there")
        elif fabric.is_global_zero:
            self._finish(outcome)
        fabric.barrier()
        return outcome.stopped is None

    def _begin(self) -> None:
        """Write the settings and the cases of the run, and print a summary."""
        tuning, target = self.tuning, self.tuning.task.target
        remember(self.into, tuning.settings(self.split), tuning.task.place)
        write_cases(self.into, self.split, target)
        write_held_out(self.into, self.split, target)
        write_json(self.into / LOADING, loading_report(tuning.start, self.loading, tuning.config))
        tuning.announce(greeting(tuning.task, tuning.start, tuning.config, self.split))
        _show_loading(tuning.start, self.loading, tuning.console)
        if self.into != tuning.into:
            tuning.announce(f"fold: {self.into.name}")
        for line in warnings_of(tuning.task.modality, target, tuning.config.reading, self.train_cases):
            tuning.announce(line)

    def _finish(self, outcome: Outcome) -> None:
        """Write the last network and the provenance."""
        for name in (LAST,) if self.split.val else (LAST, BEST):
            self._save(name, outcome.state.step, {})
        self.tuning.certify(self.into, self.split)
        clear(self.into)

    def _keep_best(self, step: int, metrics: dict[str, float]) -> None:
        self._save(BEST, step, metrics)

    def _save(self, name: str, step: int, metrics: dict[str, float]) -> None:
        save_network(self.into / name, kept_network(self.learner.network), self._notes(step, metrics))

    def _notes(self, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """The notes of a weights file: how it was made, and all that a prediction needs."""
        task, config = self.tuning.task, self.tuning.config
        return {
            "target": describe(task.target),
            "reading": describe(config.reading),
            "taught_mm": self.spacing_mm,
            "patch": list(config.size),
            "channels": len(task.channels),
            "channel_names": list(task.channels),
            "task": task.name,
            "from": self.tuning.start.given,
            **{name: value for name, value in self.tuning.options.items() if name == "modality" and value},
            "approach": describe(config),
            "cases": {"train": len(self.split.train), "val": len(self.split.val)},
            "seed": self.tuning.seed,
            "step": step,
            "figures": {f"val_{name}": value for name, value in metrics.items()},
        }


def _show_loading(start: Initialization, loading: LoadingMap | None, console: Console) -> None:
    """Print what became of each tensor of the network that the run starts from."""
    if start.loaded:
        name = Path(start.given).name
        console.print(start.loaded.report.table(f"1. From {name} ({start.loaded.format}) to its own network"))
    if loading:
        console.print(loading.table("2. From that network to the task's") if start.loaded else loading.table())


def _cached(case_cache: CaseCache, cases: Sequence[Case]) -> list[CachedCase]:
    return [case_cache.case(case.id) for case in cases]


def _unchanged(sample: Any, rng: Any) -> Any:
    """The views of held-out cases, which are not augmented."""
    return sample


def _fingerprint_of(start: Initialization) -> str:
    part = part_of(start.given)[1]
    return fingerprint(start.place / BEST if start.place.is_dir() else start.place) + (f"#{part}" if part else "")


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
