"""A run on made-up cubes, small enough to train in a second."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from modelsgenesis.core.device import make_fabric
from modelsgenesis.core.learner import Batch
from modelsgenesis.data.sampling.cubes import Cube
from modelsgenesis.data.sampling.stream import CubeStream, Range, load_batches
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D
from modelsgenesis.training.loop import Materials, Training
from modelsgenesis.training.plan import Plan


class Waves:
    """Cubes of smooth waves in [0, 1], another each time."""

    def sample(self, rng: np.random.Generator) -> Cube:
        """One cube of 16 voxels a side."""
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 16)] * 3, indexing="ij"))
        wave = np.sin(np.tensordot(rng.uniform(-6, 6, 3), grid, axes=1) + rng.uniform(0, 6))
        return Cube(image=(0.5 + 0.5 * wave[None]).astype(np.float32), scan=None, lower=(0, 0, 0))  # type: ignore[arg-type]


def make_training(
    into: Path,
    plan: Plan,
    *,
    norm: str = "batch",
    devices: int = 1,
    learner: Genesis | None = None,
    waves: Waves | None = None,
    console: Console | None = None,
) -> Training:
    """A run of a tiny network on waves, ready to start or to go on."""
    torch.manual_seed(0)
    learner = learner or Genesis(UNet3D(width=2, norm=norm))  # type: ignore[arg-type]
    fabric = make_fabric(plan.precision, accelerator="cpu", devices=devices)
    fabric.launch()
    share, rank, world = plan.share(fabric.world_size), fabric.global_rank, fabric.world_size
    streams = [CubeStream(waves or Waves(), learner.views, seed=0, name=name) for name in ("train", "validation")]

    def training(first: int, passes: int) -> Iterator[Batch]:
        return iter(load_batches(streams[0], Range(first, passes, share, rank, world), workers=plan.workers or 0))

    def validation() -> Iterator[Batch]:
        return iter(load_batches(streams[1], [[0, 1, 2, 3], [4, 5, 6, 7]][rank::world]))

    def keep_best(step: int, figures: dict[str, float]) -> None:
        torch.save({"step": step, **figures}, into / "best.pt")

    materials = Materials(training, validation, keep_best, lambda step: None)
    return Training(learner, plan, materials, into, fabric=fabric, seed=0, console=console or Console(quiet=True))


def weights(training: Training) -> torch.Tensor:
    """All parameters and buffers as one row."""
    return torch.cat([tensor.detach().double().flatten() for tensor in training.learner.state_dict().values()])
