"""Genesis Chest CT 2D, the 2D member of the family for slices of CT."""

from modelsgenesis.data.intensity import Window
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.recipe import Recipe
from modelsgenesis.training.plan import Plan


def chest_ct_2d() -> Recipe:
    """Restore crops of 224 x 224 voxels of slices, in the window of the 3D member, by a U-Net with a ResNet-18 encoder.

    Source: Zhou et al. 2021, the 2D ablation; counts and rates are those of the family's X-ray systems.
    """
    return Recipe(
        name="chest-ct-2d",
        cubes=CubeSpec(size=(224, 224), intensity=Window(-1000.0, 1000.0), rule="not_mostly_air"),
        backbone="resnet",
        backbone_args={"blocks": (2, 2, 2, 2), "dilated": False},
        method_args={"p_local_shuffling": 1.0, "flip_rate": 0.0},
        plan=Plan(
            steps=100_000, batch_size=32, lr=1e-3, warmup_steps=1000, validate_every=1000, val_cubes=256, patience=30
        ),
    )
