"""How fast each part of a pre-trained network may change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from modelsgenesis.core.backbone import Part
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.learner import Group

How = Literal["full", "layer_decay", "probe", "head_first"]


@dataclass(frozen=True)
class LayerLearningRates:
    """The learning rate of each part of a network.

    Args:
        how: "full": all of it, at one rate after the warm-up. "layer_decay": every stage slower than the one behind it,
            so that the first layers, the most general, change least. "probe": only the head; what went before stays as
            it was pre-trained, its norms too. "head_first": the encoder rests for the first steps, while the rest finds
            its way.
        decay: of "layer_decay", from a stage to the one before it, in (0, 1].
        rest: of "head_first", the share of the steps in [0, 1).
    Raises:
        TrainingError: a number that makes no sense.
    """

    how: How = "full"
    decay: float = 0.75
    rest: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise TrainingError(f"the decay from stage to stage must be in (0, 1], got {self.decay}; 0.75 is usual")
        if not 0 <= self.rest < 1:
            raise TrainingError(f"the encoder may rest for a share of the steps in [0, 1), got {self.rest}")

    def groups(self, parts: Sequence[tuple[Part, nn.Module]]) -> list[Group]:
        """Divide a network's parameters into groups of one learning rate.

        Args:
            parts: in the order in which an image passes them.
        """
        if self.how == "layer_decay":
            num_stages = sum(part != "head" for part, _ in parts)
            return [
                Group(list(module.parameters()), 1.0 if part == "head" else self.decay ** (num_stages - place))
                for place, (part, module) in enumerate(parts)
            ]
        after = self.rest if self.how == "head_first" else 0.0
        encoder = [p for part, module in parts if part == "encoder" for p in module.parameters()]
        rest = [p for part, module in parts if part != "encoder" for p in module.parameters()]
        return [Group(encoder, after=after), Group(rest)]

    def freeze(self, parts: Sequence[tuple[Part, nn.Module]]) -> list[nn.Module]:
        """Freeze the parts that never change, of "probe" all but the head, and return them."""
        if self.how != "probe":
            return []
        still = [module for part, module in parts if part != "head"]
        for module in still:
            module.requires_grad_(False)
        return still
