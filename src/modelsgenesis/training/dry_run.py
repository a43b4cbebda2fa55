"""A dry run: a few steps, measured, and what the whole run would take."""

import math
import resource
import sys
import time
from collections.abc import Iterator

import psutil
import torch
from rich.console import Console
from rich.table import Table

from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.processes import Processes
from modelsgenesis.data.sampling.stream import loading_told
from modelsgenesis.training.loop import Materials, make_optimizer
from modelsgenesis.training.plan import Plan

STEPS = 5  # measured, after one to warm up
SHEET_BYTES = 300_000  # about, for the picture of a validation


def report_dry_run(learner: Learner, plan: Plan, materials: Materials, *, fabric: Processes, console: Console) -> None:
    """Do a few steps, write nothing, and print what the run would need."""
    num_parameters = sum(parameter.numel() for parameter in learner.parameters())
    seconds = seconds_a_step(learner, plan, materials.training(0, (STEPS + 1) * plan.accumulate), fabric)
    validations = math.ceil(plan.steps / (plan.validate_every or plan.steps))
    passes = plan.steps + validations * plan.val_cubes / plan.batch_size / 3  # a forward pass is a third of a step
    disk = num_parameters * 4 * 5 + validations * SHEET_BYTES  # best, last, and resume.pt with two moments
    table = Table("what", "how much", title="A dry run: nothing is written")
    table.add_row("device", f"{fabric.world_size} x {fabric.device}, {fabric.strategy.precision.precision}")
    table.add_row("parameters", f"{num_parameters:,}")
    table.add_row("peak memory a process", _memory(fabric))
    table.add_row(
        "steps, at most", f"{plan.steps:,} of {plan.batch_size} {materials.noun}s; {validations:,} validations"
    )
    table.add_row("speed", f"{plan.batch_size / seconds:.1f} {materials.noun}s/s, {seconds:.3g} s a step")
    table.add_row("time, at most", f"{passes * seconds / 3600:.2f} hours")
    table.add_row("disk", f"{disk / 1e6:.1f} MB")
    if fabric.is_global_zero:
        console.print(table)


@loading_told()
def seconds_a_step(learner: Learner, plan: Plan, batches: Iterator[Batch], fabric: Processes) -> float:
    """Measure a few steps, which do change the learner's weights.

    Args:
        learner: what is trained.
        plan: how.
        batches: enough for STEPS + 1 steps.
        fabric: where.
    """
    model, optimizer = fabric.setup(learner, make_optimizer(learner, plan))
    started = time.perf_counter()
    for step in range(STEPS + 1):
        if step == 1:
            _wait(fabric)
            started = time.perf_counter()
        for _ in range(plan.accumulate):
            batch = learner.finish(fabric.to_device(next(batches)))
            fabric.backward(model(batch, 0.0)["total"])
        optimizer.step()
        optimizer.zero_grad()
    _wait(fabric)
    return (time.perf_counter() - started) / STEPS


def _wait(fabric: Processes) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)


def _memory(fabric: Processes) -> str:
    if fabric.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(fabric.device)
        there = torch.cuda.get_device_properties(fabric.device).total_memory
    else:
        kilo = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
        there = psutil.virtual_memory().total
    return f"{peak / 2**30:.2f} of {there / 2**30:.1f} GiB"
