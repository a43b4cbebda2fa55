"""POPAR on laptops and in continuous integration."""

from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.popar import UNITS
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan

SMALL_SWIN = {"embed": 32, "depths": (2, 2, 2), "heads": (2, 4, 8), "window": 8, "width": 32, "units": UNITS}
PLAN = Plan(steps=3000, batch_size=16, lr=1e-3, weight_decay=0.05, warmup_steps=150, validate_every=200)


def small_popar() -> Recipe:
    """POPAR for two cores: 8 x 8 cells of 16 pixels, a Swin of 0.7 million parameters, of pictures of 128 or more."""
    return Recipe(
        name="small-popar",
        cubes=CubeSpec(size=(128, 128), intensity=Percentiles(0.5, 99.5), rule="anywhere"),
        backbone="swin",
        backbone_args=SMALL_SWIN,
        method="popar",
        method_args={"cell": 16},
        plan=PLAN,
    )
