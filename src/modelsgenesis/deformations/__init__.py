"""Pixel-level deformations: they change what a voxel shows, never where it is."""

from typing import TYPE_CHECKING, Any

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.deformations.base.gallery import gallery
from modelsgenesis.deformations.base.pixel_level import check_pixel_level
from modelsgenesis.deformations.base.pixelwise import PixelDeformation
from modelsgenesis.deformations.base.value_range import Percentiles
from modelsgenesis.deformations.bias_field import BiasField
from modelsgenesis.deformations.block_mask import BlockMask
from modelsgenesis.deformations.blur import Blur
from modelsgenesis.deformations.compose import Compose, OneOf, Sometimes
from modelsgenesis.deformations.flip import Flip
from modelsgenesis.deformations.gamma import Gamma
from modelsgenesis.deformations.genesis import Arm, Genesis
from modelsgenesis.deformations.gibbs import Gibbs
from modelsgenesis.deformations.in_painting import InPainting
from modelsgenesis.deformations.local_shuffling import LocalShuffling
from modelsgenesis.deformations.low_dose import LowDose
from modelsgenesis.deformations.motion import Motion
from modelsgenesis.deformations.noise import Noise
from modelsgenesis.deformations.non_linear import NonLinear
from modelsgenesis.deformations.out_painting import OutPainting
from modelsgenesis.deformations.patch_swap import PatchSwap
from modelsgenesis.deformations.slice_thickness import SliceThickness

if TYPE_CHECKING:
    from modelsgenesis.deformations.base.batch import apply_batch

genesis = Genesis  # a recipe is called like a function: genesis(arm="none")

__all__ = [
    "Arm",
    "BiasField",
    "BlockMask",
    "Blur",
    "Compose",
    "Deformation",
    "Flip",
    "Gamma",
    "Genesis",
    "Gibbs",
    "InPainting",
    "LocalShuffling",
    "LowDose",
    "Motion",
    "Noise",
    "NonLinear",
    "OneOf",
    "OutPainting",
    "PatchSwap",
    "Percentiles",
    "PixelDeformation",
    "SliceThickness",
    "Sometimes",
    "apply_batch",
    "check_pixel_level",
    "gallery",
    "genesis",
]


def __getattr__(name: str) -> Any:
    """Import `apply_batch`, and torch with it, when first used."""
    if name != "apply_batch":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from modelsgenesis.deformations.base.batch import apply_batch

    return apply_batch
