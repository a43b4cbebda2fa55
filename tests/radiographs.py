"""Made-up radiographs: grey pictures in which a bright disc is the disease."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from modelsgenesis.core.randomness import generator_for


def radiograph(number: int, *, ill: bool, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """A noisy picture (rows, columns) of bytes, dark where there is air, with a bright disc if ill."""
    rng = generator_for(7, number, "radiograph")
    rows, columns = np.meshgrid(*[np.arange(side) for side in size], indexing="ij")
    picture = 90 + 60 * np.sin(rows / size[0] * 3) + rng.normal(0, 8, size)
    if ill:
        middle = [rng.uniform(0.35, 0.65) * side for side in size]
        picture += 90 * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < (0.18 * min(size)) ** 2)
    return picture.clip(0, 255).astype(np.uint8)


def write_picture(path: Path, values: np.ndarray) -> Path:
    """Write (rows, columns) or (rows, columns, colours)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(values).save(path)
    return path
