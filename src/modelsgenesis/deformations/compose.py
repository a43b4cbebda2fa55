"""Putting deformations together: one after another, sometimes, or one of several."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from modelsgenesis.core.deformation import Deformation, Image
from modelsgenesis.core.errors import GenesisError
from modelsgenesis.deformations.flip import Flip


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
        if not self.parts:
            return copied(image)
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
        """Draw whether the part is applied, and if so its settings."""
        return (self.part.draw(shape, rng),) if rng.random() < self.p else None

    def apply(self, image: Image, drawn: tuple[Any] | None) -> Image:
        """Apply the part, or nothing."""
        return copied(image) if drawn is None else self.part.apply(image, drawn[0])


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
        """Draw which part is applied, and its settings."""
        odds = np.cumsum(self.weights if self.weights is not None else np.ones(len(self.parts)))
        chosen = int(np.searchsorted(odds, rng.random() * odds[-1], side="right"))
        return chosen, self.parts[chosen].draw(shape, rng)

    def apply(self, image: Image, drawn: tuple[int, Any]) -> Image:
        """Apply the chosen one."""
        return self.parts[drawn[0]].apply(image, drawn[1])


def check_parts(parts: tuple[Deformation, ...], name: str) -> None:
    """Refuse anything but a tuple of deformations."""
    if not isinstance(parts, tuple):
        raise GenesisError(f"{name} takes a tuple of deformations, got {parts!r}; put them in parentheses")
    for part in parts:
        if isinstance(part, Flip):
            raise GenesisError(f"{name} takes deformations, but Flip moves content; flip image and target alike")
        if not isinstance(part, Deformation):
            raise GenesisError(f"{name} takes deformations, got {part!r}")


def copied(image: Image) -> Image:
    """A copy of an array or tensor."""
    result: Image = image.copy() if isinstance(image, np.ndarray) else cast(Any, image).clone()
    return result
