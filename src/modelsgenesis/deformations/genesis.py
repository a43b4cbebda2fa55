"""The paper's recipe: shuffle, map, then paint, each with its rate, in one walk over the cube."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations._loop import Curve, Paint, Windows, run
from modelsgenesis.deformations._pixelwise import PixelDeformation
from modelsgenesis.deformations._range import Array, Range, Span
from modelsgenesis.deformations.in_painting import InPainting
from modelsgenesis.deformations.local_shuffling import LocalShuffling
from modelsgenesis.deformations.non_linear import NonLinear
from modelsgenesis.deformations.out_painting import OutPainting

Arm = Literal["all", "none", "non_linear", "local_shuffling", "out_painting", "in_painting"]


class Plan(NamedTuple):
    """What was drawn of each law; None is left out."""

    windows: Windows | None
    curve: Curve | None
    paint: Paint | None


@dataclass(frozen=True, kw_only=True)
class Genesis(PixelDeformation):
    """Models Genesis' deformation of a cube; see `genesis`."""

    p_local_shuffling: float = 0.5
    p_non_linear: float = 0.9
    p_painting: float = 0.9
    p_out_painting: float = 0.8
    arm: Arm = "all"
    faithful: bool = False
    num_windows: int | None = None
    shared_noise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arm not in get_args(Arm):
            raise GenesisError(f"no arm {self.arm!r}; there are: {', '.join(get_args(Arm))}")
        for p in (self.p_local_shuffling, self.p_non_linear, self.p_painting, self.p_out_painting):
            if not 0 <= p <= 1:
                raise GenesisError(f"a rate is a probability in [0, 1], got {p}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Plan:
        """Decide which laws act, and draw those."""
        happens = self._chances(rng)
        windows = curve = paint = None
        if "local_shuffling" in happens:
            windows = LocalShuffling(num_windows=self.num_windows).draw(shape, rng)
        if "non_linear" in happens:
            curve = NonLinear().draw(shape, rng)
        if "out_painting" in happens:
            paint = OutPainting(shared_noise=self.shared_noise).draw(shape, rng)
            windows = windows and windows._replace(seen=paint.boxes)
        elif "in_painting" in happens:
            paint = InPainting(shared_noise=self.shared_noise).draw(shape, rng)
        return Plan(windows, curve, paint)

    def _chances(self, rng: np.random.Generator) -> set[str]:
        if self.arm != "all":
            return {self.arm}
        local, non_linear, painting, out = rng.random(4)
        happens = {"local_shuffling"} if local < self.p_local_shuffling else set()
        happens |= {"non_linear"} if non_linear < self.p_non_linear else set()
        if painting < self.p_painting:
            happens |= {"out_painting" if out < self.p_out_painting else "in_painting"}
        return happens

    def deform(self, array: Array, span: Span, drawn: Plan) -> Array:
        """Shuffle, map and paint in one walk."""
        return run(array, span, *drawn)


def genesis(
    *,
    p_local_shuffling: float = 0.5,
    p_non_linear: float = 0.9,
    p_painting: float = 0.9,
    p_out_painting: float = 0.8,
    arm: Arm = "all",
    faithful: bool = False,
    range: Range = (0.0, 1.0),
    num_windows: int | None = None,
    shared_noise: bool = False,
) -> Genesis:
    """Make the paper's deformation: local shuffling, non-linear map, then at most one painting.

    Args:
        p_local_shuffling, p_non_linear, p_painting: the laws' rates.
        p_out_painting: of the paintings, the share that paints outside.
        arm: "all", or the name of one law that then acts alone and always, or "none".
        faithful: refuse the sides at which the authors' code breaks instead of clamping.
        range: of the image's values, or Percentiles().
        num_windows: of the shuffling; None is 10,000 in 3D and 40 in 2D.
        shared_noise: the same noise in every channel.
    Example: >>> genesis()(cube, rng)
    """
    return Genesis(
        p_local_shuffling=p_local_shuffling,
        p_non_linear=p_non_linear,
        p_painting=p_painting,
        p_out_painting=p_out_painting,
        arm=arm,
        faithful=faithful,
        range=range,
        num_windows=num_windows,
        shared_noise=shared_noise,
    )
