"""Putting deformations together: one after another, sometimes, or one of several."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelsgenesis.core.deformation import Deformation, Image
from modelsgenesis.core.errors import GenesisError


@dataclass(frozen=True)
class Compose(Deformation):
    """Apply deformations one after another.

    Args:
        parts: in order.
    """

    parts: tuple[Deformation, ...]

    def __post_init__(self) -> None:
        check_parts(self.parts, "Compose")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> list[Any]:
        """Draw for every part."""
        return [part.draw(shape, rng) for part in self.parts]

    def apply(self, image: Image, drawn: list[Any]) -> Image:
        """Apply every part."""
        for part, decided in zip(self.parts, drawn, strict=True):
            image = part.apply(image, decided)
        return image


@dataclass(frozen=True)
class Sometimes(Deformation):
    """Apply a deformation with some probability.

    Args:
        part: the deformation.
        p: its probability.
    """

    part: Deformation
    p: float = 0.5

    def __post_init__(self) -> None:
        check_parts((self.part,), "Sometimes")
        if not 0 <= self.p <= 1:
            raise GenesisError(f"p is a probability in [0, 1], got {self.p}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any] | None:
        """Draw whether, and if so what."""
        return (self.part.draw(shape, rng),) if rng.random() < self.p else None

    def apply(self, image: Image, drawn: tuple[Any] | None) -> Image:
        """Apply the part, or nothing."""
        return image if drawn is None else self.part.apply(image, drawn[0])


@dataclass(frozen=True)
class OneOf(Deformation):
    """Apply one of several deformations.

    Args:
        parts: to choose from.
        weights: their odds; even when None.
    """

    parts: tuple[Deformation, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_parts(self.parts, "OneOf")
        if not self.parts:
            raise GenesisError("OneOf needs at least one deformation to choose from")
        weights = self.weights
        if weights is not None and (len(weights) != len(self.parts) or min(weights) < 0 or sum(weights) <= 0):
            raise GenesisError(f"weights must be {len(self.parts)} odds of 0 or more, not all 0, got {weights}")

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, Any]:
        """Draw which, and what."""
        odds = np.cumsum(self.weights if self.weights is not None else np.ones(len(self.parts)))
        chosen = int(np.searchsorted(odds, rng.random() * odds[-1], side="right"))
        return chosen, self.parts[chosen].draw(shape, rng)

    def apply(self, image: Image, drawn: tuple[int, Any]) -> Image:
        """Apply the chosen one."""
        return self.parts[drawn[0]].apply(image, drawn[1])


def check_parts(parts: tuple[Deformation, ...], name: str) -> None:
    """Refuse what is no deformation."""
    for part in parts:
        if not isinstance(part, Deformation):
            raise GenesisError(f"{name} takes deformations, got {part!r}")
