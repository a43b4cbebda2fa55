"""A network for pictures and slices of any kind, on laptops and in continuous integration."""

from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def small_2d() -> Recipe:
    """Models Genesis in 2D: crops of 96 x 96 pixels, a U-Net of half a million parameters, minutes on two cores."""
    return Recipe(
        name="small-2d",
        cubes=CubeSpec(size=(96, 96), intensity=Percentiles(0.5, 99.5), rule="anywhere"),
        backbone_args={"width": 8},
        method_args={"p_local_shuffling": 1.0, "flip_rate": 0.0},
        plan=Plan(steps=3000, batch_size=32, lr=2e-3, warmup_steps=100, validate_every=200, val_cubes=64),
    )
