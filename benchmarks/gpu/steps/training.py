"""Step 3: steps of the large networks, what each way of computing them gains, and the whole line from the store."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from benchmarks.gpu.measuring import (
    Results,
    Settings,
    learner_of,
    matmul_peak,
    recipe_for,
    seconds,
    store,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import modelsgenesis as mg
from modelsgenesis.core.device import make_fabric
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.store.store import Store
from modelsgenesis.nets.memory_layout import choose_layout, put_channels_last
from modelsgenesis.recipes import Recipe
from modelsgenesis.training.logger import read_log
from modelsgenesis.training.loop import make_optimizer

SHARE = 0.4  # of the matmul peak
WAITING = 0.05  # of the time, for cubes
WAYS: dict[str, dict[str, Any]] = {
    "channels first": {"how": "first"},
    "channels last but for the first layer": {"how": "last"},
    "optimiser not fused": {"fused": False},
}
COMPILED: dict[str, dict[str, Any]] = {
    "compiled": {"compiled": True},
    "channels first and compiled": {"how": "first", "compiled": True},
}


def sampled(settings: Settings, recipe: Recipe, batch: int) -> np.ndarray[Any, Any]:
    """Cubes (B, 1, X, Y, Z) of the store: a GPU is slower on noise, which takes more power."""
    sampler = CubeSampler(Store.open(store(settings, "chest")), recipe.cubes)
    few = [sampler.sample(generator_for(0, index)).image for index in range(min(batch, 16))]
    return np.stack([few[index % len(few)] for index in range(batch)])


class Steps:
    """Optimiser steps on one batch that lies on the device, in bf16."""

    def __init__(
        self,
        settings: Settings,
        kind: type,
        batch: int,
        *,
        how: Literal["ours", "first", "last"] = "ours",
        compiled: bool = False,
        fused: bool = True,
    ) -> None:
        recipe = recipe_for(settings, "chest-ct")
        arguments: dict[str, Any] = {"width": 4} if settings.tiny else {"width": 32}
        if settings.tiny and kind is mg.ResidualUNet:
            arguments |= {"strides": (1, 2, 2), "blocks": (1, 1, 1)}
        learner = learner_of(recipe, kind, **arguments)
        if how == "ours":
            choose_layout(learner, torch.device(settings.device))
        elif how == "last":
            put_channels_last(learner)
        optimizer = make_optimizer(learner, recipe.plan)
        if not fused:
            optimizer = torch.optim.AdamW(learner.parameters(), lr=recipe.plan.lr, fused=False, foreach=False)
        self.fabric = make_fabric("bf16-mixed", accelerator=settings.accelerator)
        module: nn.Module = torch.compile(learner) if compiled else learner  # type: ignore[assignment]
        self.model, self.optimizer = self.fabric.setup(module, optimizer)
        cubes = torch.from_numpy(sampled(settings, recipe, batch)).to(settings.device)
        self.batch: Batch = {"deformed": cubes.flip(2), "original": cubes}

    def __call__(self) -> None:
        """One step."""
        self.fabric.backward(self.model(self.batch, 0.0)["total"])
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=1.0, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def flops(self) -> int:
        """Of a step, forward and backward."""
        with FlopCounterMode(display=False) as counter:
            self()
        return counter.get_total_flops()


def time_steps(results: Results, settings: Settings, kind: type, batches: tuple[int, ...], peak: float) -> None:
    """Cubes a second, share of the peak and memory, by batch."""
    a_cube = Steps(settings, kind, 2).flops() / 2
    results.add(f"{kind.__name__}: FLOP a cube and step", round(a_cube / 1e12, 6), "TFLOP")
    for batch in batches:
        label = f"{kind.__name__}, batch {batch}"
        results.tried(label, lambda n=batch, named=label: time_one(results, settings, kind, n, a_cube / peak, named))


def time_one(
    results: Results, settings: Settings, kind: type, batch: int, least_seconds: float, label: str, **ways: Any
) -> None:
    """Time one way; `least_seconds` is a cube's at the matmul peak."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    steps = Steps(settings, kind, batch, **ways)
    rate = batch / seconds(steps, repeats=1 if settings.tiny else 5, warm=1 if settings.tiny else 3)
    results.add(label, round(rate, 1), "cubes/s")
    results.add(f"{label}: share of the matmul peak", round(rate * least_seconds, 3), least=SHARE)
    if torch.cuda.is_available():
        results.add(f"{label}: memory", round(torch.cuda.max_memory_allocated() / 2**30, 2), "GiB")


def whole_line(results: Results, settings: Settings) -> Iterator[tuple[str, Any]]:
    """Pre-train from the store, cubes deformed by workers or on the device; yield what to try."""
    ways: list[tuple[int, str]] = [(6, "workers"), (2, "workers"), (6, "device")]
    for workers, views in [(1, "workers"), (1, "device")] if settings.tiny else ways:
        yield f"{workers} loader workers, views by {views}", lambda w=workers, v=views: line(results, settings, w, v)


def line(results: Results, settings: Settings, workers: int, views: Any) -> None:
    """One short run."""
    tiny, label = settings.tiny, f"chest-ct from the store, {workers} loader workers, views by {views}"
    into = settings.work / "lines" / f"{workers}-{views}"
    steps = 2 if tiny else 60
    mg.pretrain(
        recipe_for(settings, "chest-ct"), store(settings, "chest"), into, steps=steps, batch_size=2 if tiny else 32,
        validate_every=steps, val_cubes=2, workers=workers, views=views, precision="bf16-mixed",
        accelerator=settings.accelerator,
    )  # fmt: skip
    rows = read_log(Path(into) / "log.csv")[-4:]  # without the first lines, which wait for the workers to start
    for name, unit in (("cubes_per_s", "cubes/s"), ("waiting", "of the time")):
        value = statistics.median(float(row[name]) for row in rows)
        goal = WAITING if name == "waiting" else None
        results.add(f"{label}: {name}", round(value, 4), unit, most=goal)


def main() -> None:
    """Measure in the order of worth."""
    settings = Settings.given()
    results, tiny = Results(settings, "training"), settings.tiny
    peak = matmul_peak(settings.device, 256 if tiny else 8192)
    batches, some = ((2,), 2) if tiny else ((32, 64, 128, 16), 32)
    results.tried("UNet3D", lambda: time_steps(results, settings, mg.UNet3D, batches, peak))
    a_cube = Steps(settings, mg.UNet3D, 2).flops() / 2

    def time_ways(ways: dict[str, dict[str, Any]]) -> None:
        for way, how in ways.items():
            label = f"UNet3D, batch {some}, {way}"
            results.tried(
                label,
                lambda w=how, named=label: time_one(results, settings, mg.UNet3D, some, a_cube / peak, named, **w),
            )

    time_ways(WAYS)
    results.tried("ResidualUNet", lambda: time_steps(results, settings, mg.ResidualUNet, batches[:2], peak))
    for what, measure in whole_line(results, settings):
        results.tried(what, measure)
    if not tiny:
        time_ways(COMPILED)  # it takes a minute


if __name__ == "__main__":
    main()
