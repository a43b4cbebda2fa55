"""Ark on laptops and in continuous integration."""

from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.recipes.small_popar import PLAN, SMALL_SWIN


def small_ark() -> Recipe:
    """Ark for two cores: 128 x 128 pixels, a projection of 128 channels, a teacher that follows after every step."""
    return Recipe(
        name="small-ark",
        cubes=CubeSpec(size=(128, 128), intensity=Percentiles(0.5, 99.5), rule="anywhere"),
        backbone="swin",
        backbone_args=SMALL_SWIN,
        method="ark",
        method_args={"projector": 128, "follows": "step", "momentum": 0.99},
        plan=PLAN,
    )
