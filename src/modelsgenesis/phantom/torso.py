"""A whole torso: the body is laid out, painted from the skin inwards, and then scanned."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.phantom.abdomen import paint_abdomen
from modelsgenesis.phantom.anatomy import Anatomy, Surfaces, lay
from modelsgenesis.phantom.bones import paint_bones
from modelsgenesis.phantom.canvas import AIR_HU, Canvas, smooth_noise
from modelsgenesis.phantom.chest import FAT_HU, Nodule, paint_chest

FIELD_MM = (352.0, 282.0, 288.0)
LEAST_SIDE = 16


@dataclass(frozen=True)
class Phantom:
    """A made-up scan and what was painted into it.

    Attributes:
        values: HU, int16 (1, X, Y, Z), LPS: x runs to the patient's left, y to posterior, z to superior.
        labels: uint8 (X, Y, Z); `LABELS` names them, 0 is the rest.
        spacing_mm: between voxels along x, y, z.
        nodules: where they are; centres in mm from the middle of the scan.
    """

    values: np.ndarray[Any, np.dtype[np.int16]]
    labels: np.ndarray[Any, np.dtype[np.uint8]]
    spacing_mm: tuple[float, float, float]
    nodules: tuple[Nodule, ...]


def torso(
    seed: int,
    size: tuple[int, int, int] = (160, 128, 96),
    spacing_mm: tuple[float, float, float] | None = None,
) -> Phantom:
    """Make the CT of a torso, from the shoulders to the kidneys.

    Args:
        seed: a body; the same seed gives the same build at every size, though not the same voxels.
        size: voxels along x, y, z; 160 x 128 x 96 takes about a second.
        spacing_mm: between voxels; by default what makes the size hold 352 x 282 x 288 mm, the whole torso.
    Raises:
        ShapeError: a side under 16 voxels, or a spacing that is not positive.
    Example: >>> torso(0).values.shape
    (1, 160, 128, 96)
    """
    spacing_mm = spacing_mm or (FIELD_MM[0] / size[0], FIELD_MM[1] / size[1], FIELD_MM[2] / size[2])
    if len(size) != 3 or min(size) < LEAST_SIDE or min(spacing_mm) <= 0:
        raise ShapeError(
            f"a torso needs three sides of at least {LEAST_SIDE} voxels and a positive spacing, got size {size} and "
            f"spacing_mm {spacing_mm}"
        )
    body = Anatomy.draw(generator_for(seed, 0, "phantom anatomy"))
    rng = generator_for(seed, 0, "phantom painting")
    canvas = blank(size, spacing_mm, rng)
    surfaces = lay(body, canvas, rng)
    paint_wall(body, canvas, surfaces, rng)
    paint_abdomen(body, canvas, surfaces, rng)
    nodules = paint_chest(body, canvas, surfaces, rng)
    paint_bones(body, canvas, surfaces, rng)
    paint_table(body, canvas)
    return Phantom(scan(canvas, surfaces, rng)[None], canvas.labels, spacing_mm, nodules)


def blank(size: tuple[int, int, int], spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> Canvas:
    """Make an empty canvas of air, whose coordinates are bent by a few mm."""
    origin = tuple(-0.5 * (n - 1) * step for n, step in zip(size, spacing_mm, strict=True))
    axes = [np.arange(n, dtype=np.float32) * step + o for n, step, o in zip(size, spacing_mm, origin, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    bend = [amount * smooth_noise(rng, size, spacing_mm, 75.0) for amount in (3.5, 3.0, 4.0)]
    bend[1] += 12 * (grid[2] / 120) ** 2 - 4  # the thoracic spine curves backwards
    x, y, z = (np.asarray(g + b, np.float32) for g, b in zip(grid, bend, strict=True))
    return Canvas(
        values=np.full(size, AIR_HU, np.float32),
        labels=np.zeros(size, np.uint8),
        place=(x, y, z),
        origin_mm=origin,  # type: ignore[arg-type]
        spacing_mm=spacing_mm,
    )


def paint_wall(body: Anatomy, canvas: Canvas, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Paint skin, the fat under it, and the muscles of the wall with the fat between them."""
    size, spacing = canvas.values.shape, canvas.spacing_mm
    canvas.paint(surfaces.skin, 20.0)
    canvas.paint(surfaces.skin + 2.0, -104 + 7 * smooth_noise(rng, size, spacing, 9.0))
    canvas.paint(surfaces.muscle, 54 + 5 * smooth_noise(rng, size, spacing, 9.0))
    between = np.minimum(surfaces.cage - 10, -surfaces.muscle - 2.5)  # outside the ribs, inside the outer layer
    uneven = smooth_noise(rng, size, spacing, 34.0)
    inner = np.abs(surfaces.cage - 14 + 8 * uneven) - 1.2
    outer = np.abs(surfaces.cage - 32 - 13 * uneven) - 1.6
    pockets = (0.8 - smooth_noise(rng, size, spacing, 28.0)) * 14
    canvas.paint(np.maximum(np.minimum(np.minimum(inner, outer), pockets), -between), FAT_HU + 12)


def paint_table(body: Anatomy, canvas: Canvas) -> None:
    """Paint the table's shell under the back, where the field of view reaches so far."""
    size = canvas.values.shape
    x = np.arange(size[0], dtype=np.float32)[:, None] * canvas.spacing_mm[0] + canvas.origin_mm[0]
    y = np.arange(size[1], dtype=np.float32)[None, :] * canvas.spacing_mm[1] + canvas.origin_mm[1]
    below = y - (body.half_depth_mm + 9 - (x / 42) ** 2)
    off = np.minimum(np.abs(below), np.abs(below - 13))
    share = np.clip(1.1 - off / canvas.edge_mm, 0, 1)
    table = AIR_HU + 620 * share[:, :, None]
    np.maximum(canvas.values, table, out=canvas.values)


def scan(canvas: Canvas, surfaces: Surfaces, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Scan the body: blur of the beam and of the slice, then noise that is strongest deep inside."""
    sharp = rng.uniform(0.35, 0.55)
    thick = rng.uniform(0.35, 0.75)
    values = ndimage.gaussian_filter(canvas.values, (sharp, sharp, thick), truncate=3.0)
    grain = ndimage.gaussian_filter1d(rng.standard_normal(values.shape, dtype=np.float32), 0.6, axis=0, truncate=2.5)
    grain = ndimage.gaussian_filter1d(grain, 0.6, axis=1, truncate=2.5)
    depth = np.clip(-surfaces.skin, 0, 90)
    values += rng.uniform(12, 34) * (0.55 + depth / 90) * grain
    counted: np.ndarray[Any, np.dtype[np.int16]] = np.clip(np.rint(values), -1024, 3071).astype(np.int16)
    return counted
