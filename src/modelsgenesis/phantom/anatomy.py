"""What differs from one made-up body to the next, and the surfaces that everything else is laid against."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.phantom.canvas import Array, Canvas, smooth_noise
from modelsgenesis.phantom.shapes import along, either, ellipsoid, oval

LABELS = {
    1: "lung right", 2: "lung left", 3: "airways", 4: "pulmonary vessels", 5: "nodule", 6: "heart", 7: "aorta",
    8: "other vessels", 9: "oesophagus", 10: "liver", 11: "spleen", 12: "stomach", 13: "kidney", 14: "spine",
    15: "ribs", 16: "sternum", 17: "shoulder girdle",
}  # fmt: skip
LABEL_OF = {name: number for number, name in LABELS.items()}


@dataclass(frozen=True)
class Anatomy:
    """One body, in mm and HU."""

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    wall_mm: float  # from the pleura to the fat under the skin: ribs and muscle
    dome_right_mm: float  # height of the diaphragm
    dome_left_mm: float
    heart_scale: float
    breast_mm: float  # 0 for none
    contrast_hu: float  # what an injected contrast medium adds to arteries; 0 without one
    lung_hu: float
    bone_hu: float  # of spongy bone; falls with age
    blood_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Anatomy":
        """Draw a body at random."""
        half_width = rng.uniform(148, 166)
        dome = rng.uniform(-62, -30)
        return cls(
            half_width_mm=half_width,
            half_depth_mm=half_width * rng.uniform(0.70, 0.79),
            fat_mm=rng.uniform(7, 20),
            wall_mm=rng.uniform(12, 16),
            dome_right_mm=dome,
            dome_left_mm=dome - rng.uniform(6, 18),
            heart_scale=rng.uniform(0.9, 1.12),
            breast_mm=rng.uniform(10, 22) if rng.random() < 0.45 else 0.0,
            contrast_hu=rng.uniform(120, 240) if rng.random() < 0.5 else 0.0,
            lung_hu=rng.uniform(-885, -840),
            bone_hu=rng.uniform(130, 230),
            blood_hu=rng.uniform(36, 50),
        )

    @property
    def spine_y_mm(self) -> float:
        """How far behind the middle the vertebral bodies lie."""
        return self.half_depth_mm - self.fat_mm - 52


@dataclass(frozen=True)
class Surfaces:
    """Signed distances in mm, float32 (X, Y, Z), negative inside."""

    skin: Array
    muscle: Array  # the inner border of the fat under the skin
    cage: Array  # the inside of the chest wall
    dome: Array  # negative above the diaphragm


def cage_at(body: Anatomy, z: Array) -> tuple[Array, Array, Array]:
    """The chest wall's inner half-width, half-depth and middle in y, by height, in mm."""
    thick = body.fat_mm + body.wall_mm
    wide = along(z, {-150: 0.97, -80: 1.0, -20: 1.0, 20: 0.96, 60: 0.84, 85: 0.69, 105: 0.47, 116: 0.27, 125: 0.1})
    deep = along(z, {-150: 0.93, -60: 1.0, -20: 1.0, 20: 0.93, 60: 0.77, 85: 0.6, 105: 0.42, 116: 0.25, 125: 0.1})
    middle = along(z, {-150: -6.0, 0: -6.0, 60: 3.0, 90: 12.0, 120: 20.0})
    return wide * np.float32(body.half_width_mm - thick), deep * np.float32(body.half_depth_mm - thick - 5), middle


def lay(body: Anatomy, canvas: Canvas, rng: np.random.Generator) -> Surfaces:
    """Compute the surfaces of a body."""
    x, y, z = canvas.place
    half_width, half_depth, middle = cage_at(body, z)
    cage = oval(x, y - middle, half_width, half_depth)
    trunk = along(z, {-150: 0.95, -60: 0.99, 0: 1.0, 70: 1.0, 110: 0.95, 150: 0.86})
    depth = along(z, {-150: 1.0, 20: 1.0, 80: 0.93, 120: 0.82, 150: 0.74})
    skin = oval(x, y - along(z, {60: 0.0, 150: 12.0}), trunk * body.half_width_mm, depth * body.half_depth_mm)
    uneven = smooth_noise(rng, canvas.values.shape, canvas.spacing_mm, 70.0)
    fat = body.fat_mm * (1 + 0.18 * uneven + 0.35 * np.clip(-z / 140, -0.5, 1) * (1 - y / body.half_depth_mm))
    muscle = skin + np.maximum(fat, 3.0)
    if body.breast_mm:
        skin = either(skin, breasts(body, canvas), 26.0)
    return Surfaces(skin=skin, muscle=muscle, cage=cage, dome=diaphragm(body, canvas, half_width, half_depth))


def breasts(body: Anatomy, canvas: Canvas) -> Array:
    """Signed distance of both breasts, flattened and fallen to the sides as in a patient who lies on the back."""
    x, y, z = canvas.place
    centre = (0.52 * body.half_width_mm, -0.78 * body.half_depth_mm, -2.0)
    return ellipsoid((np.abs(x), y, z), centre, (46.0, 22.0 + body.breast_mm, 48.0))


def diaphragm(body: Anatomy, canvas: Canvas, half_width: Array, half_depth: Array) -> Array:
    """Signed distance to the two domes, negative in the chest; deepest behind and at the sides."""
    x, y, z = canvas.place
    domes = []
    for side, height in ((-1, body.dome_right_mm), (1, body.dome_left_mm)):
        u = (x - side * 0.45 * half_width) / (0.62 * half_width)
        v = (y + 0.18 * half_depth) / (1.15 * half_depth)
        out = u * u + v * v
        domes.append(height - 18 * out - 46 * out * out)
    top = np.maximum(*domes)
    return (np.maximum(top, -132) - z) * np.float32(0.75)
