"""A body that every cube shows from the same side: what pretext tasks about places and turns can be learned on."""

from typing import Any

import numpy as np
import torch

from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.stream import as_tensor, collate

Array = np.ndarray[Any, Any]


def body(size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Brighter and brighter along every axis, each at its own pace, under some noise: (1, *size) in [0, 1]."""
    ramps = np.meshgrid(*(np.linspace(0, 1, side) for side in size), indexing="ij")
    image = sum(weight * ramp for weight, ramp in zip((0.55, 0.25, 0.1), ramps, strict=False))
    return np.clip(image + 0.02 * rng.standard_normal(size), 0, 1).astype(np.float32)[None]


def views_of(learner: Learner, size: tuple[int, ...], first: int, num: int) -> Batch:
    """Views of some bodies."""
    made = []
    for index in range(first, first + num):
        rng = generator_for(0, index, "toy")
        made.append({n: as_tensor(v) for n, v in learner.views({"image": body(size, rng)}, rng).items()})
    return collate(made)


def trained(learner: Learner, size: tuple[int, ...], *, steps: int, lr: float = 5e-3) -> dict[str, float]:
    """Teach for some steps of 16 bodies, each seen once; the figures over 128 others."""
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * min(1.0, 2 - 2 * step / steps)
        learner(views_of(learner, size, 16 * step, 16), step / steps)["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
    learner.eval()
    with torch.no_grad():
        parts = learner(views_of(learner, size, 1_000_000, 128), 1.0)
    return {name: float(part) for name, part in parts.items()}
