"""Genesis Chest X-ray, the 2D member of the family for radiographs."""

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def chest_xray() -> Recipe:
    """Restore crops of 224 x 224 pixels by a U-Net with a ResNet-18 encoder; prepare with --longest-side 256 or so.

    The rates are the family's in 2D: every crop is shuffled, by 40 windows, and none is flipped.

    Source: Zhou et al. 2021, the 2D ablation; counts and rates are those of the family's X-ray systems.
    """
    return Recipe(
        name="chest-xray",
        cubes=CubeSpec(size=(224, 224), intensity=BitDepth(), rule="anywhere"),
        backbone="resnet",
        backbone_args={"blocks": (2, 2, 2, 2), "dilated": False},
        method_args={"p_local_shuffling": 1.0, "flip_rate": 0.0},
        plan=Plan(
            steps=100_000, batch_size=32, lr=1e-3, warmup_steps=1000, validate_every=1000, val_cubes=256, patience=30
        ),
    )
