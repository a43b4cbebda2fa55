"""Noise: Gaussian as in CT and in MRI after averaging, or Rician as in a magnitude MRI; the network removes it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.pixelwise import PixelDeformation, check_sides
from modelsgenesis.deformations.base.value_range import Array, Span, check_interval
from modelsgenesis.deformations.kernels.hashing import draw_key, generator_of

Kind = Literal["gaussian", "rician"]


class DrawnNoise(NamedTuple):
    """Standard deviation, as a part of the range, and the key of the noise."""

    sd: float
    key: int


@dataclass(frozen=True, kw_only=True)
class Noise(PixelDeformation):
    """Add white noise of random strength.

    Args:
        sd: least and greatest standard deviation, as parts of the range.
        kind: "gaussian"; or "rician", the magnitude of a complex signal with Gaussian noise in both parts, which lifts
            the dark background and suits images whose range begins at no signal.
        shared_noise: the same noise in every channel.
    """

    sd: tuple[float, float] = (0.02, 0.1)
    kind: Kind = "gaussian"
    shared_noise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_interval("sd", self.sd, 0)
        if self.kind not in get_args(Kind):
            raise GenesisError(f"no kind {self.kind!r}; there are: {', '.join(get_args(Kind))}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> DrawnNoise:
        """Draw the strength and the key."""
        check_sides(shape, 1, "Noise")
        return DrawnNoise(float(rng.uniform(*self.sd)), draw_key(rng))

    def deform(self, array: Array, span: Span, drawn: DrawnNoise) -> Array:
        """Add the noise."""
        rng, unit = generator_of(drawn.key), span.to_unit(array)
        shape = (1, *array.shape[1:]) if self.shared_noise else array.shape
        unit += np.float32(drawn.sd) * rng.standard_normal(shape, dtype=np.float32)
        if self.kind == "rician":
            unit = np.hypot(unit, np.float32(drawn.sd) * rng.standard_normal(shape, dtype=np.float32))
        return span.from_unit(unit)
