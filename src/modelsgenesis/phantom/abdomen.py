"""What lies under the diaphragm: liver, spleen, stomach, kidneys, bowel gas, and the fat between them."""

import numpy as np

from modelsgenesis.phantom.anatomy import LABEL_OF, Anatomy, Surfaces
from modelsgenesis.phantom.canvas import Array, Canvas, smooth_noise
from modelsgenesis.phantom.shapes import both, ellipsoid, slab
from modelsgenesis.phantom.vessels import grow, targets_within


def paint_abdomen(body: Anatomy, canvas: Canvas, surfaces: Surfaces, rng: np.random.Generator) -> None:
    """Paint the upper abdomen, from the back to the front of what hides what."""
    under = -surfaces.dome
    canvas.paint(both(surfaces.cage, under), 52.0)  # the diaphragm, a thin sheet once the rest lies in it
    cavity = both(surfaces.cage + 3.0, under + 2.2)
    canvas.paint(cavity, -100 + 6 * smooth_noise(rng, canvas.values.shape, canvas.spacing_mm, 12.0))
    paint_bowel(canvas, cavity, rng)
    paint_kidneys(body, canvas, cavity)
    paint_spleen(body, canvas, cavity)
    paint_stomach(body, canvas, cavity, rng)
    paint_liver(body, canvas, cavity, rng)


def paint_liver(body: Anatomy, canvas: Canvas, cavity: Array, rng: np.random.Generator) -> None:
    """Paint the liver, which fills the right dome and reaches over to the left, with its vessels."""
    x, y, z = canvas.place
    top = body.dome_right_mm
    right = ellipsoid(canvas.place, (-62, 2, top - 58), (92, 96, 84))
    across = ellipsoid(canvas.place, (4, -42, top - 44), (78, 42, 40))
    shape = both(np.minimum(right, across), cavity, 0.35 * x + 0.55 * y - z + top - 92)
    behind = 22 - np.hypot(x - 4, y - body.spine_y_mm)  # room for the spine and what runs before it
    shape = both(shape, behind)
    texture = 4 * smooth_noise(rng, x.shape, canvas.spacing_mm, 10.0)
    canvas.paint(shape, 58 + 0.26 * body.contrast_hu + texture, LABEL_OF["liver"])
    inside = np.clip(0.5 - (shape + 2) / np.float32(canvas.edge_mm), 0, 1)
    spots = targets_within(shape < -8, 60, rng, canvas.place)
    if not len(spots):
        return
    hepatic = grow([(-20, body.spine_y_mm - 34, top - 14), (-28, body.spine_y_mm - 44, top - 24)], spots, tip_mm=1.1)
    portal = grow([(-6, body.spine_y_mm - 40, top - 84), (-24, 0, top - 72)], spots[::-1] + 6, tip_mm=1.0)
    vein_hu = 42 + 0.5 * body.contrast_hu
    canvas.tubes(np.concatenate([hepatic.segments(), portal.segments()]), vein_hu, within=inside)


def paint_spleen(body: Anatomy, canvas: Canvas, cavity: Array) -> None:
    """Paint the spleen, behind on the left."""
    half = body.half_width_mm - body.fat_mm - body.wall_mm
    shape = ellipsoid(canvas.place, (0.72 * half, 30, body.dome_left_mm - 44), (34, 46, 44))
    hollow = ellipsoid(canvas.place, (0.36 * half, 8, body.dome_left_mm - 60), (34, 44, 50))
    canvas.paint(both(shape, cavity, -hollow), 50 + 0.42 * body.contrast_hu, LABEL_OF["spleen"])


def paint_stomach(body: Anatomy, canvas: Canvas, cavity: Array, rng: np.random.Generator) -> None:
    """Paint the stomach: a wall, what was eaten, and air that rises to the front."""
    _, y, _ = canvas.place
    shape = ellipsoid(canvas.place, (46, -16, body.dome_left_mm - 40), (38, 46, 38))
    shape = both(shape, cavity)
    canvas.paint(shape, 45.0, LABEL_OF["stomach"])
    canvas.paint(shape + 3.5, 18 + 14 * smooth_noise(rng, y.shape, canvas.spacing_mm, 7.0))
    level = -16 - rng.uniform(0, 18)
    canvas.paint(both(shape + 3.5, y - np.float32(level)), -985.0)


def paint_kidneys(body: Anatomy, canvas: Canvas, cavity: Array) -> None:
    """Paint the upper parts of both kidneys."""
    for side, height in ((-1, -138.0), (1, -126.0)):
        centre = (side * 56.0, body.spine_y_mm - 8, height)
        shape = both(ellipsoid(canvas.place, centre, (25, 28, 50)), cavity)
        canvas.paint(shape, 32 + 0.7 * body.contrast_hu, LABEL_OF["kidney"])
        sinus = ellipsoid(canvas.place, (side * 46.0, body.spine_y_mm - 12, height - 8), (14, 11, 24))
        canvas.paint(both(sinus, shape + 6), -60.0)


def paint_bowel(canvas: Canvas, cavity: Array, rng: np.random.Generator) -> None:
    """Paint loops of bowel low in the abdomen, some with gas."""
    x, y, z = canvas.place
    loops = np.abs(smooth_noise(rng, x.shape, canvas.spacing_mm, 30.0)) * 30 - 12
    region = both(cavity + 6, z + 88, y - 20)
    canvas.paint(both(loops, region), 42.0)
    gas = smooth_noise(rng, x.shape, canvas.spacing_mm, 34.0)
    canvas.paint(both(loops + 5, region + 4, (0.9 - gas) * 20, slab(y + 45, 40)), -940.0)
