"""Low-dose CT: less X-ray gives grain, more of it where the body is dense; the network removes it."""

from dataclasses import dataclass

import numpy as np

from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval
from modelsgenesis.deformations.kernels.hashing import generator_of
from modelsgenesis.deformations.noise import DrawnNoise, Noise


@dataclass(frozen=True, kw_only=True)
class LowDose(PixelDeformation):
    """Add noise with the grain of a reconstructed CT slice.

    The grain is a band of frequencies within each (X, Y) slice, as filtered back-projection leaves it, independent
    from slice to slice. Its strength follows the density around: photons that cross much tissue are few. It is a model
    of the picture, not of the measurement: no projection is made.

    Args:
        sd: least and greatest standard deviation where the image is at the top of its range, as parts of the range.
        grain: least and greatest size of the grain, in voxels.

    Source: Riederer et al. 1978, the noise power spectrum of computed tomography.
    """

    sd: tuple[float, float] = (0.03, 0.12)
    grain: tuple[float, float] = (0.5, 1.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("sd", self.sd, 0)
        check_interval("grain", self.grain, 0.1)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[DrawnNoise, float]:
        """Draw the strength, the key of the noise and the grain."""
        check_sides(shape, 1, "LowDose")
        return Noise(sd=self.sd).draw(shape, rng), float(rng.uniform(*self.grain))

    def deform(self, array: Array, span: Span, drawn: tuple[DrawnNoise, float]) -> Array:
        """Add the noise."""
        from scipy import ndimage  # here, as in Blur

        noise, grain = drawn
        white = generator_of(noise.key).standard_normal(array.shape, dtype=np.float32)
        across = (0, 0) if array.ndim == 4 else (0,)  # neither channels nor, in 3D, slices are mixed
        unit = span.to_unit(array)
        width = (0, grain, grain, *across[1:])
        band = ndimage.gaussian_filter(white, width) - ndimage.gaussian_filter(white, tuple(2 * w for w in width))
        band /= max(float(band.std()), 1e-6)
        density = ndimage.gaussian_filter(np.clip(unit, 0, 1), (0, *(side / 16 for side in array.shape[1:])))
        return span.from_unit(unit + np.float32(noise.sd) * (0.3 + 0.7 * density) * band)
