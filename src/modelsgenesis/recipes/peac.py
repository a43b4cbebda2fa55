"""PEAC, a system of the family that learns the anatomy of chest X-rays without labels."""

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.sampling.cubes import CubeSpec
from modelsgenesis.recipes.popar import PLAN, SWIN_B, UNITS
from modelsgenesis.recipes.recipe import Recipe


def peac() -> Recipe:
    """PEAC with a Swin-B: views of 14 x 14 cells of 32 pixels out of 18 x 18; it needs a GPU.

    Pictures need 576 pixels along both sides: prepare with --longest-side 768 or so. The expander of whole views is the
    published one; 2048 channels do in place of 8192 where memory is short.

    Source: Zhou et al. 2023; batch and rate are ours, for AdamW.
    """
    return Recipe(
        name="peac",
        cubes=CubeSpec(size=(576, 576), intensity=BitDepth(), rule="anywhere"),
        backbone="swin",
        backbone_args={**SWIN_B, "units": UNITS},
        method="peac",
        method_args={"cell": 32, "spare": 4, "expander": 8192},
        plan=PLAN,
    )
