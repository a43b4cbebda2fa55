"""Things as data: an object is its class's name and the arguments that made it, so JSON can hold it."""

import dataclasses
import importlib
import inspect
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from modelsgenesis.core.errors import GenesisError, blamed_on

PACKAGE = "modelsgenesis"
RECIPE, CONFIG = "modelsgenesis.recipes.recipe:Recipe", "modelsgenesis.finetuning.config:FineTuneConfig"

# Names in files of earlier versions, as today's code has them: classes that moved, and settings that were renamed.
MOVED = {
    "modelsgenesis.core.target:Label": "modelsgenesis.core.labels:Label",
    "modelsgenesis.deformations._range:Percentiles": "modelsgenesis.deformations.base.value_range:Percentiles",
    "modelsgenesis.data.sampling:CubeSpec": "modelsgenesis.data.sampling.cubes:CubeSpec",
    "modelsgenesis.stages._approach:Approach": CONFIG,
    "modelsgenesis.tuning.augmentation:Augmentation": "modelsgenesis.finetuning.augmentation:Augmentation",
    "modelsgenesis.tuning.pace:Pace": "modelsgenesis.finetuning.layer_learning_rates:LayerLearningRates",
}
KIND_AS_DATA = "modelsgenesis.core.target:Target"  # once one class whose kind and exclusiveness were settings
OF_DEFORMATIONS = {"faithful": "match_official", "law": "variant"}
OF_GENESIS = {"faithful": "match_official"}  # the method's arguments, in a recipe


def find_class(room: str, name: str, base: type) -> type:
    """Find a class by the name of its file in a room, or by `package.module:Class` from outside.

    Args:
        room: a package of ours, such as "nets" or "data.formats".
        name: a file's name, dashes or underscores ("unet3d"), or "package.module:Class".
        base: the interface that the class must fulfil.
    Raises:
        GenesisError: nothing of that name; the message lists what there is.
    """
    module_name, _, class_name = name.partition(":")
    if not class_name:
        module_name = f"{PACKAGE}.{room}.{name.replace('-', '_')}"
        if name.replace("-", "_") not in members(room):
            fit = [member for member in members(room) if _classes(load_module(f"{PACKAGE}.{room}.{member}"), base)]
            raise GenesisError(f"no {name!r} in {room}; there are: {', '.join(fit)}")
    classes = [kind for kind in _classes(load_module(module_name), base) if class_name in ("", kind.__name__)]
    if len(classes) != 1:
        raise GenesisError(
            f"{name}: expected one {base.__name__} there, found {len(classes)}; use package.module:Class"
        )
    return classes[0]


def _classes(module: ModuleType, base: type) -> list[type]:
    """The classes of an interface that a module itself defines."""
    defined = [value for value in vars(module).values() if inspect.isclass(value)]
    return [kind for kind in defined if issubclass(kind, base) and kind.__module__ == module.__name__]


def load_module(name: str) -> ModuleType:
    """Import a module by its name.

    Raises:
        GenesisError: it is not there.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise GenesisError(f"cannot import {name} (no {error.name}); is it installed and spelled right?") from error


def check_imported(name: str, file: Path) -> None:
    """Refuse `package.module:Class` that a file names, unless its module is imported: a file must not run code.

    Args:
        name: of a class or function; one of ours, without a colon, is all right.
        file: that names it.
    Raises:
        GenesisError: its module is not yet imported, as it is once the command line or the user's Python has named it.
    """
    module_name, colon, _ = name.partition(":")
    if colon and module_name not in sys.modules:
        raise GenesisError(
            f"{file}: names {name}, and no module is imported because a file names it; if you trust that module, "
            f"import {module_name} in Python before, or name it on the command line"
        )


def members(room: str) -> list[str]:
    """The names of the files in a room."""
    folder = Path(__file__).parents[1].joinpath(*room.split("."))
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def describe(thing: Any) -> Any:
    """Turn a value into what JSON can hold; dataclasses become {"class": "module:Name", their fields}.

    A field with the metadata `only_if_set` is left out at its default, so that what earlier versions wrote stays equal;
    one with `no_result`, which changes no result, always.
    """
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        values = {f: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        told = (f for f in values if not (f.metadata.get("only_if_set") and values[f] == f.default))
        told = (f for f in told if not f.metadata.get("no_result"))
        fields = {f.name: describe(values[f]) for f in told}
        return {"class": f"{type(thing).__module__}:{type(thing).__qualname__}", **fields}
    if isinstance(thing, dict):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [describe(value) for value in thing]
    return thing


def updated(data: Any) -> Any:
    """Bring a description that an earlier version wrote to today's names of classes and settings.

    Args:
        data: from `describe`, of any version; data of today come back equal.
    """
    if isinstance(data, dict) and data.get("class") == KIND_AS_DATA:
        return _as_kind(updated({name: value for name, value in data.items() if name != "class"}))
    if isinstance(data, dict):
        return _renamed({key: updated(value) for key, value in data.items()})
    if isinstance(data, (list, tuple)):
        return [updated(value) for value in data]
    return data


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    """The class and the settings of one description by their names of today; names that users chose stay."""
    if not isinstance(data.get("class"), str):
        return data
    data = data | {"class": MOVED.get(data["class"], data["class"])}
    if data["class"].startswith(f"{PACKAGE}.deformations."):
        return _with_names(data, OF_DEFORMATIONS)
    if data["class"] == CONFIG:
        return _with_names(data, {"pace": "layer_rates"})
    if data["class"] == RECIPE and data.get("method") in ("genesis", f"{PACKAGE}.methods.genesis:Genesis"):
        return data | {"method_args": _with_names(data.get("method_args", {}), OF_GENESIS)}
    return data


def _with_names(settings: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in settings.items()}


def _as_kind(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn the description of a target from when all targets were one class into that of its kind."""
    kind, multiclass = settings.pop("kind"), settings.pop("exclusive", True)
    name = kind if multiclass or kind == "regression" else f"multilabel_{kind}"
    return {"class": f"{PACKAGE}.targets.{name}:{name.title().replace('_', '')}", **settings}


def described_at_first(target: Any) -> dict[str, Any]:
    """Describe a target as the first version did, whatever has moved since: what is kept on disk is known by it.

    Args:
        target: of any kind; one that the first version did not have is described as today.
    """
    data = dict(describe(target))
    was_called = {now: earlier for earlier, now in MOVED.items()}
    labels = [{**label, "class": was_called.get(label["class"], label["class"])} for label in data.get("labels", ())]
    for kind in ("segmentation", "classification", "regression"):
        for exclusive in (True, False):
            earlier = {"class": KIND_AS_DATA, "kind": kind, "labels": labels, "exclusive": exclusive}
            if updated(earlier) == data:
                return earlier
    return data


def rebuild(data: Any) -> Any:
    """Make the object that `describe` described, in this version or an earlier one; lists come back as tuples.

    Raises:
        GenesisError: the data name a class of another package, not a dataclass, or what that does not take.
    """
    with blamed_on(f"a description of {PACKAGE}'s", GenesisError, "it makes no object"):
        return _rebuilt(updated(data))


def _rebuilt(data: Any) -> Any:
    if isinstance(data, dict) and "class" in data:
        module_name, _, class_name = str(data["class"]).partition(":")
        if module_name.split(".")[0] != PACKAGE:
            raise GenesisError(f"{data['class']}: only classes of {PACKAGE} are rebuilt from a file")
        kind = getattr(importlib.import_module(module_name), class_name, None)
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise GenesisError(f"{data['class']}: not a dataclass of {PACKAGE}")
        return kind(**{key: _rebuilt(value) for key, value in data.items() if key != "class"})
    if isinstance(data, dict):
        return {key: _rebuilt(value) for key, value in data.items()}
    if isinstance(data, list):
        return tuple(_rebuilt(value) for value in data)
    if isinstance(data, float) and not math.isfinite(data):
        raise GenesisError(f"holds {data}, which is no finite number")
    return data
