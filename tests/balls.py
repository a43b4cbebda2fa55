"""Made-up MRI of bright balls, and the masks of their shells and cores."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from modelsgenesis.core.randomness import generator_for


def write_image(path: Path, values: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    """Write (X, Y, Z) as NIfTI."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing_mm)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def blob(number: int, size: tuple[int, int, int] = (20, 22, 18)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy MRI of a bright ball with a brighter core, and its label map: 1 the shell, 2 the core."""
    rng = generator_for(3, number, "blob")
    grid = np.stack(np.meshgrid(*[np.arange(side) for side in size], indexing="ij"))
    centre = np.array(size) / 2 + rng.uniform(-3, 3, 3)
    far = np.sqrt(((grid - centre[:, None, None, None]) ** 2).sum(axis=0))
    mask = (far < 6).astype(np.uint8) + (far < 3)
    return (100 + 200 * mask + rng.normal(0, 10, size)).clip(0).astype(np.float32), mask.astype(np.uint8)
