"""Scans of any kind: MRI, or CT whose window is not known."""

from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def any() -> Recipe:  # the recipe's name on the command line
    """Intensities by percentiles of each scan's foreground, cubes wherever there is something to see."""
    return Recipe(
        name="any",
        cubes=CubeSpec(size=(64, 64, 32), intensity=Percentiles(0.5, 99.5), rule="not_mostly_air"),
        backbone_args={"width": 32},
        plan=Plan(
            steps=100_000, batch_size=16, lr=1e-3, warmup_steps=1000, validate_every=1000, val_cubes=256, patience=30
        ),
    )
