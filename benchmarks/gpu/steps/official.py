"""Step 4: the authors' network and pair generator, run as they are, against ours on the same cubes."""

import random
import types
from typing import Any

import numpy as np
import torch
from benchmarks.deformations import official_code
from benchmarks.gpu.measuring import Results, Settings, recipe_for, seconds, store

import modelsgenesis as mg
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.store.store import Store
from modelsgenesis.training.logger import read_log

GOAL = 20  # times their cubes a second
RATES = {
    "flip_rate": 0.4,
    "local_rate": 0.5,
    "nonlinear_rate": 0.9,
    "paint_rate": 0.9,
    "outpaint_rate": 0.8,
    "inpaint_rate": 0.2,
}


def theirs(settings: Settings, cubes: np.ndarray, batch: int) -> float:
    """Cubes a second of their generator and their network with their optimiser, as their script puts them together."""
    code = official_code(settings.official)  # type: ignore[arg-type]
    import unet3d  # type: ignore[import-not-found]  # beside it

    random.seed(0)
    np.random.seed(0)
    pairs = code.generate_pair(cubes, batch, types.SimpleNamespace(save_samples=None, **RATES))
    network = unet3d.UNet3D().to(settings.device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9)
    loss = torch.nn.MSELoss()

    def step() -> None:
        deformed, original = (torch.from_numpy(part).float().to(settings.device) for part in next(pairs))
        error = loss(network(deformed), original)  # a sigmoid is its last layer
        optimizer.zero_grad()
        torch.autograd.backward(error)
        optimizer.step()

    return batch / seconds(step, repeats=1 if settings.tiny else 7, warm=1)


def ours(settings: Settings) -> float:
    """Cubes a second of chest-ct from the store."""
    steps, into = (2 if settings.tiny else 60), settings.work / "lines" / "beside-official"
    mg.pretrain(
        recipe_for(settings, "chest-ct"), store(settings, "chest"), into, steps=steps, validate_every=steps,
        val_cubes=2, batch_size=2 if settings.tiny else 32, workers=1 if settings.tiny else 14,
        accelerator=settings.accelerator,
    )  # fmt: skip
    return float(read_log(into / "log.csv")[-1]["cubes_per_s"])


def main() -> None:
    """Both, and the ratio."""
    settings = Settings.given()
    results = Results(settings, "official")
    if settings.official is None or not settings.official.is_dir():
        results.add("the authors' code", "left out: no clone was carried (pack.sh --official FOLDER)")
        return
    spec = recipe_for(settings, "chest-ct").cubes
    sampler = CubeSampler(Store.open(store(settings, "chest")), spec)
    cubes = np.stack([sampler.sample(generator_for(0, k)).image for k in range(8)]).astype(np.float64)
    rates: dict[str, Any] = {}
    batch = 2 if settings.tiny else 6  # theirs
    for name, measure in (("authors'", lambda: theirs(settings, cubes, batch)), ("ours", lambda: ours(settings))):
        rates[name] = measure()
        results.add(f"{name}: cubes a second, from cubes to optimiser step", round(rates[name], 2), "cubes/s")
    results.add("ratio", round(rates["ours"] / rates["authors'"], 1), least=GOAL)


if __name__ == "__main__":
    main()
