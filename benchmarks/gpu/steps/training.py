"""Step 3: steps of the large networks, what each way of computing them gains, and the whole line from the store."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from modelsgenesis.nets.memory_layout import put_channels_last
from modelsgenesis.training.logger import read_log
from modelsgenesis.training.loop import make_optimizer

SHARE = 0.4  # of the matmul peak
WAITING = 0.05  # of the time, for cubes
WAYS = {
    "channels last": {"last": True},
    "optimiser not fused": {"fused": False},
    "compiled": {"compiled": True},
    "channels last and compiled": {"last": True, "compiled": True},
}


class Steps:
    """Optimiser steps on one batch that lies on the device, in bf16."""

    def __init__(
        self,
        settings: Settings,
        kind: type,
        batch: int,
        *,
        last: bool = False,
        compiled: bool = False,
        fused: bool = True,
    ) -> None:
        recipe = recipe_for(settings, "chest-ct")
        arguments: dict[str, Any] = {"width": 4} if settings.tiny else {"width": 32}
        if settings.tiny and kind is mg.ResidualUNet:
            arguments |= {"strides": (1, 2, 2), "blocks": (1, 1, 1)}
        learner = learner_of(recipe, kind, **arguments)
        if last:
            put_channels_last(learner)
        optimizer = make_optimizer(learner, recipe.plan)
        if not fused:
            optimizer = torch.optim.AdamW(learner.parameters(), lr=recipe.plan.lr, fused=False, foreach=False)
        self.fabric = make_fabric("bf16-mixed", accelerator=settings.accelerator)
        module: nn.Module = torch.compile(learner) if compiled else learner  # type: ignore[assignment]
        self.model, self.optimizer = self.fabric.setup(module, optimizer)
        layout = torch.channels_last_3d if last else torch.contiguous_format
        cubes = [torch.rand(batch, 1, *recipe.cubes.size, device=settings.device) for _ in range(2)]
        made = [cube.contiguous(memory_format=layout) for cube in cubes]
        self.batch: Batch = {"deformed": made[0], "original": made[1]}

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
    results: Results, settings: Settings, kind: type, batch: int, least_seconds: float, label: str, **ways: bool
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
    ways: list[tuple[int, str]] = [(6, "workers"), (14, "workers"), (2, "workers"), (2, "device"), (6, "device")]
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
    batches, some = ((2,), 2) if tiny else ((16, 32, 64, 128), 32)
    results.tried("UNet3D", lambda: time_steps(results, settings, mg.UNet3D, batches, peak))
    for what, measure in whole_line(results, settings):
        results.tried(what, measure)
    results.tried("ResidualUNet", lambda: time_steps(results, settings, mg.ResidualUNet, batches[:3], peak))
    a_cube = Steps(settings, mg.UNet3D, 2).flops() / 2
    for way, how in list(WAYS.items())[: 2 if tiny else None]:
        label = f"UNet3D, batch {some}, {way}"
        results.tried(
            label, lambda w=how, named=label: time_one(results, settings, mg.UNet3D, some, a_cube / peak, named, **w)
        )


if __name__ == "__main__":
    main()
