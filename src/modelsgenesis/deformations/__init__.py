"""Pixel-level deformations: they change what a voxel shows, never where it is."""

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.deformations._pixelwise import PixelDeformation
from modelsgenesis.deformations._range import Percentiles
from modelsgenesis.deformations.compose import Compose, OneOf, Sometimes
from modelsgenesis.deformations.flip import Flip
from modelsgenesis.deformations.genesis import Arm, Genesis, genesis
from modelsgenesis.deformations.in_painting import InPainting
from modelsgenesis.deformations.local_shuffling import LocalShuffling
from modelsgenesis.deformations.non_linear import NonLinear
from modelsgenesis.deformations.out_painting import OutPainting

__all__ = [
    "Arm",
    "Compose",
    "Deformation",
    "Flip",
    "Genesis",
    "InPainting",
    "LocalShuffling",
    "NonLinear",
    "OneOf",
    "OutPainting",
    "Percentiles",
    "PixelDeformation",
    "Sometimes",
    "genesis",
]
