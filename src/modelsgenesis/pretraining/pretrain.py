"""Pre-train a network on a store of unlabelled scans."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, get_args

import numpy as np
import torch
from rich.console import Console

from modelsgenesis.core.backbone import Backbone, Part
from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import MACHINE, describe_machine, launch, make_fabric
from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.naming import describe, find_class
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.provenance import fingerprint, write_provenance
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.nnunet_plans import Planned, read_planned
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.stream import CubeStream, collate
from modelsgenesis.data.store.columns import Scans
from modelsgenesis.data.store.slicing import slicing_of
from modelsgenesis.data.store.store import Store
from modelsgenesis.data.store.verifying import BackgroundCheck
from modelsgenesis.deformations.flip import flipped_axes
from modelsgenesis.pretraining.options import PretrainOptions
from modelsgenesis.pretraining.start import Start
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.recipes.nnunet_plans import follow_plans
from modelsgenesis.recipes.recipe import build_learner, split
from modelsgenesis.training.batches import RunSamples
from modelsgenesis.training.dry_run import report_dry_run
from modelsgenesis.training.loop import Training
from modelsgenesis.training.run_folder import BEST, LAST, held_run, is_done, remember
from modelsgenesis.weights.files import kept_network, read_notes, save_network
from modelsgenesis.weights.lifting import SLICING

CUBES_AN_EPOCH = 32  # a training scan, as the papers count
EXAMPLES = 3  # restorations on a sheet
LOADING = "loading.json"
# A finished run goes on where it ended if nothing else is changed but these, and there are more steps.
LENGTH = ("recipe.plan.steps", "recipe.plan.warmup_steps", "recipe.plan.validate_every")


class Work(Protocol):
    """What the training loop works on, of a store or of labelled sets, and the files of a run."""

    recipe: Recipe
    place: Path

    @property
    def learner(self) -> Learner:
        """What is trained."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """The labels of each head, if the learner has heads by name."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide the weights."""

    def samples(self, fabric: Processes, console: Console) -> RunSamples:
        """Open what is trained on; the processes are launched."""

    def begin(self) -> str:
        """Write what describes the data, before the first step; describe them for the user."""

    def check_data(self, *, wait: bool = False) -> None:
        """Raise what a look at the data beside the training has found; wait until all of it is looked at."""

    def draw(self, step: int) -> None:
        """Picture the network after a validation."""

    def notes(self, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """The notes in the header of a weights file: how it was made."""

    def warning(self, figures: Mapping[str, float]) -> str:
        """What the user should know of the best network; otherwise empty."""

    def finish(self) -> None:
        """Delete what only the training needed."""


def pretrain(recipe: Recipe | str, store: Path, into: Path, options: PretrainOptions) -> Path:
    """Pre-train a network; `commands.pretrain` describes the arguments and errors."""
    begun = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if options.plans is not None:
        begun = _planned(begun, Path(options.plans), store, options)
    changed = options.applied_to(begun)
    start = Start(options, len(changed.cubes.size)) if options.from_ is not None else None
    changed = start.applied_to(changed) if start else changed
    fabric = make_fabric(
        changed.plan.precision, accelerator=options.accelerator, devices=options.devices, nodes=options.nodes
    )
    if _is_labelled(changed, store):
        if changed.cubes.balance:
            raise DataError("--balance is of the scans of a store; labelled sets take turns, set by set")
        from modelsgenesis.pretraining.labelled_sets import SetWork  # here: a store needs no reader of files

        work: Work = SetWork(changed, store, into, options.seed)
    else:
        work = StoreWork(changed, store, into, options.seed)
    with contextlib.nullcontext() if options.dry_run else held_run(into, "pretrain", fabric):
        return _follow(work, into, options.seed, fabric, start, dry_run=options.dry_run)


def _is_labelled(recipe: Recipe, place: Path) -> bool:
    """Whether the recipe's method learns from labelled sets.

    Raises:
        DataError: it does and there is a store, or it does not and there is no store.
    """
    kind: type[Learner] = find_class("methods", recipe.method, Learner)
    labelled = kind.labelled
    if labelled and not place.is_file():
        raise DataError(
            f"{place}: is no table of labelled sets, which {recipe.method} learns from; give a CSV with a row for "
            "each: name, data"
        )
    if place.is_file() and not labelled:
        raise DataError(f"{place}: is no store, which {recipe.method} learns from; make one by genesis prepare")
    return labelled


def _planned(recipe: Recipe, plans: Path, store: Path, options: PretrainOptions) -> Recipe:
    """Change the recipe by nnU-Net's plans."""
    if wrong := options.network_flags():
        raise TrainingError(f"{', '.join(wrong)}: {plans} decides the network; leave it out, or --plans")
    return follow_plans(recipe, read_planned(plans, options.configuration), Store.open(store))


def _follow(work: Work, into: Path, seed: int, fabric: Processes, start: Start | None, *, dry_run: bool) -> Path:
    """Pre-train by the recipe."""
    console = make_console()
    recipe, learner = work.recipe, work.learner
    loading = start.begin(learner, work.labels) if start else None
    settings = {**work.settings, **(start.settings if start else {})}
    if not dry_run and is_done(into, "pretrain", settings, may_grow=LENGTH):
        console.print(f"{into}: this run is done already")
        work.finish()  # it may have been killed before this
        return into
    launch(fabric)
    samples = work.samples(fabric, console)

    def keep_best(step: int, metrics: dict[str, float]) -> None:
        work.check_data()
        figures = {f"val_{name}": value for name, value in metrics.items()}
        save_network(into / BEST, kept_network(learner.network), work.notes(step, figures))

    materials = samples.materials(recipe.plan, fabric, keep_best=keep_best, after_validation=work.draw)
    if dry_run:
        report_dry_run(learner, recipe.plan, materials, fabric=fabric, console=console)
        return into
    run = Training(learner, recipe.plan, materials, into, fabric=fabric, seed=seed, console=console)
    if fabric.is_global_zero:
        remember(into, settings, work.place)
        if start and loading:
            write_json(into / LOADING, start.to_json(loading))
            console.print(loading.table(f"Tensors from {start.given}"), start.heads_in_words(), sep="\n")
        console.print(work.begin(), highlight=False, soft_wrap=True)
    outcome = run.run()
    if fabric.is_global_zero and outcome.stopped:
        step = f"step {outcome.state.step} of {recipe.plan.steps}"
        console.print(f"stopped by {outcome.stopped} at {step}; the same command goes on from there")
    elif fabric.is_global_zero:
        work.check_data(wait=True)
        save_network(into / LAST, kept_network(learner.network), work.notes(outcome.state.step, {}))
        if warning := work.warning(read_notes(into / BEST).get("figures", {})):
            console.print(warning, highlight=False, soft_wrap=True)
        arguments = {**settings, "recipe": describe(recipe), MACHINE: describe_machine(fabric)}
        inputs = [work.place, *([start.place] if start else [])]
        write_provenance(into, "pretrain", arguments, inputs=inputs, seed=seed, outputs=[BEST, LAST])
        work.finish()
    fabric.barrier()
    return into


class StoreWork:
    """The cubes of a store, seen through a learner, and the files of a run.

    Args:
        recipe: of the run.
        store: of the scans.
        into: the run's folder.
        seed: of everything random.
    """

    def __init__(self, recipe: Recipe, store: Path, into: Path, seed: int) -> None:
        self.place, self.into, self.seed = store, into, seed
        self.store = Store.open(store)
        self.training, self.held_out = split(self.store, recipe)
        self.recipe = _with_epoch(recipe, len(self.training))
        self.learner = build_learner(self.recipe, self.store, seed)
        slicing = slicing_of(self.store)
        self.of_slices = {SLICING: describe(slicing)} if slicing else {}

    labels: Mapping[str, Sequence[str]] = MappingProxyType({})

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide the weights."""
        return _settings(self.recipe, self.place, self.seed)

    def samples(self, fabric: Processes, console: Console) -> RunSamples:
        """The cubes that are trained on and held out."""
        recipe, learner, self.fabric = self.recipe, self.learner, fabric
        self.samplers = [CubeSampler(self.store, recipe.cubes, scans) for scans in (self.training, self.held_out)]
        made = learner.draws if recipe.plan.views == "device" else learner.views
        training = CubeStream(self.samplers[0], made, seed=self.seed, name="train")
        self.validation = CubeStream(self.samplers[1], learner.views, seed=self.seed, name="validation")
        return RunSamples(training, self.validation, recipe.plan.val_cubes, nouns(len(recipe.cubes.size)).cube)

    def begin(self) -> str:
        """Describe the scans, whose files are compared with their checksums from here on."""
        scans = self.training + self.held_out
        self.check = BackgroundCheck(self.store, scans)
        said = [_greeting(self.recipe, self.training, self.held_out, self.samplers), self.check.in_words(len(scans))]
        return "\n".join(filter(None, said))

    def check_data(self, *, wait: bool = False) -> None:
        """Raise what is damaged among the scans' files."""
        self.check.raise_if_damaged(wait=wait)

    def finish(self) -> None:
        """Nothing: the store stays."""

    def warning(self, figures: Mapping[str, float]) -> str:
        """Warn of a network that restores worse than one grey value."""
        return worse_than_grey(figures, nouns(len(self.recipe.cubes.size)).cube)

    def notes(self, step: int, metrics: dict[str, float]) -> dict[str, Any]:
        """The notes in the header of a weights file: how it was made."""
        trained = trained_parts(self.learner.backbone)
        made = {"recipe": describe(self.recipe), "taught": trained, "seed": self.seed, "step": step, "figures": metrics}
        return {**made, **self.of_slices}

    @torch.no_grad()
    def draw(self, step: int) -> None:
        """Draw held-out cubes, deformed and restored, turned back to how the patient lies: always the same ones."""
        if not self.learner.restores:
            return
        from modelsgenesis.figures.restoration import restoration_sheet  # here, for the first step not to wait for it

        cubes, views = zip(*(self.validation.sample(index) for index in range(EXAMPLES)), strict=True)
        batch = collate(list(views))
        self.learner.eval()
        on_device: Batch = self.fabric.to_device(batch)
        restored = self.learner.predict(on_device).float().cpu()
        self.learner.train()
        axes = [
            flipped_axes(cube.image, original.numpy()) for cube, original in zip(cubes, batch["original"], strict=True)
        ]
        original, deformed, upright = (
            np.stack([np.flip(image.numpy(), along) for image, along in zip(images, axes, strict=True)])
            for images in (batch["original"], batch["deformed"], restored)
        )
        restoration_sheet(
            self.into / "sheets" / f"step-{step:07d}.png",
            original,
            deformed,
            upright,
            spacing_mm=[cube.scan.spacing_mm for cube in cubes],
            title=f"Held-out {nouns(len(self.recipe.cubes.size)).cube}s after {many(step, 'step')}",
        )


def worse_than_grey(metrics: Mapping[str, float], noun: str = "cube") -> str:
    """A warning for a network whose best error on held-out samples is above that of one grey value; otherwise empty."""
    error = metrics.get("val_restoration", metrics.get("val_total", math.nan))
    grey = metrics.get("val_mean_baseline", math.nan)
    if not error > grey:
        return ""
    return (
        f"warning: the error on held-out {noun}s, {error:.4f}, is above that of one grey value, {grey:.4f}: the "
        "network has not learned to restore; train it longer (--steps), or with another rate (--lr)"
    )


def trained_parts(backbone: Backbone) -> list[Part]:
    """The parts of a network that learn: a method that trains the encoder alone leaves the rest as it was drawn."""
    learning = {part for part, module in backbone.parts() if any(p.requires_grad for p in module.parameters())}
    return [part for part in get_args(Part) if part in learning]


def _with_epoch(recipe: Recipe, num_scans: int) -> Recipe:
    """Set the steps from one validation to the next, once an epoch by default."""
    if recipe.plan.validate_every is not None:
        return recipe
    steps = max(1, CUBES_AN_EPOCH * num_scans // recipe.plan.batch_size)
    return recipe.but(plan={"validate_every": steps})


def _settings(recipe: Recipe, store: Path, seed: int) -> dict[str, Any]:
    """The settings that decide the weights."""
    settings: dict[str, Any] = {"recipe": describe(recipe), "store": fingerprint(store), "seed": seed}
    if recipe.plans is not None:
        settings["recipe"]["plans"].pop("file")  # their content is here; where they lie makes no difference
    return settings


def _greeting(recipe: Recipe, training: Scans, held_out: Scans, samplers: list[CubeSampler]) -> str:
    """Describe the scans that are trained on and held out, and those that give no cube."""
    said = nouns(len(recipe.cubes.size))
    learning = many(training.num_images, said.scan)
    lines = [f"{recipe.name}: {learning} to train on, {held_out.num_images} held out"]
    if recipe.plans is not None:
        lines.append(_plans_in_words(recipe, recipe.plans))
    if balance := recipe.cubes.balance:
        num = len(np.unique(samplers[0].scans.column(balance)))
        lines.append(f"each {balance} is as likely: there {'is' if num == 1 else 'are'} {num} to train on")
    return "\n".join([*lines, *_without_cubes(recipe.cubes.size, samplers)])


def _without_cubes(size: tuple[int, ...], samplers: list[CubeSampler]) -> list[str]:
    """Say how many scans give no cube, and why: one line for all that are too small, whatever their sizes."""
    said = nouns(len(size))
    small = [sides for sampler in samplers for sides in sampler.too_small.sizes.tolist()]
    lines = []
    if small:
        least = min(small, key=lambda sides: (math.prod(sides), sides))
        wanted, smallest = (" x ".join(map(str, sides)) for sides in (size, least))
        lines = [f"no {said.cube} from {many(len(small), said.scan)} smaller than {wanted}, down to {smallest}"]
        lines[0] += "; use a smaller --size"
    if lacking := sum(len(sampler.lacking) for sampler in samplers):
        lines.append(f"no {said.cube} from {many(lacking, said.scan)}: {samplers[0].rule.lacks}")
    return lines


def _plans_in_words(recipe: Recipe, plans: Planned) -> str:
    """Describe what is taken from nnU-Net's plans."""
    size, patch = (" x ".join(map(str, sides)) for sides in (recipe.cubes.size, plans.size))
    said = nouns(len(recipe.cubes.size))
    smaller = "" if size == patch else f" in place of the plans' {patch}"
    kind = str(plans.architecture["network_class_name"]).rpartition(".")[2]
    return (
        f"{plans.name} {plans.configuration} of {plans.dataset}: {kind}, {said.cube}s of {size} {said.voxel}s{smaller}"
    )
