"""POPAR, a system of the family that learns from chest X-rays without labels."""

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan

SWIN_B = {"embed": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32), "window": 7, "drop_path": 0.1}
UNITS = (1 / 0.252, -0.5056 / 0.252)  # to mean 0 and deviation 1 of the family's chest X-rays
PLAN = Plan(
    steps=400_000, batch_size=64, lr=3e-4, weight_decay=0.05, warmup_steps=6_000, validate_every=2_000, val_cubes=256
)


def popar() -> Recipe:
    """POPAR with a Swin-B at 448 x 448 pixels, 14 x 14 cells of 32; it needs a GPU.

    Source: Pang et al. 2022; batch and rate are ours, for AdamW.
    """
    return Recipe(
        name="popar",
        cubes=CubeSpec(size=(448, 448), intensity=BitDepth(), rule="anywhere"),
        backbone="swin",
        backbone_args={**SWIN_B, "units": UNITS},
        method="popar",
        method_args={"cell": 32},
        plan=PLAN,
    )
