"""The paper's recipe: shuffle, map, then paint, each with its rate, in one walk over the cube."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.base.loop import Plan, PlannedDeformation
from modelsgenesis.deformations.in_painting import InPainting
from modelsgenesis.deformations.local_shuffling import LocalShuffling, Variant
from modelsgenesis.deformations.non_linear import NonLinear
from modelsgenesis.deformations.out_painting import OutPainting

Arm = Literal[
    "all",
    "none",
    "non_linear",
    "local_shuffling",
    "out_painting",
    "in_painting",
    "without_non_linear",
    "without_local_shuffling",
    "without_painting",
]
WITHOUT = {
    "without_non_linear": {"non_linear"},
    "without_local_shuffling": {"local_shuffling"},
    "without_painting": {"out_painting", "in_painting"},
}


@dataclass(frozen=True, kw_only=True)
class Genesis(PlannedDeformation):
    """Models Genesis' deformation: local shuffling, non-linear map, then at most one painting.

    Args:
        p_local_shuffling, p_non_linear, p_painting: the laws' rates.
        p_out_painting: of the paintings, the share that paints outside.
        arm: "all", or the name of one law, which then acts alone and always, or "none": the papers' ablations;
            "without_..." leaves one out, and the others at their rates.
        num_windows, variant: of the shuffling; see LocalShuffling.
        shared_noise: the same noise in every channel.
        match_official: refuse the sides at which the authors' code breaks; otherwise windows and margins are clamped.

    Source: Zhou et al. 2019, section 2; the rates are those of the authors' code.
    Example: >>> genesis()(cube, rng)
    """

    p_local_shuffling: float = 0.5
    p_non_linear: float = 0.9
    p_painting: float = 0.9
    p_out_painting: float = 0.8
    arm: Arm = "all"
    num_windows: int | None = None
    variant: Variant = "exact"
    shared_noise: bool = False
    match_official: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.arm not in get_args(Arm):
            raise GenesisError(f"no arm {self.arm!r}; there are: {', '.join(get_args(Arm))}")
        for p in (self.p_local_shuffling, self.p_non_linear, self.p_painting, self.p_out_painting):
            if not 0 <= p <= 1:
                raise GenesisError(f"a rate is a probability in [0, 1], got {p}")
        LocalShuffling(num_windows=self.num_windows, variant=self.variant)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Plan:
        """Draw which deformations act, and their settings."""
        happens = self._chances(rng)
        windows = curve = paint = None
        if "local_shuffling" in happens:
            shuffling = LocalShuffling(
                num_windows=self.num_windows, variant=self.variant, match_official=self.match_official
            )
            windows = shuffling.draw(shape, rng)
        if "non_linear" in happens:
            curve = NonLinear().draw(shape, rng)
        if "out_painting" in happens:
            paint = OutPainting(shared_noise=self.shared_noise, match_official=self.match_official).draw(shape, rng)
            windows = windows and windows._replace(seen=paint.boxes)
        elif "in_painting" in happens:
            paint = InPainting(shared_noise=self.shared_noise, match_official=self.match_official).draw(shape, rng)
        return Plan(windows, curve, paint)

    def _chances(self, rng: np.random.Generator) -> set[str]:
        """The deformations that act on one image."""
        if self.arm != "all" and self.arm not in WITHOUT:
            return {self.arm}
        local, non_linear, painting, out = rng.random(4)
        happens = {"local_shuffling"} if local < self.p_local_shuffling else set()
        happens |= {"non_linear"} if non_linear < self.p_non_linear else set()
        if painting < self.p_painting:
            happens |= {"out_painting" if out < self.p_out_painting else "in_painting"}
        return happens - WITHOUT.get(self.arm, set())

    def plan(self, drawn: Plan) -> Plan:
        """Plan all deformations that act."""
        return drawn
