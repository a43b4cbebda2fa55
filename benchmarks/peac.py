"""What a step of PEAC costs, four passes of the encoder: processor seconds and peak memory, as built and with options.

Run: python benchmarks/peac.py [--recipe small-peac] [--batch 16] [--steps 5] [--theirs CLONE]
Views of made-up pictures are made beforehand and timed apart, then each variant takes its steps in a process of its
own: as built, with activation checkpointing, with bf16, with both. Memory is the process's peak, less what it held
before the first step. With --theirs, a folder with a clone of the authors' PEAC, also a step of the published losses
around the clone's own SwinTransformer, of our recipe's sizes; nothing of it is copied.
"""

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional

from modelsgenesis.core.learner import Batch
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.stream import as_tensor, collate
from modelsgenesis.methods.base.teacher import Teacher
from modelsgenesis.methods.peac import PEAC, expander_of, unit
from modelsgenesis.nets.swin import Swin
from modelsgenesis.recipes import Recipe, find_recipe
from modelsgenesis.recipes.recipe import make_learner

VARIANTS = {"as built": (False, False), "checkpointing": (True, False), "bf16": (False, True), "both": (True, True)}
THEIRS = "theirs"


def learner_of(recipe: Recipe, *, checkpointing: bool) -> PEAC:
    """The recipe's learner, of pictures of one channel."""
    torch.manual_seed(0)
    learner = make_learner(recipe, Swin(**{**recipe.backbone_args, "checkpointing": checkpointing}))
    if not isinstance(learner, PEAC):
        raise SystemExit(f"{recipe.name} is no recipe of peac")
    return learner


def pictures(size: tuple[int, ...], num: int) -> list[np.ndarray]:
    """Smooth, grainy pictures in [0, 1], (1, *size)."""
    noises = (np.random.default_rng(number).normal(size=size).astype(np.float32) for number in range(num))
    return [(0.5 + gaussian_filter(noise, 6) * 4 + 0.03 * noise).clip(0, 1)[None] for noise in noises]


def batch_of(learner: PEAC, num: int) -> tuple[Batch, float]:
    """A batch of views, and the processor seconds that it took, compiling not counted."""
    images = pictures(learner.grid.size, num)
    for _ in range(2):
        begun = time.process_time()
        made = [learner.views({"image": image}, generator_for(0, k)) for k, image in enumerate(images)]
        batch = collate([{name: as_tensor(view) for name, view in views.items()} for views in made])
    return batch, time.process_time() - begun


def ours(learner: PEAC, batch: Batch, *, bf16: bool) -> Callable[[], None]:
    """A step of ours."""
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            total = learner(batch, 0.5)["total"]
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        learner.after_step(0.5)

    return step


def theirs(recipe: Recipe, learner: PEAC, batch: Batch, clone: Path) -> Callable[[], None]:
    """A step around the clone's encoder: four passes, both tasks of POPAR, and the local loss sample by sample."""
    sys.path.insert(0, str(clone))
    kind = importlib.import_module("swin_transformer").SwinTransformer
    grid, own = learner.grid, recipe.backbone_args
    sizes = {"embed_dim": own["embed"], "depths": list(own["depths"]), "num_heads": list(own["heads"])}
    encoder = kind(img_size=grid.view_size[0], patch_size=4, in_chans=3, window_size=own["window"], **sizes)
    tokens_of: dict[int, list[torch.Tensor]] = {}

    def keep(module: nn.Module, _: object, output: torch.Tensor) -> None:
        tokens_of.setdefault(id(module), []).append(output)

    width, cells = learner.backbone.channels[-1], int(np.prod(grid.cells))
    names = recipe.method_args
    student = nn.ModuleDict({
        "encoder": encoder, "order": nn.Linear(width, cells), "paint": nn.Linear(width, 3 * grid.cell**2),
        "whole": expander_of(width, names["expander"]), "local": expander_of(width, names.get("local_expander", 512)),
    })  # fmt: skip
    teacher = Teacher(student, 0.999)
    for network in (student, teacher.network):
        network["encoder"].norm.register_forward_hook(keep)  # type: ignore[index]
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4, momentum=0.9)
    views = [batch[name].expand(-1, 3, -1, -1) for name in ("deformed", "second")]

    def encode(network: nn.Module, view: torch.Tensor) -> torch.Tensor:
        tokens_of.clear()
        network["encoder"](view)  # type: ignore[index]
        return next(iter(tokens_of.values()))[0]

    def step() -> None:
        first, second = (encode(student, view) for view in views)
        with torch.no_grad():
            taught = [encode(teacher.network, view) for view in views]
            wholes = [unit(teacher.network["whole"](t.mean(1))) for t in taught]  # type: ignore[index]
            locals_ = [teacher.network["local"](t) for t in taught]  # type: ignore[index]
        total = functional.cross_entropy(student["order"](first).flatten(0, 1), batch["order"].flatten())
        total = total + student["paint"](first).square().mean()
        for seen, other in ((first, wholes[1]), (second, wholes[0])):
            total = total + 12.2 * (unit(student["whole"](seen.mean(1))) - other).square().sum(1).mean()
        for number, match in enumerate(batch["match"]):
            ones = torch.nonzero(match >= 0)[:, 0]
            near = student["local"](first[number])[ones] - locals_[1][number][match[ones]]
            far = student["local"](second[number])[match[ones]] - locals_[0][number][ones]
            total = total + 0.5 * (near.square().mean() + far.square().mean()) / len(first)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        teacher.follow(student, 0.5)

    return step


def measure(variant: str, recipe: Recipe, batch_size: int, steps: int, clone: Path | None) -> dict[str, float]:
    """Processor seconds a step, the median, and MiB at the peak beyond those before."""
    checkpointing, bf16 = VARIANTS.get(variant, (False, False))
    learner = learner_of(recipe, checkpointing=checkpointing)
    batch, viewing = batch_of(learner, batch_size)
    step = theirs(recipe, learner, batch, clone) if variant == THEIRS and clone else ours(learner, batch, bf16=bf16)
    before, seconds = peak_mib(), []
    for _ in range(steps + 1):
        begun = time.process_time()
        step()
        seconds.append(time.process_time() - begun)
    return {"step_s": statistics.median(seconds[1:]), "views_s": viewing, "memory_mib": peak_mib() - before}


def peak_mib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def every(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    """Each variant, measured in a process of its own."""
    for variant in [*VARIANTS, *([THEIRS] if arguments.theirs else [])]:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--only", variant], capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise SystemExit(f"{variant}: {done.stderr[-2000:]}")
        yield variant, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="small-peac")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--theirs", type=Path)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only:
        found = measure(
            arguments.only, find_recipe(arguments.recipe), arguments.batch, arguments.steps, arguments.theirs
        )
        print(json.dumps(found))
        return
    print("| step | processor s | of as built | peak MiB | of as built | views, s |\n|---|---:|---:|---:|---:|---:|")
    first: dict[str, float] = {}
    for variant, one in every(arguments):
        first = first or one
        time_share, memory_share = (one[name] / first[name] for name in ("step_s", "memory_mib"))
        print(f"| {variant} | {one['step_s']:.2f} | {time_share:.2f} | {one['memory_mib']:.0f} | {memory_share:.2f} | "
              f"{one['views_s']:.3f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
