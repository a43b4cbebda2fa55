"""How many cubes a second a device deforms, and what part of its copy bandwidth the non-linear map reaches.

    python benchmarks/deformations_device.py [--device cuda] [--batch 64]

The draws are made beforehand, as loader workers make them. Targets on an H200-class GPU: 20,000 cubes of 64x64x32 a
second by the recipe, and half of the copy bandwidth by the map.
"""

import argparse
import time
from collections.abc import Callable

import torch

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import apply_batch, genesis

SHAPE = (1, 64, 64, 32)


def seconds(action: Callable[[], object], device: str, repeats: int = 10) -> float:
    """Least time of some repeats, all work on the device done."""
    times = []
    for _ in range(repeats + 2):
        begin = time.perf_counter()
        action()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times[2:])


def main() -> None:
    """Measure each arm and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    images = torch.rand(given.batch, *SHAPE, device=given.device)
    copying = seconds(lambda: images.clone(), given.device)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    print(f"# Deformations on {name}, batches of {given.batch} cubes of {SHAPE}\n")
    print("| what | cubes/s | part of the copy bandwidth |\n|---|---:|---:|")
    print(f"| copy | {given.batch / copying:,.0f} | 1 |")
    for arm in ("all", "local_shuffling", "non_linear", "out_painting", "in_painting"):
        for law in ("exact", "tiled") if arm in ("all", "local_shuffling") else ("exact",):
            deformation = genesis(arm=arm, variant=law)  # type: ignore[arg-type]
            draws = [deformation.draw(SHAPE, generator_for(0, index)) for index in range(given.batch)]
            taken = seconds(lambda d=deformation, w=draws: apply_batch(d, images, w), given.device)
            label = arm if law == "exact" else f"{arm}, tiled"
            print(f"| {label} | {given.batch / taken:,.0f} | {copying / taken:.2f} |")


if __name__ == "__main__":
    main()
