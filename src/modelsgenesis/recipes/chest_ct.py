"""Genesis Chest CT with an optimiser that does not collapse."""

from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def chest_ct() -> Recipe:
    """The paper's cubes, deformations and network; AdamW with warm-up and a clipped gradient in place of SGD at rate 1.

    Source: Zhou et al. 2021, section 3; the authors' issue 25 reports the collapse of their optimiser's settings.
    """
    return Recipe(
        name="chest-ct",
        cubes=CubeSpec(size=(64, 64, 32), intensity=Window(-1000.0, 1000.0), rule="lung"),
        backbone_args={"width": 32, "norm": "batch", "up": "transposed"},
        plan=Plan(
            steps=100_000, batch_size=16, lr=1e-3, warmup_steps=1000, validate_every=1000, val_cubes=256, patience=30
        ),
    )
