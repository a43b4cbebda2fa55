"""Where a training step goes: convolutions, the rest of the network, the loss, augmentation, loading, Python.

Run: python benchmarks/step_profile.py [--steps 8] [--only pretrain-small]
Trains for a few steps on made-up torsos, on one thread, without loader workers, so that everything is seen, and prints
each kind of work's share of the time as torch's profiler saw it: of operations by their names, and of what is no
operation of torch, such as Numba's loops, Blosc2 and Python, by the part of the step that it happens in.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile, record_function

import modelsgenesis as mg
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.single_process import Alone
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.patches import PatchSampler
from modelsgenesis.data.sampling.stream import CubeStream
from modelsgenesis.nets.unet3d import UNet3D
from modelsgenesis.phantom import write_phantoms
from modelsgenesis.training.loop import Training
from modelsgenesis.training.optimizers import AdamW

WARM = 3  # steps before the profiler looks
CONVOLUTIONS = ("conv", "mkldnn_conv")
KINDS = ("convolution", "network", "loss", "backward", "augmentation", "loading", "optimiser", "step")
WORDS = {
    "convolution": "convolutions, forward and backward",
    "network": "the rest of the network, forward",
    "loss": "the loss, forward",
    "backward": "the rest of the network and the loss, backward",
    "augmentation": "augmentation, or deformation",
    "loading": "loading",
    "optimiser": "the optimiser",
    "step": "the loop, and Python between",
}
RANGES: tuple[tuple[type, str, str], ...] = (
    (Training, "_step", "step"),
    (CubeSampler, "sample", "loading"),
    (PatchSampler, "sample", "loading"),
    (CubeStream, "sample", "augmentation"),
    (Learner, "__call__", "loss"),
    (UNet3D, "forward", "network"),
    (Alone, "backward", "backward"),
    (AdamW, "step", "optimiser"),
)


def ranged(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method whose time is noted under a name."""

    def noted(*arguments: Any, **named: Any) -> Any:
        with record_function(f"of {name}"):
            return method(*arguments, **named)

    return noted


@contextmanager
def watched(steps: int) -> Iterator[Any]:
    """Note the parts of all training steps in this process, and profile those after the first ones."""
    profiler = profile(activities=[ProfilerActivity.CPU])
    count = 0
    step = Training._step

    def counted(self: Training, batches: Any) -> None:
        nonlocal count
        if count == WARM:
            profiler.start()
        step(self, batches)
        count += 1
        if count == WARM + steps:
            profiler.stop()

    with ExitStack() as patches:
        for kind, name, called in RANGES[1:]:
            patches.enter_context(mock.patch.object(kind, name, ranged(getattr(kind, name), called)))
        patches.enter_context(mock.patch.object(Training, "_step", ranged(counted, "step")))
        yield profiler


def shares(profiler: Any) -> Counter[str]:
    """The time of each kind, in microseconds."""
    found: Counter[str] = Counter()
    for event in profiler.events():
        within = [name.removeprefix("of ") for name in names_above(event) if name.startswith("of ")]
        if "step" in within:  # and no validation
            is_convolution = any(part in event.name for part in CONVOLUTIONS)
            found["convolution" if is_convolution else within[0]] += event.self_cpu_time_total
    return found


def names_above(event: Any) -> Iterator[str]:
    """The names of an event and of those that it happened in, the innermost first."""
    while event is not None:
        yield event.name
        event = event.cpu_parent


def pretraining(recipe: str, **options: Any) -> Callable[[Path, int], None]:
    """A pre-training by a recipe."""

    def run(folder: Path, steps: int) -> None:
        store = mg.prepare(folder / "data" / "scans", folder / "store", workers=0, quiet=True)
        mg.pretrain(
            recipe, store, folder / f"run-{recipe}", steps=steps, validate_every=steps, val_cubes=1, workers=0,
            accelerator="cpu", **options,
        )  # fmt: skip

    return run


def finetuning(batch_size: int) -> Callable[[Path, int], None]:
    """A fine-tuning of the torsos' labels."""

    def run(folder: Path, steps: int) -> None:
        write_images(folder)
        mg.finetune(
            folder / "task", folder / f"tuned-{batch_size}", like="small", steps=steps, batch_size=batch_size, val=1,
            workers=0, accelerator="cpu", modality="CT",
        )  # fmt: skip

    return run


def write_images(folder: Path) -> None:
    """The torsos as labelled cases."""
    task = folder / "task"
    if not task.exists():
        task.mkdir()
        (task / "images").symlink_to(folder / "data" / "scans")
        (task / "labels").symlink_to(folder / "data" / "labels")


CASES: dict[str, Callable[[Path, int], None]] = {
    "pretrain-small": pretraining("small"),
    "pretrain-chest-ct": pretraining("chest-ct", batch_size=1),
    "finetune-2": finetuning(2),
    "finetune-16": finetuning(16),
}


def main() -> None:
    """Profile each case, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(folder / "data", 4, size=(128, 96, 96), with_labels=True)
        for case in options.only:
            with watched(options.steps) as profiler:
                CASES[case](folder, WARM + options.steps)
            found[case] = shares(profiler)
    print("| of a step's time, % | " + " | ".join(found) + " |")
    print("|---|" + "---:|" * len(found))
    for kind in KINDS:
        cells = [f"{100 * each[kind] / each.total():.1f}" for each in found.values()]
        print(f"| {WORDS[kind]} | {' | '.join(cells)} |")
    print("| ms a step | " + " | ".join(f"{each.total() / options.steps / 1000:.0f}" for each in found.values()) + " |")


if __name__ == "__main__":
    main()
