"""What lies in the chest: lungs with their trees and nodules, the heart and the great vessels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelsgenesis.phantom.anatomy import LABEL_OF, Anatomy, Surfaces
from modelsgenesis.phantom.canvas import Array, Canvas, smooth_noise
from modelsgenesis.phantom.shapes import along, both, either, ellipsoid, oval, path
from modelsgenesis.phantom.vessels import grow, targets_within

FAT_HU = -98.0
AIRWAY_HU = -990.0
SIDES = {-1: "lung right", 1: "lung left"}


@dataclass(frozen=True)
class Nodule:
    """A made-up lung nodule: its middle in mm from the middle of the scan, its mean radius, its density."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    hu: float


def heart_axes(body: Anatomy) -> tuple[tuple[float, float, float], tuple[float, float, float], Array]:
    """Middle, half-lengths and own axes of the heart: its tip points to the left, forwards and down."""
    long = np.array([0.79, -0.46, -0.40])
    long /= np.linalg.norm(long)
    side = np.cross(long, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    turn = np.stack([long, side, np.cross(long, side)]).astype(np.float32)
    z = max(body.dome_left_mm + 42, -30)
    return (22.0, -0.24 * body.half_depth_mm, z), tuple(body.heart_scale * a for a in (62.0, 39.0, 40.0)), turn  # type: ignore[return-value]


def mediastinum(body: Anatomy, canvas: Canvas) -> Array:
    """Signed distance of what parts the lungs: the heart in its sac, the column before the spine, the spine itself."""
    x, y, z = canvas.place
    centre, axes, turn = heart_axes(body)
    sac = ellipsoid(canvas.place, centre, tuple(a + 4.0 for a in axes), turn)
    back = body.spine_y_mm
    middle = 0.5 * (back - 0.62 * body.half_depth_mm)
    half = along(z, {-150: 30, 0: 28, 25: 34, 45: 33, 70: 30, 95: 31, 120: 36})
    waist = 1 - 0.62 * np.clip((middle - y) / 55, 0, 1) * along(z, {0: 0.8, 30: 1.0, 60: 0.7, 90: 0.1})
    column = oval(x - 2, y - middle, half * waist, np.full_like(x, 0.5 * (back + 0.78 * body.half_depth_mm)))
    spine = oval(x, y - np.float32(back + 5), np.full_like(x, 24.0), np.full_like(x, 24.0))
    return either(either(column, sac, 9.0), spine, 8.0)


def paint_chest(body: Anatomy, canvas: Canvas, surfaces: Surfaces, rng: np.random.Generator) -> tuple[Nodule, ...]:
    """Paint the lungs and all that is in the chest; return the nodules."""
    between = mediastinum(body, canvas)
    inner = surfaces.cage + 1.5
    canvas.paint(both(inner, surfaces.dome), FAT_HU)
    lungs = both(inner, surfaces.dome, 2.5 - between)
    texture = lung_texture(body, canvas, rng)
    canvas.paint(lungs, texture)
    canvas.labels[(lungs < 0) & (canvas.place[0] < 0)] = LABEL_OF["lung right"]
    canvas.labels[(lungs < 0) & (canvas.place[0] >= 0)] = LABEL_OF["lung left"]
    paint_heart(body, canvas, rng)
    paint_great_vessels(body, canvas)
    paint_lung_trees(body, canvas, lungs, rng)
    paint_airways(body, canvas)
    return paint_nodules(canvas, lungs, rng)


def lung_texture(body: Anatomy, canvas: Canvas, rng: np.random.Generator) -> Array:
    """HU of lung tissue: denser behind, where a patient lies on it, uneven, crossed by the fissures."""
    x, y, z = canvas.place
    size, spacing = canvas.values.shape, canvas.spacing_mm
    tissue = body.lung_hu + 24 * (y / 80) + 11 * smooth_noise(rng, size, spacing, 28.0)
    tissue += 22 * smooth_noise(rng, size, spacing, max(4.0, 1.6 * canvas.edge_mm))
    wave = 5 * smooth_noise(rng, size, spacing, 60.0)
    oblique = np.abs(z - 4 + 0.95 * (y - 4) + wave) / 1.38
    level = np.abs(z - 6 + 0.25 * wave + 0.06 * y)
    tissue += 85 * np.clip(1 - oblique / (0.55 * canvas.edge_mm + 0.4), 0, 1)
    minor = (x < -30) & (y < 0)
    tissue += 60 * np.clip(1 - level / (0.5 * canvas.edge_mm + 0.4), 0, 1) * minor
    return np.asarray(tissue, np.float32)


def paint_heart(body: Anatomy, canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the heart: muscle, fat in its grooves, and chambers that shine when there is contrast medium."""
    centre, axes, turn = heart_axes(body)
    box = canvas.box(tuple(c - 75 for c in centre), tuple(c + 75 for c in centre), 8)
    place = canvas.at(box)
    muscle = ellipsoid(place, centre, axes, turn)
    canvas.paint(muscle, 48 + 0.28 * body.contrast_hu, LABEL_OF["heart"], box)
    grooves = np.abs(smooth_noise(rng, muscle.shape, canvas.spacing_mm, 34.0))
    canvas.paint(both(-muscle - 7, muscle, (grooves - 0.16) * 20), FAT_HU + 20, None, box)
    left, right = body.blood_hu + body.contrast_hu, body.blood_hu + 0.8 * body.contrast_hu
    chambers = (
        ((14, 10, 3), (27, 15, 15), left),  # left ventricle
        ((12, -18, 2), (30, 11, 19), right),  # right ventricle
        ((-30, 17, 8), (15, 19, 19), left),  # left atrium
        ((-31, -17, -2), (17, 16, 21), right),  # right atrium
    )
    swirl = 0.05 * body.contrast_hu * smooth_noise(rng, muscle.shape, canvas.spacing_mm, 14.0)
    for at, half, hu in chambers:
        where = np.array(centre) + body.heart_scale * (np.array(at) @ turn)
        shape = ellipsoid(place, tuple(where), tuple(body.heart_scale * h for h in half), turn)
        canvas.paint(both(shape, muscle + 2.5), hu + swirl, None, box)


def paint_great_vessels(body: Anatomy, canvas: Canvas) -> None:
    """Paint aorta, caval veins, pulmonary trunk, their branches, and the oesophagus."""
    front, back = -0.24 * body.half_depth_mm, body.spine_y_mm
    base = heart_axes(body)[0][2]
    red, blue = body.blood_hu + body.contrast_hu, body.blood_hu + 0.75 * body.contrast_hu
    gullet = [(-2, back - 26, 150), (2, back - 25, 60), (4, back - 24, 0), (6, back - 30, -50), (18, back - 50, -72)]
    canvas.tubes(path(gullet, [6.5, 7.5, 7.0]), 38.0, LABEL_OF["oesophagus"])
    trunk = [(8, front - 6, base + 22), (17, front - 2, base + 44), (20, front + 16, base + 52)]
    right = [(20, front + 14, base + 50), (-6, front + 20, base + 47), (-36, front + 26, base + 40)]
    left = [(20, front + 16, base + 52), (34, front + 32, base + 55), (44, front + 42, base + 44)]
    arteries = [path(trunk, [13.5, 12.5]), path(right, [11, 10.5, 8.5]), path(left, [11.5, 10, 8])]
    arteries += [path([(s * 8, back - 38, base + 12), (s * 34, back - 32, base + 14)], [8, 5]) for s in (-1, 1)]
    cava = [(-28, front + 12, base + 8), (-30, front + 12, base + 50), (-28, front + 6, 84), (-38, front + 4, 128)]
    lower = [(-26, front + 24, base - 10), (-24, back - 40, base - 50), (-20, back - 26, -100), (-17, back - 24, -170)]
    cross = [(-28, front + 4, 80), (6, front - 8, 84), (36, front + 2, 102), (44, front + 6, 130)]
    canvas.tubes(np.concatenate(arteries), blue, LABEL_OF["other vessels"])
    veins = [path(cava, [9, 9.5, 8.5, 6.5]), path(lower, [11, 11, 11]), path(cross, [7, 6.5, 6.5, 6])]
    canvas.tubes(np.concatenate(veins), body.blood_hu + 0.55 * body.contrast_hu, LABEL_OF["other vessels"])
    arch = [
        (-4, front + 2, base + 8), (-16, front - 4, base + 38), (-12, front + 2, base + 66), (4, front + 22, base + 78),
        (20, front + 44, base + 70), (25, back - 20, base + 44), (24, back - 17, base), (18, back - 20, base - 50),
        (5, back - 27, -110), (4, back - 26, -180),
    ]  # fmt: skip
    branches = [[(-8, front + 8, 72), (-16, front + 2, 104), (-24, front + 8, 150)]]
    branches += [[(3, front + 22, 74), (5, front + 12, 104), (14, front + 16, 150)]]
    branches += [[(14, front + 34, 72), (24, front + 26, 106), (44, front + 22, 122), (70, front + 20, 124)]]
    aorta = [path(arch, [15.5, 15.5, 14, 13, 12.5, 12, 11, 10]), *(path(way, [5, 4.2]) for way in branches)]
    canvas.tubes(np.concatenate(aorta), red, LABEL_OF["aorta"])


def airway_ways(body: Anatomy) -> dict[str, list[tuple[float, ...]]]:
    """The courses of the trachea and of the main bronchi, in mm."""
    front, back = -0.24 * body.half_depth_mm, body.spine_y_mm
    base = heart_axes(body)[0][2]
    fork = (0.0, 0.5 * (front + back) + 12, base + 54)
    return {
        "trachea": [(-1, back - 42, 150), (1, back - 40, 100), fork],
        "right": [fork, (-20, fork[1] + 6, base + 38), (-42, fork[1] + 10, base + 24)],
        "left": [fork, (24, fork[1] + 8, base + 38), (50, fork[1] + 14, base + 26)],
    }


def paint_airways(body: Anatomy, canvas: Canvas) -> None:
    """Paint the trachea and the main bronchi with their walls."""
    ways = airway_ways(body)
    lumen = np.concatenate(
        [path(ways["trachea"], [8.5, 8.5, 8]), path(ways["right"], [7, 5]), path(ways["left"], [6, 4.5])]
    )
    wall = lumen.copy()
    wall[:, 6:] += 1.2
    canvas.tubes(wall, 30.0)
    canvas.tubes(lumen, AIRWAY_HU, LABEL_OF["airways"])


def paint_lung_trees(body: Anatomy, canvas: Canvas, lungs: Array, rng: np.random.Generator) -> None:
    """Grow arteries with the airways beside them, and veins, into both lungs."""
    ways = airway_ways(body)
    left_heart = np.array([-4.0, body.spine_y_mm - 40, heart_axes(body)[0][2] + 12])
    aerated = np.clip(0.5 - (lungs - 2.0) / np.float32(canvas.edge_mm), 0, 1)
    near = float(np.clip(14 / canvas.edge_mm, 2, 9))  # coarse grids cannot show the smallest vessels
    for side, key in ((-1, "right"), (1, "left")):
        inside = (lungs < -3.5) & (side * canvas.place[0] > 0)
        hilum = np.array(ways[key][-1])
        num = int(95 * near)
        arteries = grow([hilum + np.array([side * -14, -8, 8]), hilum + np.array([side * 4, -6, 0])],
                        targets_within(inside, num, rng, canvas.place), tip_mm=0.64)  # fmt: skip
        veins = grow([left_heart + np.array([side * 12, 4, 0]), hilum + np.array([0, -6, -16])],
                     targets_within(inside, int(0.75 * num), rng, canvas.place), tip_mm=0.6)  # fmt: skip
        blood = body.blood_hu + 0.75 * body.contrast_hu
        for tree in (arteries, veins):
            canvas.tubes(tree.segments(), blood, LABEL_OF["pulmonary vessels"], within=aerated)
        paint_bronchi(canvas, arteries.segments(1.35, 0.95, (side * 1.5, 4.5, 2.5)), aerated)


def paint_bronchi(canvas: Canvas, lumen: Array, aerated: Array) -> None:
    """Paint the airways that run beside the larger arteries."""
    wall = lumen.copy()
    wall[:, 6:] += 0.9
    canvas.tubes(wall, -150.0, within=aerated)
    canvas.tubes(lumen, -965.0, LABEL_OF["airways"], within=aerated)


def paint_nodules(canvas: Canvas, lungs: Array, rng: np.random.Generator) -> tuple[Nodule, ...]:
    """Paint one to five nodules: solid or of ground glass, lobed, some with spicules."""
    spots = targets_within(lungs < -6, int(rng.integers(1, 6)), rng, canvas.place)
    nodules = []
    for spot in spots:
        radius = float(np.exp(rng.uniform(np.log(3.0), np.log(12.0))))
        solid = rng.random() < 0.75
        hu = float(rng.uniform(10, 70) if solid else rng.uniform(-650, -450))
        box = canvas.box(tuple(spot - radius), tuple(spot + radius), 20)
        place = canvas.at(box)
        lobes = 0.22 * radius * smooth_noise(rng, place[0].shape, canvas.spacing_mm, max(5.0, radius))
        shape = ellipsoid(place, tuple(spot), tuple(radius * rng.uniform(0.8, 1.2, 3))) + lobes
        if solid and rng.random() < 0.4:
            canvas.tubes(spicules(spot, radius, rng), hu - 60)
        canvas.paint(both(shape, lungs[box] - 1.0), hu, LABEL_OF["nodule"], box)
        grid = canvas.unbend(spot[None])[0]
        nodules.append(Nodule(tuple(float(c) for c in grid), radius, hu))  # type: ignore[arg-type]
    return tuple(nodules)


def spicules(spot: Array, radius: float, rng: np.random.Generator) -> Any:
    """Thin strands that leave a nodule in all directions, as tubes (n, 8)."""
    ways = rng.standard_normal((12, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    ends = spot + ways * radius * rng.uniform(1.5, 2.3, (12, 1))
    return np.column_stack([np.repeat(spot[None], 12, 0), ends, np.full(12, 0.8), np.full(12, 0.3)]).astype(np.float32)
