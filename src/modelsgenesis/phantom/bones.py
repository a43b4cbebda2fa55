"""Spine, ribs, breastbone and shoulder girdle: a hard shell around spongy bone."""

from typing import Any

import numpy as np

from modelsgenesis.phantom.anatomy import LABEL_OF, Anatomy, Surfaces, cage_at
from modelsgenesis.phantom.canvas import Array, Canvas
from modelsgenesis.phantom.shapes import both, either, oval, path, slab

CORTEX_HU = 620.0
CARTILAGE_HU = 105.0
PITCH_MM = 23.5  # from one vertebra to the next
FIRST_MM = 112.0  # height of the first thoracic vertebra


def paint_bones(body: Anatomy, canvas: Canvas, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Paint the skeleton of the trunk."""
    paint_shoulders(body, canvas, surfaces)
    paint_ribs(body, canvas, rng)
    paint_sternum(body, canvas)
    paint_spine(body, canvas, rng)


def paint_tubes(canvas: Canvas, segments: Array, shell_mm: float, spongy_hu: float, label: str) -> None:
    """Paint tubes of bone."""
    inner = segments.copy()
    inner[:, 6:] = np.maximum(inner[:, 6:] - shell_mm, 0.3)
    canvas.tubes(segments, CORTEX_HU, LABEL_OF[label])
    canvas.tubes(inner, spongy_hu)


def paint_spine(body: Anatomy, canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint vertebral bodies with discs between them, the canal, and the processes."""
    y0 = body.spine_y_mm
    reach = (40.0, 50.0)
    box = canvas.box((-reach[0], y0 - 24, -400), (reach[0], y0 + reach[1], 400))
    x, y, z = canvas.at(box)
    phase = (z - FIRST_MM) / PITCH_MM
    up = (phase - np.rint(phase)) * PITCH_MM  # from the middle of the nearest vertebra
    waist = 1 - 0.1 * np.cos(np.clip(up / 9.5, -1, 1) * np.pi / 2)
    grow = 1 - 0.0013 * z  # vertebrae grow downwards
    column = oval(x, y - np.float32(y0), 17.5 * grow * waist, 14.0 * grow * waist)
    vertebra = both(column, slab(up, 9.6))
    canvas.paint(column, 85.0, LABEL_OF["spine"], box)  # discs
    canvas.paint(vertebra, CORTEX_HU - 180, LABEL_OF["spine"], box)
    spongy = body.bone_hu + 30 * rng.standard_normal(x.shape, dtype=np.float32)
    canvas.paint(vertebra + 2.2, spongy, None, box)
    paint_arches(body, canvas, grow_range=(0.85, 1.18))
    canal = oval(x, y - np.float32(y0 + 23.5), np.full_like(x, 9.0), np.full_like(x, 8.0))
    canvas.paint(canal, 12.0, LABEL_OF["spine"], box)
    canvas.paint(canal + 3.2, 38.0, None, box)


def paint_arches(body: Anatomy, canvas: Canvas, grow_range: tuple[float, float]) -> None:
    """Paint pedicles, laminae, transverse and spinous processes as tubes."""
    low, high = canvas.origin_mm[2], -canvas.origin_mm[2]
    segments = []
    for k in range(int((FIRST_MM - high) // PITCH_MM), int((FIRST_MM - low) // PITCH_MM) + 2):
        z, y = FIRST_MM - k * PITCH_MM, body.spine_y_mm
        s = float(np.interp(k, (0, 12), grow_range))
        for side in (-1, 1):
            segments.append(path([(side * 11 * s, y + 10, z + 3), (side * 13 * s, y + 22, z + 3)], [4.5, 4.5], steps=2))
            segments.append(path([(side * 13 * s, y + 24, z + 2), (0, y + 36, z - 5)], [3.8, 3.6], steps=2))
            segments.append(path([(side * 13 * s, y + 24, z + 3), (side * 34 * s, y + 33, z + 6)], [4.5, 4.0], steps=2))
        segments.append(path([(0, y + 35, z - 5), (0, y + 52, z - 22)], [3.6, 2.8], steps=2))
    paint_tubes(canvas, np.concatenate(segments), 1.6, body.bone_hu + 120, "spine")


def rib_line(body: Anatomy, number: int, side: int, angles: np.ndarray[Any, Any], drop_mm: float) -> Array:
    """Points along a rib, (n, 3) in mm: it leaves the spine, goes round the chest, and slopes down forwards.

    Args:
        body: whose ribs.
        number: 0 for the first rib.
        side: -1 right, 1 left.
        angles: 0 at the spine, pi at the breastbone.
        drop_mm: how much lower its front end lies.
    """
    start = FIRST_MM - number * PITCH_MM + 9
    z = start - drop_mm * (1 - np.cos(angles)) / 2
    half_width, half_depth, middle = cage_at(body, np.minimum(z, 112).astype(np.float32))
    s, c = np.sin(angles), np.cos(angles)
    x = side * (half_width + 4.5) * np.abs(s) ** 0.8
    y = middle + (half_depth + 4.5) * np.sign(c) * np.abs(c) ** 0.8
    toward = np.clip(1 - angles / 0.55, 0, 1)  # the head of the rib turns in, to its vertebra
    x = x * (1 - toward) + side * 17 * toward
    y = y * (1 - toward) + (body.spine_y_mm + 8) * toward
    return np.stack([x, y, z], axis=1).astype(np.float32)


def paint_ribs(body: Anatomy, canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint twelve pairs of ribs, and the cartilage that joins the upper ten to the breastbone."""
    bony, soft = [], []
    for number in range(12):
        drop = float(np.interp(number, (0, 2, 6, 9, 11), (26, 44, 72, 74, 46)))
        end = (2.5, 2.45, 2.4, 2.38, 2.3, 2.22, 2.12, 1.98, 1.85, 1.7, 1.2, 0.85)[number] + rng.uniform(-0.05, 0.05)
        for side in (-1, 1):
            line = rib_line(body, number, side, np.linspace(0.0, end, 60), drop)
            radius = np.interp(np.arange(60), (0, 8, 45, 59), (4.2, 4.6, 4.4, 5.2))
            bony.append(np.column_stack([line[:-1], line[1:], radius[:-1], radius[1:]]))
            if number < 10:
                soft.append(path(cartilage(body, number, side, line[-1]), [5.4, 4.8], steps=8))
    canvas.tubes(np.concatenate(soft).astype(np.float32), CARTILAGE_HU)
    paint_tubes(canvas, np.concatenate(bony).astype(np.float32), 1.5, body.bone_hu + 60, "ribs")


def cartilage(body: Anatomy, number: int, side: int, end: Array) -> list[tuple[float, ...]]:
    """The way of a costal cartilage from the end of its rib up to the breastbone."""
    at = float(np.interp(number, (0, 6, 9), (64, -38, -46)))
    goal = np.array([side * (15.0 if number < 7 else 22.0 + 6 * (number - 7)), sternum_y(body, at), at])
    half = 0.5 * (end + goal) + np.array([0.0, -5.0, -10.0 if number > 2 else 0.0])
    return [tuple(end), tuple(half), tuple(goal)]


def sternum_y(body: Anatomy, z: float) -> float:
    """How far in front of the middle the breastbone lies at a height, in mm (negative)."""
    _, half_depth, middle = cage_at(body, np.array([z], np.float32))
    return float(middle[0] - half_depth[0] - 7)


def paint_sternum(body: Anatomy, canvas: Canvas) -> None:
    """Paint the manubrium, the body of the breastbone and its tip."""
    heights = np.linspace(76, -52, 33)
    box = canvas.box((-40, sternum_y(body, -20) - 12, -60), (40, sternum_y(body, 76) + 12, 84))
    x, y, z = canvas.at(box)
    front = np.interp(z, heights[::-1], [sternum_y(body, h) for h in heights[::-1]]).astype(np.float32)
    half = np.interp(z, (-54, -48, -40, 30, 44, 60, 78), (3, 5, 17, 13, 16, 24, 20)).astype(np.float32)
    plate = both(oval(x, y - front, half, np.full_like(half, 5.5)), slab(z - 12, 64))
    notch = slab(z - 44, 1.2)  # the joint between manubrium and body
    canvas.paint(plate, CORTEX_HU - 250, LABEL_OF["sternum"], box)
    canvas.paint(plate + 2.0, body.bone_hu - 30, None, box)
    canvas.paint(both(plate, notch), 120.0, None, box)


def paint_shoulders(body: Anatomy, canvas: Canvas, surfaces: Surfaces) -> None:
    """Paint the shoulder blades, thin plates that glide on the ribs behind, and the collar bones."""
    box = canvas.box((-400, -10, -20), (400, 400, 200))
    x, y, z = canvas.at(box)
    side = np.abs(x)
    plate = np.abs(surfaces.cage[box] - 15 - 4 * np.sin(z / 25)) - 2.0
    inner = 52 - 0.12 * z  # the blade narrows to its lower tip
    window = both(inner - side, side - (60 + 0.62 * (z + 8)), -8 - z, z - 112, 8 - y)
    blade = both(plate, window, surfaces.muscle[box] + 3)
    canvas.paint(blade, CORTEX_HU - 120, LABEL_OF["shoulder girdle"], box)
    border = either(
        both(blade, z - 200), both(slab(surfaces.cage[box] - 17, 4.5), slab(side - 60 - 0.62 * (z + 8), 4.0), window)
    )
    canvas.paint(border, CORTEX_HU - 200, LABEL_OF["shoulder girdle"], box)
    bars = []
    for s in (-1, 1):
        front = sternum_y(body, 80)
        way = [(s * 20, front - 2, 80), (s * 55, front - 6, 95), (s * 95, front + 22, 112), (s * 120, front + 40, 118)]
        bars.append(path(way, [8.0, 5.5, 6.0, 7.0]))
    paint_tubes(canvas, np.concatenate(bars), 1.8, body.bone_hu + 60, "shoulder girdle")
