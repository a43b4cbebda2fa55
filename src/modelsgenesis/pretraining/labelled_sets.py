"""Pre-training on labelled sets: their cases in turn, and a network that keeps a head for each."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.utils.data import Dataset

from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.files import fit
from modelsgenesis.core.learner import Sample
from modelsgenesis.core.naming import describe
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.images import Reading
from modelsgenesis.data.patient_names import keep_names
from modelsgenesis.data.sampling.cycle import Cycle
from modelsgenesis.data.sampling.stream import as_tensor
from modelsgenesis.data.store.case_cache import CachedCase, CaseCache
from modelsgenesis.methods.ark import Ark
from modelsgenesis.recipes import Recipe
from modelsgenesis.recipes.recipe import learner_of
from modelsgenesis.tasks.case_tables import write_cases, write_held_out
from modelsgenesis.tasks.labelled_sets import read_sets, shared_patients
from modelsgenesis.tasks.reading import read_cases
from modelsgenesis.training.batches import RunSamples

CASES, SETS = "cases", "sets"  # folders of a run: what was read of the images, and which case was used for what
MARGIN = 8 / 7  # of what is read to what a view shows


class SetWork:
    """What a run on labelled sets works on: the sets, read once, the learner, and the files of the run.

    Args:
        recipe: whose method learns from labelled sets.
        table: of the sets.
        into: the run's folder.
        seed: of everything random.
    Raises:
        DataError: the table or a set is none.
        TrainingError: the run is shorter than one pass over every set.
    """

    def __init__(self, recipe: Recipe, table: Path, into: Path, seed: int) -> None:
        size = recipe.cubes.size
        self.place, self.into, self.seed = table, into, seed
        self.sets = read_sets(table, len(size), seed)
        self.cycle = Cycle(tuple(len(one.split.train) for one in self.sets), recipe.plan.batch_size)
        whole = sum(self.cycle.steps)
        if recipe.plan.steps < whole:
            raise TrainingError(
                f"{recipe.plan.steps} steps end before every set was seen once, which takes {whole}; use --steps "
                f"{whole} or more, or a larger --batch-size"
            )
        self.recipe = recipe.but(plan={"validate_every": recipe.plan.validate_every or whole})
        self.reading = Reading(recipe.cubes.intensity, fit=tuple(round(side * MARGIN) for side in size))
        heads = {one.name: one.task.target.num_outputs for one in self.sets}
        exclusive = [one.name for one in self.sets if one.exclusive]
        known = {"heads": heads, "exclusive": exclusive, "passes": self.cycle.steps, "steps": recipe.plan.steps}
        made = learner_of(self.recipe, len(self.sets[0].task.channels), seed, known)
        if not isinstance(made, Ark):
            raise TrainingError(f"{recipe.method} does not learn from labelled sets; give a store made by prepare")
        self.learner = made

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The labels of each head."""
        return {one.name: one.task.target.names for one in self.sets}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide the weights."""
        settings: dict[str, Any] = {"recipe": describe(self.recipe), "seed": self.seed, "sets": {}}
        for one in self.sets:
            roles = "\n".join(f"{role} {case.id} {case.values}" for role, case in one.split.roles())
            counts = {role: sum(each == role for each, _ in one.split.roles()) for role in ("train", "val")}
            sha256 = hashlib.sha256(roles.encode()).hexdigest()
            settings["sets"][one.name] = {"target": describe(one.task.target), **counts, "sha256": sha256}
        return settings

    def samples(self, fabric: Processes, console: Console) -> RunSamples:
        """Read what is not read yet, and make the samples of it."""
        places = [self.into / CASES / fit(one.name) for one in self.sets]
        if fabric.is_global_zero:
            for one, place in zip(self.sets, places, strict=True):
                read_cases(one.task, [*one.split.train, *one.split.val], self.reading, place, console)
        fabric.barrier()
        caches = [CaseCache(place) for place in places]
        halves = [
            [[cache.case(case.id) for case in cases] for cache, cases in zip(caches, some, strict=True)]
            for some in ([one.split.train for one in self.sets], [one.split.val for one in self.sets])
        ]
        self._check_channels([case for half in halves for cases in half for case in cases])
        width = max(self.learner.student.heads.values())
        training = CycledCases(self.learner, self.cycle, caches, halves[0], self.seed, width)
        held_out = HeldOutCases(self.learner, caches, halves[1], width)
        return RunSamples(training, held_out, len(held_out), nouns(len(self.recipe.cubes.size)).cube)

    def _check_channels(self, cases: list[CachedCase]) -> None:
        wanted = self.learner.backbone.in_channels
        if strange := [case for case in cases if len(case.limits) != wanted]:
            raise DataError(
                f"{len(strange)} of {many(len(cases), 'image')} have {len(strange[0].limits)} channels, the first "
                f"{strange[0].id}, and the network takes {wanted}; save them alike"
            )

    def begin(self) -> str:
        """Write what becomes of each case, as tables that predict, evaluate and finetune take; describe the sets."""
        keep_names(self.into, [(case.patient, case.id) for one in self.sets for _, case in one.split.roles()])
        for one in self.sets:
            folder = self.into / SETS / fit(one.name)
            folder.mkdir(parents=True, exist_ok=True)
            write_cases(folder, one.split, one.task.target)
            write_held_out(folder, one.split, one.task.target)
        return self._greeting()

    def check_data(self, *, wait: bool = False) -> None:
        """Nothing: cases are read anew from their own files."""

    def draw(self, step: int) -> None:
        """Nothing: labels are no pictures."""

    def warning(self, figures: Mapping[str, float]) -> str:
        """None."""
        return ""

    def finish(self) -> None:
        """Delete what was read of the images."""
        shutil.rmtree(self.into / CASES, ignore_errors=True)

    def _greeting(self) -> str:
        """The sets, and who is in two of them."""
        lines = [f"{self.recipe.name}: {many(len(self.sets), 'set')}, {sum(self.cycle.steps)} steps a round"]
        for one, steps in zip(self.sets, self.cycle.steps, strict=True):
            kind = "classes" if one.exclusive else "labels"
            cases = f"{many(len(one.split.train), 'case')} to train on, {len(one.split.val)} held out"
            lines.append(f"{one.name}: {cases}; {len(one.task.target.labels)} {kind}; {many(steps, 'step')} a pass")
        return "\n".join([*lines, *shared_patients(self.sets)])

    def notes(self, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """The notes in the header of a weights file: how it was made, and what each head predicts and needs."""
        size = self.recipe.cubes.size
        reading = describe(Reading(self.recipe.cubes.intensity, fit=size))
        targets = {one.name: describe(one.task.target) for one in self.sets}
        heads = {name: list(labels) for name, labels in self.labels.items()}
        channels = self.learner.backbone.in_channels
        return {
            "recipe": describe(self.recipe), "taught": ["encoder"], "seed": self.seed, "step": step, "figures": metrics,
            "heads": heads, "targets": targets, "reading": reading, "patch": list(size), "channels": channels,
        }  # fmt: skip


class _Cases(Dataset[dict[str, Tensor]]):
    """Cases of several sets, as a learner takes them.

    Args:
        learner: makes the views.
        caches: of each set.
        cases: of each set.
        width: of all values together: those of a set with fewer end in NaN.
    """

    def __init__(self, learner: Ark, caches: list[CaseCache], cases: list[list[CachedCase]], width: int) -> None:
        self.learner, self.caches, self.cases, self.width = learner, caches, cases, width

    def sample(self, number: int, place: int) -> Sample:
        """One case of a set: "image", "values" and "set"."""
        case = self.cases[number][place]
        values: NDArray[np.float32] = np.full(self.width, np.nan, np.float32)
        values[: len(case.values)] = case.values
        image = self.caches[number].image(case, (0,) * len(case.size), case.size)
        return {"image": image, "values": values, "set": np.array(number, np.int64)}


class CycledCases(_Cases):
    """The endless row of samples of a run: one shuffled pass over each set, again and again.

    Args:
        learner: makes the views.
        cycle: which case is which sample.
        caches: of each set.
        cases: of each set.
        seed: of the run.
        width: of all values together.
    """

    def __init__(
        self,
        learner: Ark,
        cycle: Cycle,
        caches: list[CaseCache],
        cases: list[list[CachedCase]],
        seed: int,
        width: int,
    ) -> None:
        super().__init__(learner, caches, cases, width)
        self.cycle, self.seed = cycle, seed

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Make sample number `index`."""
        case = self.sample(*self.cycle.case(index, self.seed))
        views = self.learner.views(case, generator_for(self.seed, index, "train"))
        return {name: as_tensor(view) for name, view in views.items()}


class HeldOutCases(_Cases):
    """The cases that each set validates on, one after the other."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Make sample number `index`."""
        number = 0
        while index >= len(self.cases[number]):
            index, number = index - len(self.cases[number]), number + 1
        return {name: as_tensor(view) for name, view in self.learner.held_out(self.sample(number, index)).items()}

    def __len__(self) -> int:
        return sum(map(len, self.cases))
