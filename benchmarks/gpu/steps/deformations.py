"""Step 2: cubes a second that the device deforms, and whether they are the CPU's.

The draws are made beforehand, as loader workers make them.
"""

import numpy as np
import torch
from benchmarks.gpu.measuring import Results, Settings, seconds

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Flip, apply_batch, genesis

CUBES_A_SECOND = 20_000  # of 64 x 64 x 32, by the recipe
SHARE = 0.5  # of the copy bandwidth, by the map
ARMS = ("all", "local_shuffling", "non_linear", "out_painting", "in_painting")


def check(results: Results, device: str, shape: tuple[int, ...], num: int) -> None:
    """Compare with the CPU: the map to 1e-6, all else bit for bit."""
    images = torch.from_numpy(np.random.default_rng(0).random((num, *shape), np.float32))
    laws = {arm: genesis(arm=arm) for arm in ARMS} | {"flip": Flip(p=0.9)}  # type: ignore[arg-type]
    for name, law in laws.items():
        draws = [law.draw(shape, generator_for(0, index)) for index in range(num)]
        alone = torch.stack([law.apply(image, drawn) for image, drawn in zip(images, draws, strict=True)])
        there = apply_batch(law, images.to(device), draws).cpu()
        most = 1e-6 if name in ("all", "non_linear") else 0.0
        results.add(f"{name}: greatest difference from the CPU", float((there - alone).abs().max()), most=most)


def time_arms(results: Results, device: str, shape: tuple[int, ...], num: int, goal: int | None) -> None:
    """Time a copy, every law and the recipe."""
    images = torch.rand(num, *shape, device=device)
    there = torch.empty_like(images)
    copying = seconds(lambda: there.copy_(images))
    size = " x ".join(map(str, shape[1:]))
    results.add(f"{size}: copy, batches of {num}", round(num / copying), "cubes/s")
    for arm in ARMS:
        for variant in ("exact", "tiled") if arm in ("all", "local_shuffling") else ("exact",):
            deformation = genesis(arm=arm, variant=variant)  # type: ignore[arg-type]
            draws = [deformation.draw(shape, generator_for(0, index)) for index in range(num)]
            taken = seconds(lambda d=deformation, w=draws: apply_batch(d, images, w))
            label = f"{size}: {arm}" + (", tiled" if variant == "tiled" else "")
            results.add(
                label, round(num / taken), "cubes/s", least=goal if arm == "all" and variant == "exact" else None
            )
            if arm == "non_linear":
                results.add(f"{label}, share of the copy bandwidth", round(copying / taken, 3), least=SHARE)


def main() -> None:
    """Check, then time."""
    settings = Settings.given()
    results, device, tiny = Results(settings, "deformations"), settings.device, settings.tiny
    cube, large = ((1, 32, 32, 16), (1, 40, 40, 40)) if tiny else ((1, 64, 64, 32), (1, 160, 160, 160))
    results.tried("equality", lambda: check(results, device, cube, 2 if tiny else 16))
    results.tried("small cubes", lambda: time_arms(results, device, cube, 2 if tiny else 256, CUBES_A_SECOND))
    results.tried("large cubes", lambda: time_arms(results, device, large, 1 if tiny else 8, None))


if __name__ == "__main__":
    main()
