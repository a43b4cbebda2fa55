"""Step 6: pre-training as long as time is left; each run's schedule ends with its share of it."""

import dataclasses
import os
import shutil
import signal
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.measuring import Results, Settings, store

import modelsgenesis as mg
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.training.logger import read_log

KEPT = ("model.safetensors", "made.json", "recipe.json", "log.csv")
SPARE = 0.85  # of a share that steps may take; the rest is for starting, validations and pictures
PROBE = 100  # steps that tell the speed


@dataclasses.dataclass(frozen=True)
class Run:
    """A run: its name, its store, what is trained and how."""

    name: str
    store: str
    recipe: str
    size: tuple[int, ...]
    width: int
    batch_size: int
    method: str = "genesis"


RUNS = (
    Run("hippocampus-8", "hippocampus", "any", (32, 40, 32), 8, 32),
    Run("hippocampus-mae-8", "hippocampus", "any", (32, 40, 32), 8, 32, "mae"),
    Run("chest-16", "chest", "small", (32, 32, 32), 16, 64),
    Run("hippocampus-16", "hippocampus", "any", (32, 40, 32), 16, 32),
)


def recipe_of(run: Run, tiny: bool) -> Recipe:
    """Its recipe, at the learning rate of the runs on a CPU."""
    chosen = find_recipe(run.recipe).but(method=run.method)
    size = (16, 16, 16) if tiny else run.size
    block = {"block": 8} if run.method == "mae" else {}
    return chosen.but(
        cubes={"size": size}, backbone_args={"width": 4 if tiny else run.width, "norm": "instance"}, method_args=block
    )


def train(settings: Settings, run: Run, into: Path, steps: int) -> None:
    """Pre-train; validations are few, since each draws a picture."""
    tiny = settings.tiny
    mg.pretrain(
        recipe_of(run, tiny), store(settings, run.store), into, steps=steps, batch_size=2 if tiny else run.batch_size,
        lr=2e-3, warmup_steps=min(100, steps // 10), validate_every=max(1, steps // 3), val_cubes=2 if tiny else 64,
        workers=0 if tiny else 14, precision="32-true" if tiny else "bf16-mixed", accelerator=settings.accelerator,
    )  # fmt: skip


def seconds_a_step(settings: Settings, run: Run) -> float:
    """Measured on a short run of its own."""
    into = settings.work / "probes" / run.name
    train(settings, run, into, 2 if settings.tiny else PROBE)
    rows = read_log(into / "log.csv")
    batch = 2 if settings.tiny else run.batch_size
    return batch / statistics.median(float(row["cubes_per_s"]) for row in rows[len(rows) // 2 :])


def long_run(results: Results, settings: Settings, run: Run, share: float) -> None:
    """Pre-train for a share of the time, and keep what a CPU asks for afterwards."""
    begin = time.perf_counter()
    step = seconds_a_step(settings, run)
    steps = max(2, int(SPARE * (share - (time.perf_counter() - begin)) / step))
    steps = min(steps, 4) if settings.tiny else steps
    into = settings.work / "runs" / run.name
    # Should it take longer than it may, it stops and saves; the next has its time.
    timer = threading.Timer(share - (time.perf_counter() - begin), os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        train(settings, run, into, steps)
    finally:
        timer.cancel()
    summarise(results, settings, run, into, steps)


def summarise(results: Results, settings: Settings, run: Run, into: Path, steps: int) -> None:
    """What a run saw and how far it came; keep its files."""
    rows = read_log(into / "log.csv")
    last, recipe = rows[-1], recipe_of(run, settings.tiny)
    cubes = int(last["step"]) * (2 if settings.tiny else run.batch_size)
    voxels = cubes
    for side in recipe.cubes.size:
        voxels *= side
    results.add(f"{run.name}: steps done of {steps}", int(last["step"]))
    results.add(f"{run.name}: seen", f"{cubes:,} cubes, {voxels:.3g} voxels in {float(last['time_s']):.0f} s")
    results.add(
        f"{run.name}: waiting", round(statistics.median(float(row["waiting"]) for row in rows), 4), "of the time"
    )
    figures: dict[str, Any] = {
        name: last[name] for name in ("val_total", "val_mean_baseline", "val_identity_baseline") if last.get(name)
    }
    results.add(f"{run.name}: held out", ", ".join(f"{name} {value}" for name, value in figures.items()))
    kept = settings.into / "runs" / run.name
    kept.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (into / name).is_file():
            shutil.copyfile(into / name, kept / name)
    for sheet in sorted((into / "sheets").glob("*.png"))[-1:]:
        shutil.copyfile(sheet, kept / "sheet.png")


def main() -> None:
    """One run after the other, each with an equal share of what is left."""
    settings = Settings.given()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a run that is under way sets its own answer to it
    results, end = Results(settings, "pretraining"), time.perf_counter() + settings.seconds - 5
    for number, run in enumerate(RUNS):
        share = (end - time.perf_counter()) / (len(RUNS) - number)
        results.tried(run.name, lambda r=run, s=share: long_run(results, settings, r, s))


if __name__ == "__main__":
    main()
