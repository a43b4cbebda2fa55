"""Views of a whole image for learning from its label: a crop that is turned and re-lit, and the image as it is."""

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[Any]

AREA = (0.08, 1.0)  # share of the image that a crop shows
RATIO = (3 / 4, 4 / 3)  # between the sides of a crop, as shares of the image's
P_WARP, SHIFT, SCALE, DEGREES = 0.5, 0.0625, 0.1, 10.0
LIGHT, GAMMA = 0.2, (0.8, 1.2)


def random_crop(size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw where a crop lies: (axes, axes + 1), from places in the view to places in the image, both from -1 to 1.

    Args:
        size: of the image, whose proportions the turn needs.
        rng: the sample's own generator.
    Source: Ma et al. 2023: a random resized crop, then half the time a shift, a scale and a turn.
    """
    axes = len(size)
    ratios = np.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1]), axes - 1) / 2)
    sides = np.append(ratios, 1 / ratios.prod()) * rng.uniform(*AREA) ** (1 / axes)
    sides = np.minimum(sides, 1.0)
    middle = rng.uniform(-1, 1, axes) * (1 - sides)
    matrix, moved = np.diag(sides), middle
    warped, shift, scale = rng.random() < P_WARP, rng.uniform(-SHIFT, SHIFT, axes), 1 + rng.uniform(-SCALE, SCALE)
    angles = np.radians(rng.uniform(-DEGREES, DEGREES, axes * (axes - 1) // 2))
    if warped:
        units = sides * np.array(size)  # a turn is one where all axes are in the same units
        turn = _turn(angles, axes)
        matrix = (turn * units) / np.array(size)[:, None] * scale
        moved = middle + 2 * shift * sides
    return np.concatenate([matrix, moved[:, None]], axis=1).astype(np.float32)


def _turn(angles: Array, axes: int) -> Array:
    """A turn in each plane of two axes, one after the other."""
    turn, planes = np.eye(axes), [(a, b) for a in range(axes) for b in range(a + 1, axes)]
    for angle, (a, b) in zip(angles, planes, strict=True):
        one = np.eye(axes)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    return turn


def resampled(
    image: Array, place: Array, size: tuple[int, ...], *, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Array:
    """The view of an image at a place, (C, *size); beyond its borders the image is mirrored.

    Args:
        image: float32 (C, *space).
        place: of the view, as `random_crop` draws it.
        size: of the view.
        mode: how voxels between voxels are made.
    """
    return _sampled(image, place, size, mode, "reflection")


def whole_view(image: Array, size: tuple[int, ...]) -> Array:
    """The whole image, shrunk or enlarged until it just fits, its proportions kept; 0 beside it: (C, *size)."""
    space = np.array(image.shape[1:])
    if tuple(space) == size:
        return np.ascontiguousarray(image)
    step = (space / np.array(size)).max()
    place = np.diag(step * np.array(size) / space)
    return _sampled(image, np.pad(place, ((0, 0), (0, 1))), size, "bilinear", "zeros")


def _sampled(image: Array, place: Array, size: tuple[int, ...], mode: str, padding: str) -> Array:
    axes = len(size)
    # torch counts axes from the last, we from the first.
    turned = np.concatenate([place[::-1, :axes][:, ::-1], place[::-1, axes:]], axis=1)
    theta = torch.from_numpy(np.ascontiguousarray(turned, np.float32))[None]
    grid = functional.affine_grid(theta, [1, 1, *size], align_corners=False)
    found: Tensor = functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(image))[None], grid, mode=mode, padding_mode=padding, align_corners=False
    )
    view: Array = found[0].numpy()
    return view


def photometric(image: Array, rng: np.random.Generator) -> Array:
    """Make an image in [0, 1] brighter or darker and its contrast another, or bend its greys by a gamma."""
    if rng.random() < 0.5:
        contrast, brightness = 1 + rng.uniform(-LIGHT, LIGHT), rng.uniform(-LIGHT, LIGHT)
        changed: Array = (image - image.mean()) * np.float32(contrast) + image.mean() + np.float32(brightness)
    else:
        changed = np.clip(image, 0, 1) ** np.float32(rng.uniform(*GAMMA))
    lit: Array = np.clip(changed, 0, 1).astype(np.float32)
    return lit
