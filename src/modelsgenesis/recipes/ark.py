"""Ark, a system of the family that learns from the labels of many sets of chest X-rays at once."""

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.popar import SWIN_B
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan

UNITS = (1 / 0.226, -0.449 / 0.226)  # ImageNet's mean and deviation of greys, in which its Swin files were trained


def ark() -> Recipe:
    """Ark with a Swin-B at 224 x 224 pixels and a projection of 1376 channels; it needs a GPU, and sets, not a store.

    The published run has 200 rounds of the sets at a batch of 200: say so by --steps. Start --from ImageNet's weights,
    as it does.

    Source: Ma et al. 2023, Foundation Ark; the peak rate is ours, since the released schedule never reaches its own.
    """
    return Recipe(
        name="ark",
        cubes=CubeSpec(size=(224, 224), intensity=BitDepth(), rule="anywhere"),
        backbone="swin",
        backbone_args={**SWIN_B, "units": UNITS},
        method="ark",
        plan=Plan(
            steps=400_000, batch_size=200, accumulate=2, optimizer="sgd", lr=5e-3, weight_decay=0.0,
            warmup_steps=20_000, validate_every=None,
        ),
    )  # fmt: skip
