"""The whole line on made-up scans: `genesis demo OUT`."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.commands.pretrain import pretrain
from modelsgenesis.commands.report import report
from modelsgenesis.commands.show import show
from modelsgenesis.core.console import make_console
from modelsgenesis.core.device import make_fabric
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.options import verb
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.words import many
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.stream import CubeStream, Range, load_batches
from modelsgenesis.data.store.store import Store
from modelsgenesis.phantom import phantom_paths, write_phantoms
from modelsgenesis.recipes import Recipe, small
from modelsgenesis.recipes.recipe import build_learner
from modelsgenesis.reports.replay import clearest_sample, recipe_of
from modelsgenesis.training.dry_run import STEPS
from modelsgenesis.training.dry_run import seconds_a_step as time_steps

SCANS = 12
VALIDATIONS = 6
LEAST_BETWEEN = 15  # steps from one validation to the next
VAL_CUBES = 24
LEAST_STEPS, MOST_STEPS = 90, 3000  # fewer steps would show nothing
SHARE = 0.85  # of the time goes to steps; validations and their sheets take the rest


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """The options of genesis demo.

    Args:
        seconds: About how many seconds to train on this machine; the number of steps is measured once and then kept.
        seed: The seed decides the scans and the run.
        steps: How many steps to train, in place of the time.
        scans: How many torsos are made up.
        size: How many voxels they have along x, y, z.
    """

    seconds: float = 120.0
    seed: int = 0
    steps: int | None = None
    scans: int = SCANS
    size: tuple[int, int, int] = (160, 128, 96)


@verb(DemoOptions)
def demo(into: str | Path, options: DemoOptions) -> Path:
    """Walk the whole line on made-up scans: prepare, show, pretrain for a while, report.

    This verb alone calls its siblings, each through its public function, because the line is what it shows. Run again,
    it goes on where it was stopped.

    Args:
        into: A folder: scans/, store/, sheet.png, run/ and report.html.
    Returns:
        The report's path, or the run's folder when a signal stopped the training.
    Raises:
        DataError: fewer than two scans, no time or no step to train; the folder holds another demo, or cannot be
            written.
    """
    seconds, seed, steps, scans = options.seconds, options.seed, options.steps, options.scans
    if scans < 2 or not seconds > 0:
        raise DataError(
            f"a demo needs at least 2 scans and some seconds, got {many(scans, 'scan')} and {seconds:g} seconds"
        )
    if steps is not None and steps < 1:
        raise DataError(f"a demo needs at least 1 step of training, got {steps}")
    into, console = Path(into), make_console()

    def announce(words: str) -> None:
        console.print(words, highlight=False)

    announce(f"1/5 making up {many(scans, 'torso')} in {into / 'scans'}")
    if left := sorted({*(into / "scans").glob("torso-*")} - {*phantom_paths(into, scans, seed=seed)}):
        raise DataError(f"{into / 'scans'} holds {left[0].name} of another demo; use its settings or another folder")
    write_phantoms(into, scans, seed=seed, size=options.size)
    announce(f"2/5 preparing them into {into / 'store'}")
    store = Path(prepare(into / "scans", into / "store", modality="CT", salt="demo"))
    recipe = timed_recipe(into / "run", store, seconds, seed, steps)
    announce(f"3/5 showing what the network will see in {into / 'sheet.png'}")
    show(recipe, store, into / "sheet.png", seed=seed, sample=clearest_sample(recipe, store, seed=seed))
    announce(
        f"4/5 pre-training for {many(recipe.plan.steps, 'step')}"
        + (f", about {seconds:.0f} seconds" if steps is None else "")
    )
    run = pretrain(recipe, store, into / "run", seed=seed)
    if not (run / PROVENANCE).is_file():
        announce(f"stopped before the report; the same command goes on, and {run} holds what there is")
        return run
    announce("5/5 writing the report")
    return report(run, into / "report.html")


def timed_recipe(run: Path, store: Path, seconds: float, seed: int, steps: int | None = None) -> Recipe:
    """The small recipe with as many steps as fit the time, or as many as the run was begun with."""
    recipe = small()
    if steps is None and (run / "recipe.json").is_file():
        steps = recipe_of(run).plan.steps
    elif steps is None:
        steps = round(SHARE * seconds / seconds_a_step(recipe, store, seed))
        steps = min(max(steps, LEAST_STEPS), MOST_STEPS)
    plan = replace(
        recipe.plan,
        steps=steps,
        warmup_steps=max(1, steps // 10),
        validate_every=max(LEAST_BETWEEN, math.ceil(steps / VALIDATIONS)),
        val_cubes=VAL_CUBES,
    )
    return replace(recipe, plan=plan)


def seconds_a_step(recipe: Recipe, store: Path, seed: int) -> float:
    """Measure a few steps of a network that is then discarded."""
    opened = Store.open(store)
    learner = build_learner(recipe, opened, seed)
    stream = CubeStream(CubeSampler(opened, recipe.cubes), learner.views, seed=seed, name="trial")
    batches = load_batches(stream, Range(0, STEPS + 1, recipe.plan.batch_size))
    return time_steps(learner, recipe.plan, iter(batches), make_fabric(recipe.plan.precision))
