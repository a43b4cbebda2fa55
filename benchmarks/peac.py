"""What a step of PEAC costs, four passes of the encoder: processor seconds and peak memory, as built and with options.

Run: python benchmarks/peac.py [--recipe small-peac] [--batch 16] [--steps 5] [--theirs CLONE]
Views of made-up pictures are made beforehand and timed apart, then each variant takes its steps in a process of its
own: as built, with activation checkpointing, with bf16, with both. Memory is the process's peak, less what it held
before there was a network. With --theirs, a folder with a clone of the authors' PEAC (it imports timm and einops), also
a step of the clone's own loop and model, which has the sizes of the recipe `peac` alone; nothing of it is copied.
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
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from modelsgenesis.core.learner import Batch
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.stream import as_tensor, collate
from modelsgenesis.methods.peac import PEAC
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


def theirs(batch: Batch, clone: Path) -> Callable[[], None]:
    """A step of the clone's own training loop with its own model, of which only the loading is left out.

    The loop is made for CUDA; here what it moves there stays where it is. What it imports and a step does not need is
    left empty.
    """
    sys.path.insert(0, str(clone))
    for name in ("config", "datasets", "timm.utils", "torch.utils.tensorboard", "utils.build_loader_global_local",
                 "utils.config", "utils.utils_pec"):  # fmt: skip
        sys.modules[name] = MagicMock()
    sys.modules["utils.utils_pec"].AverageMeter = Meter  # type: ignore[attr-defined]
    script = importlib.import_module("global_local_popar_swin")
    torch.Tensor.cuda = lambda tensor, **_: tensor  # type: ignore[assignment, method-assign, misc]
    torch.cuda.synchronize = lambda *_: None  # type: ignore[assignment]
    sizes = SimpleNamespace(MODEL=SimpleNamespace(MLP="8192-8192-8192", MLPLOCAL="512-512-512"))
    student, teacher = nn.DataParallel(script.PEC_Model(sizes)), script.PEC_Model(sizes).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4, momentum=0.9)
    pictures = [batch[name].expand(-1, 3, -1, -1).contiguous() for name in ("deformed", "second", "original")]
    rows = torch.arange(batch["match"].shape[1]).expand(len(batch["match"]), -1)
    here = batch["match"] >= 0
    there = torch.zeros_like(here)
    there[here.nonzero()[:, 0], batch["match"][here]] = True
    views = (*pictures, rows, rows, here, there, torch.zeros(len(rows), dtype=torch.long))

    def update(loss: torch.Tensor, optimizer: torch.optim.Optimizer, **_: object) -> None:
        loss.backward()
        optimizer.step()

    def step() -> None:
        # the loop makes new pictures of these, hence the copies
        loader = [tuple(view.clone() for view in views)]
        script.train(loader, student, teacher, [0.999], optimizer, 0, update, sizes, MagicMock(), MagicMock())

    return step


class Meter:
    """The mean of what a loop reports, as the authors' loop asks for it."""

    def __init__(self) -> None:
        self.val = self.avg = 0.0

    def update(self, value: float, num: int = 1) -> None:
        """Only the last value is kept: there is one step."""
        self.val = self.avg = value


def measure(variant: str, recipe: Recipe, batch_size: int, steps: int, clone: Path | None) -> dict[str, float]:
    """Processor seconds a step, the median, and MiB at the peak beyond those before."""
    checkpointing, bf16 = VARIANTS.get(variant, (False, False))
    before, seconds = peak_mib(), []
    learner = learner_of(recipe, checkpointing=checkpointing)
    batch, viewing = batch_of(learner, batch_size)
    if variant == THEIRS and clone:
        del learner
        step = theirs(batch, clone)
    else:
        step = ours(learner, batch, bf16=bf16)
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
