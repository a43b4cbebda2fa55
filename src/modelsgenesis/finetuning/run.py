"""A fine-tuning under way: cases read, networks started, trained and kept, one for each division of the cases."""

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from modelsgenesis.core.device import MACHINE, describe_machine
from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.naming import describe
from modelsgenesis.core.process_pool import usable_cores, work_through
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.provenance import ASKED, fingerprint, write_provenance
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sampling.patches import CentredPatches, PatchSampler
from modelsgenesis.data.sampling.stream import CubeStream
from modelsgenesis.data.store.case_cache import CachedCase, CaseCache, cache_case, find_current_case
from modelsgenesis.finetuning.classification import Classification
from modelsgenesis.finetuning.config import AXES, SCRATCH, FineTuneConfig, Initialization
from modelsgenesis.finetuning.segmentation import Segmentation
from modelsgenesis.finetuning.training_cases import middle_step_mm, warnings_of
from modelsgenesis.nets.classifier import Classifier, Network
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.case_tables import write_cases, write_untaught
from modelsgenesis.tasks.splitting import CaseSplit
from modelsgenesis.training.dry_run import STEPS, report_dry_run, seconds_a_step
from modelsgenesis.training.loop import Materials, Training
from modelsgenesis.training.run_folder import SETTINGS, Batches, check_own, is_done, remember
from modelsgenesis.weights.files import arguments_of, save_network
from modelsgenesis.weights.transfer import LoadingMap, network_for, transfer

CASES = "cases"  # the folder of what was read
LOADING = "loading.json"
WORTH_PROCESSES = 20  # cases
MOST_NAMED = 5  # problems in an error, or warnings
BEST, LAST = "model.safetensors", "last.safetensors"


class Tuning:
    """One fine-tuning, or one for each fold.

    Args:
        task: to be learned.
        start: what with.
        config: how.
        into: the folder.
        seed: of everything random.
        fabric: where; not yet launched.
        asked: the options as they were given, for the certificate.
        case_cache: where what is read of the cases is kept, in a folder for each way of reading; by default in `into`.
        quiet: tell the user nothing.
    """

    def __init__(
        self,
        task: Task,
        start: Initialization,
        config: FineTuneConfig,
        into: Path,
        seed: int,
        fabric: Processes,
        asked: dict[str, Any],
        *,
        case_cache: str | Path | None = None,
        quiet: bool = False,
    ) -> None:
        self.task, self.start, self.config = task, start, config
        self.into, self.seed, self.fabric, self.asked = into, seed, fabric, asked
        how = json.dumps([describe(task.target), describe(config.reading)])
        self.case_cache = Path(case_cache) / _hashed(how)[:8] if case_cache is not None else into / CASES
        self.console = Console(stderr=True, quiet=quiet)

    def dry_run(self, division: CaseSplit) -> Path:
        """Measure a few steps and say what the whole would take; what was read of the cases is kept."""
        learner, materials = self._begun(division)
        report_dry_run(learner, self.config.plan, materials, fabric=self.fabric, console=self.console)
        return self.into

    def seconds_a_step(self, division: CaseSplit) -> float:
        """Measure a few steps; what was read of the cases is kept."""
        learner, materials = self._begun(division)
        plan = self.config.plan
        return seconds_a_step(learner, plan, materials.training(0, (STEPS + 1) * plan.accumulate), self.fabric)

    def _begun(self, division: CaseSplit) -> tuple[Learner, Materials]:
        """What a rehearsal works on."""
        self.fabric.launch()
        case_cache = self.read_cases([division])
        learner, _ = self._learner(self._prepared(case_cache, division.train))
        return learner, _Work(self, case_cache, division, learner, self.into).materials()

    def run(self, divisions: Sequence[CaseSplit]) -> Path:
        """Train what is not trained yet; the folder is certified when all is done."""
        several = len(divisions) > 1
        check_own(self.into, [SETTINGS, CASES, "fold-*"])
        if (self.into / SETTINGS).is_file() if several else any(self.into.glob("fold-*")):
            other = "a run without --folds" if several else "the folds of a cross-validation"
            raise TrainingError(f"{self.into} holds {other}; choose another folder")
        folders = [self.into / f"fold-{number}" for number in range(len(divisions))] if several else [self.into]
        todo = [
            (division, folder)
            for division, folder in zip(divisions, folders, strict=True)
            if not is_done(folder, "finetune", self.settings(division))
        ]
        if not todo:
            self._say(f"{self.into}: this run is done already")
            return self.into
        self.fabric.launch()
        case_cache = self.read_cases([division for division, _ in todo])
        if several and self.fabric.is_global_zero:
            write_untaught(self.into, divisions[0], self.task.target)
        for division, folder in todo:
            if not self._train(case_cache, division, folder):
                return self.into
        if several and self.fabric.is_global_zero:
            arguments = self._arguments(divisions[0])
            write_provenance(self.into, "finetune", arguments, inputs=self._inputs(), seed=self.seed)
        self.fabric.barrier()
        return self.into

    def settings(self, division: CaseSplit) -> dict[str, Any]:
        """All that decides the weights."""
        config = describe(self.config)
        config["plan"].pop("workers")
        started = {"network": type(self.start.backbone).__name__, "arguments": arguments_of(self.start.backbone)}
        given = {"weights": _fingerprint_of(self.start)} if self.start.pretrained else started
        roles = "\n".join(f"{role} {case.id} {case.images[0].path}" for role, case in division.roles())
        cases = {"train": len(division.train), "val": len(division.val), "sha256": _hashed(roles)}
        target = describe(self.task.target)
        return {"approach": config, "target": target, "start": given, "cases": cases, "seed": self.seed}

    def notes(
        self, step: int, metrics: dict[str, float], division: CaseSplit, taught_mm: list[float] | None
    ) -> dict[str, Any]:
        """What a weights file says of its making, and all that a prediction needs."""
        return {
            "target": describe(self.task.target),
            "reading": describe(self.config.reading),
            "taught_mm": taught_mm,
            "patch": list(self.config.size),
            "channels": len(self.task.channels),
            "channel_names": list(self.task.channels),
            "task": self.task.name,
            "from": self.start.said,
            "approach": describe(self.config),
            "cases": {"train": len(division.train), "val": len(division.val)},
            "seed": self.seed,
            "step": step,
            "figures": {f"val_{name}": value for name, value in metrics.items()},
        }

    def _train(self, case_cache: CaseCache, division: CaseSplit, into: Path) -> bool:
        """Train one network; whether it was done rather than stopped."""
        taught = self._prepared(case_cache, division.train)
        learner, loaded = self._learner(taught)
        work = _Work(self, case_cache, division, learner, into)
        plan, fabric = self.config.plan, self.fabric
        training = Training(learner, plan, work.materials(), into, fabric=fabric, seed=self.seed, console=self.console)
        if fabric.is_global_zero:
            remember(into, self.settings(division), self.task.place)
            write_cases(into, division, self.task.target)
            write_untaught(into, division, self.task.target)
            write_json(into / LOADING, self._loading(loaded))
            self._greet(division, loaded, into)
            for line in warnings_of(self.task.modality, self.task.target, self.config.reading, taught):
                self._say(line)
        outcome = training.run()
        if outcome.stopped:
            self._say(
                f"stopped by {outcome.stopped} at step {outcome.state.step} of {plan.steps}; "
                "the same command goes on from there"
            )
        elif fabric.is_global_zero:
            for name in (LAST,) if division.val else (LAST, BEST):
                save_network(into / name, _network(learner), work.notes(outcome.state.step, {}))
            arguments = self._arguments(division)
            write_provenance(into, "finetune", arguments, inputs=self._inputs(), seed=self.seed)
        fabric.barrier()
        return outcome.stopped is None

    def read_cases(self, divisions: Sequence[CaseSplit]) -> CaseCache:
        """Read every case that is trained or validated on, unless it was read before.

        Raises:
            DataError: one cannot be read, or the images are not alike.
        """
        path = self.case_cache
        if self.fabric.is_global_zero:
            every = {case.id: case for division in divisions for case in (*division.train, *division.val)}
            how: dict[str, Any] = {"target": self.task.target, "reading": self.config.reading}
            unread = [case for case in every.values() if find_current_case(case, **how, folder=path) is None]
            workers = usable_cores() if len(unread) >= WORTH_PROCESSES else 0
            problems = []
            with self.console.status(f"reading {len(unread)} cases"):
                for case, problem in work_through(functools.partial(_prepare, **how, into=path), unread, workers):
                    if problem is None:
                        problems.append(
                            f"{case.images[0].path}: the process that read it died; is there enough memory?"
                        )
                    elif problem:
                        problems.append(problem)
            if problems:
                named = "; ".join(sorted(problems)[:MOST_NAMED])
                raise DataError(
                    f"{len(problems)} of {len(every)} cases cannot be used: {named}. Mend them or leave them out; "
                    f"genesis inspect {self.task.place} tells more"
                )
        self.fabric.barrier()
        return CaseCache(path)

    def _prepared(self, case_cache: CaseCache, cases: Sequence[Case]) -> list[CachedCase]:
        return [case_cache.case(case.id) for case in cases]

    def _learner(self, taught: Sequence[CachedCase]) -> tuple[Learner, LoadingMap | None]:
        """A learner with weights drawn from the seed, and then those that the start gives."""
        channels = len(taught[0].limits)
        config, target = self.config, self.task.target
        asked: dict[str, Any] = {
            "size": config.size, "augmentation": config.augmentation, "layer_rates": config.layer_rates
        }  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network: Network
            if target.kind == "segmentation":
                network = network_for(self.start.backbone, in_channels=channels, out_channels=target.num_outputs)
            else:
                backbone = network_for(self.start.backbone, in_channels=channels, out_channels=1)
                network = Classifier(backbone, target.num_outputs, hidden=config.hidden)
            loaded = self._transferred(network) if self.start.pretrained else None
            learner: Learner
            if isinstance(network, Classifier):
                learner = Classification(network, target, values=[case.values for case in taught], **asked)
            else:
                learner = Segmentation(network, target, **asked)
        return learner, loaded

    def _loading(self, loaded: LoadingMap | None) -> dict[str, Any]:
        """What loading.json says: the map to the task's network, and of another program's file the one before it."""
        if loaded is None:
            return {"from": SCRATCH}
        opened = self.start.opened
        if opened is None:
            return loaded.to_json()
        first = {"format": opened.format, "notes": describe(opened.notes), **opened.report.to_json()}
        return {**loaded.to_json(), "opened": first}

    def _transferred(self, network: Network) -> LoadingMap:
        report = self.start.opened.report if self.start.opened else None
        return transfer(self.start.backbone, network, widen=self.config.widen, loading=report)

    def _arguments(self, division: CaseSplit) -> dict[str, Any]:
        """What the certificate says: what was asked, what came of it, and on what it was computed."""
        return {ASKED: self.asked, **self.settings(division), MACHINE: describe_machine(self.fabric)}

    def _inputs(self) -> list[Path]:
        return [self.task.place, *([self.start.place] if self.start.pretrained else [])]

    def _greet(self, division: CaseSplit, loaded: LoadingMap | None, into: Path) -> None:
        config, target = self.config, self.task.target
        counts = ", ".join(
            f"{len(cases)} {role}"
            for role, cases in (
                ("to train on", division.train),
                ("validate", division.val),
                ("unused", division.unused),
                ("test", division.test),
            )
        )
        spacing = config.reading.spacing_mm
        grid = f"resampled to {' x '.join(f'{step:g}' for step in spacing)} mm" if spacing else "at their own spacing"
        size = " x ".join(map(str, config.size))
        seen = f"patches of {size} voxels {grid}"
        if len(config.size) == 2:
            seen = f"pictures {'shrunk or enlarged' if config.reading.fit else 'padded'} to fit {size} pixels"
        mirrored = "".join(AXES[axis] for axis in config.augmentation.mirror) or "none"
        lines = [
            f"{self.task.name}: {target.kind} of {', '.join(target.names)}",
            f"cases: {counts}",
            *self._left_out(),
            f"{seen}, mirrored along {mirrored}; {config.plan.steps} steps of {config.plan.batch_size}",
            f"start: {self.start.said}",
        ]
        self._say("\n".join(lines))
        opened = self.start.opened
        if opened:
            name = Path(self.start.said).name
            self.console.print(opened.report.table(f"1. From {name} ({opened.format}) to its own network"))
        if loaded:
            self.console.print(loaded.table("2. From that network to the task's") if opened else loaded.table())
        if into != self.into:
            self._say(f"fold: {into.name}")

    def _left_out(self) -> list[str]:
        """Lines where the data hold what could not become a case, or what they say of themselves is not followed."""
        num = sum(problem.severity == "error" for problem in self.task.problems)
        lines = [f"left out: {num}, for reasons that genesis inspect {self.task.place} tells"] if num else []
        warned = [f"warning: {one.problem}; {one.remedy}" for one in self.task.problems if one.severity == "warning"]
        more = [f"warning: and {len(warned) - MOST_NAMED} more, that genesis inspect {self.task.place} tells"]
        return [*lines, *warned[:MOST_NAMED], *(more if len(warned) > MOST_NAMED else [])]

    def _say(self, text: str) -> None:
        if self.fabric.is_global_zero:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Work:
    """What the training loop works on: the patches of one division, and the files of one run."""

    def __init__(
        self, tuning: Tuning, case_cache: CaseCache, division: CaseSplit, learner: Learner, into: Path
    ) -> None:
        self.tuning, self.division, self.learner, self.into = tuning, division, learner, into
        config, target = tuning.config, tuning.task.target
        self.batches = Batches(config.plan, tuning.fabric)
        taught, held_out = ([case_cache.case(case.id) for case in cases] for cases in (division.train, division.val))
        reach = config.augmentation.reach(config.size)
        sampler = PatchSampler(case_cache, taught, target, config.size, reach=reach, foreground=config.foreground)
        self.training = CubeStream(sampler, learner.views, seed=tuning.seed, name="train")
        self.num_val = len(held_out)
        self.taught_mm = middle_step_mm(division.train)  # once: scans may be gone when the training ends
        if target.kind == "segmentation" and held_out:
            validating = PatchSampler(case_cache, held_out, target, config.size, foreground=config.foreground)
            self.validation: Any = CubeStream(validating, _as_they_are, seed=tuning.seed, name="validation")
            self.num_val = config.plan.val_cubes
        else:
            self.validation = CentredPatches(case_cache, held_out, target, config.size)

    def materials(self) -> Materials:
        """Hand out the batches and the keeping of files."""
        return Materials(
            training=lambda first, passes: self.batches.training(self.training, first, passes),
            validation=self._held_out if self.num_val else None,
            keep_best=self._keep_best,
            after_validation=lambda step: None,
        )

    def _held_out(self) -> Iterator[Batch]:
        return self.batches.held_out(self.validation, self.num_val)

    def _keep_best(self, step: int, metrics: dict[str, float]) -> None:
        save_network(self.into / BEST, _network(self.learner), self.notes(step, metrics))

    def notes(self, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """What a weights file says."""
        return self.tuning.notes(step, metrics, self.division, self.taught_mm)


def _as_they_are(sample: Any, rng: Any) -> Any:
    """Views of what is held out: nothing is augmented."""
    return sample


def _network(learner: Learner) -> Network:
    network = learner.network
    if not isinstance(network, Network):
        raise TypeError(f"a learner's network is kept, and {type(network).__name__} is none")
    return network


def _prepare(case: Case, *, target: Target, reading: Any, into: Path) -> str:
    """Read one case; what is wrong with it, or nothing."""
    try:
        cache_case(case, target=target, reading=reading, into=into)
    except UnreadableError as error:
        return f"{case.images[0].path}: {error}"
    return ""


def _fingerprint_of(start: Initialization) -> str:
    return fingerprint(start.place / BEST if start.place.is_dir() else start.place)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
