"""PEAC on laptops and in continuous integration."""

from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.recipes.small_popar import PLAN, SMALL_SWIN


def small_peac() -> Recipe:
    """PEAC for two cores: views of 8 x 8 cells of 16 pixels out of 10 x 10, of pictures of 160 or more."""
    return Recipe(
        name="small-peac",
        cubes=CubeSpec(size=(160, 160), intensity=Percentiles(0.5, 99.5), rule="anywhere"),
        backbone="swin",
        backbone_args=SMALL_SWIN,
        method="peac",
        method_args={"cell": 16, "spare": 2, "expander": 256, "local_expander": 128, "momentum": 0.99},
        plan=PLAN,
    )
