"""A recipe: how to pre-train a model, whole, as data; and what it takes to follow one."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch

from modelsgenesis.core.backbone import Backbone
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import find_class
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.nnunet_plans import Planned
from modelsgenesis.data.sampling.cubes import RECIPES, CubeSpec, check_axes
from modelsgenesis.data.store.columns import Scans
from modelsgenesis.data.store.store import Store
from modelsgenesis.training.plan import Plan

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """The settings that decide a pre-training run, except the scans and the seed.

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
        plans: of nnU-Net, which decided on the network, the cubes and their units; None if they did not.
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
    plans: Planned | None = None

    def view_size(self, backbone: Backbone) -> tuple[int, ...]:
        """The sides in voxels of what a network is shown: of the cubes, or of the views that the method cuts of them.

        Args:
            backbone: that the recipe trains.
        """
        if ":" in self.method:  # a class from outside, which a recipe in a file must not import
            return self.cubes.size
        kind = find_class("methods", self.method, Learner)
        return kind.view_size(backbone, self.cubes.size, **self.method_args)  # type: ignore[attr-defined, no-any-return]

    def but(
        self,
        *,
        backbone: str | None = None,
        method: str | None = None,
        cubes: Settings = MappingProxyType({}),
        plan: Settings = MappingProxyType({}),
        backbone_args: Settings = MappingProxyType({}),
        method_args: Settings = MappingProxyType({}),
        folds: Settings = MappingProxyType({}),
    ) -> Self:
        """The same recipe with some settings changed; None keeps them, but for those of another backbone or method."""
        kept = self.backbone_args if backbone in (None, self.backbone) else {}
        own_args = self.method_args if method in (None, self.method) else {}
        return replace(
            self,
            backbone=backbone or self.backbone,
            method=method or self.method,
            cubes=replace(self.cubes, **_given(cubes)),
            plan=replace(self.plan, **_given(plan)),
            backbone_args={**kept, **_given(backbone_args)},
            method_args={**own_args, **_given(method_args)},
            **_given(folds),
        )


def _given(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def split(store: Store, recipe: Recipe) -> tuple[Scans, Scans]:
    """Divide the scans into training and validation by patient.

    Returns:
        The training scans, and the held-out ones: those of the recipe's folds, or of about a tenth of the patients.
    Raises:
        DataError: one of the two would be empty.
    """
    scans, folds = store.scans, store.scans.column("fold")
    patients, of_scan = np.unique(scans.column("patient"), return_inverse=True)
    held = np.zeros(len(patients), np.bool_)
    if recipe.val_folds is None:
        first_fold = np.full(len(patients), folds.max())
        np.minimum.at(first_fold, of_scan, folds)
        held[np.lexsort((patients, first_fold))[: max(1, round(len(patients) / 10))]] = True
        in_validation = held[of_scan]
    else:
        in_validation = np.isin(folds, list(recipe.val_folds))
        held[of_scan[in_validation]] = True
    may_train = (
        np.ones(len(scans), np.bool_) if recipe.train_folds is None else np.isin(folds, list(recipe.train_folds))
    )
    training, held_out = scans.where(~held[of_scan] & may_train), scans.where(in_validation)
    if not training or not held_out:
        counts = ", ".join(f"fold {fold}: {(folds == fold).sum()}" for fold in store.folds)
        raise DataError(
            f"{many(len(training), 'scan')} to train on and {len(held_out)} held out; both need one, of different "
            "patients. "
            f"The store has {many(len(scans), 'scan')} ({counts}); choose with --train-folds and --val-folds"
        )
    return training, held_out


def build_learner(recipe: Recipe, store: Store, seed: int) -> Learner:
    """Make the network and the learner that trains it, with weights drawn from the seed.

    Raises:
        ShapeError: the recipe's cubes do not fit the network, or are too small for the method.
        GenesisError: no network or method of that name, or a setting that it has not.
        DataError: the recipe's intensities are Hounsfield units and a scan is no CT, or it is for images of other axes.
    """
    check_axes(store, recipe.cubes.size)
    strange = store.scans.where(~store.scans.of_modality("CT"))
    if isinstance(recipe.cubes.intensity, Window) and strange:
        scans = many(len(store.scans), nouns(store.axes).scan)
        raise DataError(
            f"the recipe {recipe.name} reads Hounsfield units, but {len(strange)} of {scans} are not CT (the first "
            f"is {strange[0].id}, {strange[0].modality}); use the recipe {RECIPES[store.axes][-1]}, or "
            "prepare --modality CT"
        )
    channels = np.unique(store.scans.column("shape")[:, 0]).tolist()
    if len(channels) > 1:
        raise DataError(f"the scans have different numbers of channels, {channels}; prepare them apart")
    return learner_of(recipe, channels[0], seed)


def learner_of(recipe: Recipe, channels: int, seed: int, known: Settings = MappingProxyType({})) -> Learner:
    """Make the network for images of so many channels, and the learner that trains it, drawn from the seed.

    Args:
        recipe: of both.
        channels: of the images.
        seed: of the weights.
        known: what else the data decide of the learner.
    Raises:
        ShapeError: the recipe's cubes do not fit the network, or are too small for the method.
        GenesisError: no network or method of that name, or a setting that it has not.
    """
    kind = find_class("nets", recipe.backbone, Backbone)
    arguments = _arguments(kind, {"in_channels": channels, "axes": len(recipe.cubes.size)}, recipe)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = kind(**arguments)
        learner = make_learner(recipe, backbone, known)
    learner.check(recipe.cubes.size)
    return learner


def check_backbone_args(kind: type, recipe: Recipe) -> None:
    """Raise GenesisError if the recipe gives its backbone a setting that it has not."""
    known = list(inspect.signature(kind).parameters)
    if strange := [name for name in recipe.backbone_args if name not in known]:
        raise GenesisError(
            f"the backbone {recipe.backbone} has no setting {', '.join(strange)}; its settings are: {', '.join(known)}"
        )


def make_learner(recipe: Recipe, backbone: Backbone, known: Settings = MappingProxyType({})) -> Learner:
    """Make the recipe's learner for a network.

    Args:
        recipe: whose method learns.
        backbone: the network.
        known: arguments that the data decide.
    Raises:
        GenesisError: no method of that name, or a setting that it has not.
    """
    kind = find_class("methods", recipe.method, Learner)
    takes = inspect.signature(kind)
    arguments = {**recipe.method_args, **known}
    if "size" in takes.parameters:  # a method whose views are smaller than the cubes has to know them
        arguments.setdefault("size", recipe.cubes.size)
    try:
        takes.bind(backbone, **arguments)
    except TypeError as error:
        theirs = ", ".join(name for name in list(takes.parameters)[1:] if name not in ("size", *known)) or "none"
        raise GenesisError(f"the method {recipe.method}: {error}; its settings are: {theirs}") from error
    learner: Learner = kind(backbone, **arguments)
    return learner


def _arguments(kind: type, known: Settings, recipe: Recipe) -> dict[str, Any]:
    """A backbone's arguments: the recipe's, and of those known from the data the ones that it takes."""
    parameters = inspect.signature(kind).parameters
    check_backbone_args(kind, recipe)
    arguments = {name: value for name, value in known.items() if name in parameters} | dict(recipe.backbone_args)
    arguments.setdefault("out_channels", known["in_channels"])
    needed = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    if missing := [name for name in needed if name not in arguments]:
        raise GenesisError(
            f"the backbone {recipe.backbone} needs {', '.join(missing)}, which the recipe {recipe.name} does not give"
            + ("; nnU-Net's plans do, with --plans" if "architecture" in missing else "")
        )
    return arguments
