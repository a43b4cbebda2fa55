"""The check that refuses what moves content."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations import Deformation, LocalShuffling, PatchSwap, check_pixel_level, genesis


@dataclass(frozen=True)
class Fixed(Deformation):
    """A deformation that does the same to every image."""

    function: Callable[[Any], Any]

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Nothing is drawn."""

    def apply(self, image: Any, drawn: None) -> Any:
        """Do it."""
        return self.function(image)


def warp(image: np.ndarray) -> np.ndarray:
    """An elastic warp by some voxels."""
    coarse = np.random.default_rng(0).standard_normal((3, 5, 5, 5))
    field = np.stack([ndimage.zoom(axis, 32 / 5, order=3) * 2 for axis in coarse])
    return np.stack([ndimage.map_coordinates(c, np.indices(c.shape) + field, order=1) for c in image])


def zoom(image: np.ndarray) -> np.ndarray:
    """Larger by a quarter."""
    return np.stack([ndimage.affine_transform(c, np.full(3, 0.8), offset=3.2, order=1) for c in image])


SPATIAL = {
    "flip": lambda image: image[:, ::-1].copy(),
    "one voxel along Y": lambda image: np.roll(image, 1, 2),
    "quarter turn": lambda image: np.rot90(image, 1, (1, 2)).copy(),
    "rotation": lambda image: ndimage.rotate(image, 20, (1, 2), reshape=False, order=1),
    "zoom": zoom,
    "elastic warp": warp,
}


@pytest.mark.parametrize("name", SPATIAL)
def test_a_spatial_transform_is_refused_with_an_explanation(name: str) -> None:
    """The message says what went where, why that is wrong, and what to do instead."""
    with pytest.raises(GenesisError, match=r"moves content: .* turned up at .*target alike instead"):
        check_pixel_level(Fixed(SPATIAL[name]))


@pytest.mark.parametrize(
    "deformation",
    [
        Fixed(lambda image: 1 - image),
        Fixed(np.zeros_like),
        LocalShuffling(range=(-1000.0, 1000.0)),
        LocalShuffling(variant="tiled"),
        PatchSwap(num_swaps=5),
        *(genesis(p_local_shuffling=1, variant=law) for law in ("exact", "tiled")),
    ],
    ids=["added", "zeros", "shuffling", "tiled", "swap", "genesis", "genesis-tiled"],
)
def test_a_pixel_level_one_passes(deformation: Deformation) -> None:
    """Shuffling scatters and swapping moves a little, but the image stays where it is."""
    check_pixel_level(deformation)


def test_2d_is_checked_in_2d() -> None:
    """With a 2D shape a 2D flip is found out."""
    with pytest.raises(GenesisError, match="moves content"):
        check_pixel_level(Fixed(lambda image: image[:, :, ::-1].copy()), (1, 48, 48))
    check_pixel_level(genesis(), (1, 48, 48))
