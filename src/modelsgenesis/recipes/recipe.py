"""A recipe: how to pre-train a model, whole, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from modelsgenesis.data.sampling import CubeSpec
from modelsgenesis.training.plan import Plan

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a pre-training run but the scans and the seed.

    Args:
        name: what it is called on the command line.
        cubes: their size, intensity scale and where they may lie.
        plan: how to train.
        backbone: a file of modelsgenesis.nets, or package.module:Class.
        backbone_args: its constructor's arguments.
        method: a file of modelsgenesis.methods, or package.module:Class.
        method_args: its constructor's arguments beside the backbone.
        train_folds: of the store; None takes all that do not validate.
        val_folds: of the store; None holds out about a tenth of the patients, at least one.
    """

    name: str
    cubes: CubeSpec
    plan: Plan
    backbone: str = "unet3d"
    backbone_args: Mapping[str, Any] = field(default_factory=dict)
    method: str = "genesis"
    method_args: Mapping[str, Any] = field(default_factory=dict)
    train_folds: tuple[int, ...] | None = None
    val_folds: tuple[int, ...] | None = None

    def but(
        self,
        *,
        cubes: Settings = MappingProxyType({}),
        plan: Settings = MappingProxyType({}),
        backbone: Settings = MappingProxyType({}),
        method: Settings = MappingProxyType({}),
        folds: Settings = MappingProxyType({}),
    ) -> Self:
        """The same recipe with some settings changed; those that are None stay."""
        return replace(
            self,
            cubes=replace(self.cubes, **_given(cubes)),
            plan=replace(self.plan, **_given(plan)),
            backbone_args={**self.backbone_args, **_given(backbone)},
            method_args={**self.method_args, **_given(method)},
            **_given(folds),
        )


def _given(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
