"""Target tasks by name: one file each, a function of the file's name that reads the data, and PUBLISHED beside it."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.naming import load_module, members
from modelsgenesis.core.target import Kind
from modelsgenesis.tasks.folder import folder
from modelsgenesis.tasks.task import Task

ROOM = "modelsgenesis.tasks"
WORDS: Mapping[str, Any] = {"none": None, "true": True, "false": False}


def names() -> list[str]:
    """The names of the published target tasks, which are those of their files."""
    return [name for name in members("tasks") if hasattr(load_module(f"{ROOM}.{name}"), "PUBLISHED")]


def find_reader(name: str) -> Callable[..., Task]:
    """Find what reads a target task, by name, or as `package.module:function` from outside.

    Raises:
        GenesisError: there is none; the message lists those there are.
    """
    module_name, _, function_name = name.partition(":")
    if not function_name:
        function_name = name.replace("-", "_").lower()
        if function_name not in names():
            raise GenesisError(f"no task {name!r}; there are: {', '.join(names())}")
        module_name = f"{ROOM}.{function_name}"
    make = getattr(load_module(module_name), function_name, None)
    if not callable(make):
        raise GenesisError(f"{name} is no function that reads a Task")
    return make  # type: ignore[no-any-return]


def read(
    place: Path | str,
    *,
    task: str | None = None,
    kind: Kind | None = None,
    label: str | None = None,
    classes: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Task:
    """Read a target task: a published one in its official layout, or any folder or table.

    Args:
        place: of the data.
        task: a name of `names`, perhaps with settings: "ncc" or "ncc,negatives=10"; without one, `folder` reads it.
        kind: as `folder`.
        label: as `folder`.
        classes: as `folder`.
        columns: as `folder`.
    Raises:
        DataError: the data are not there, or not as they should be.
        GenesisError: no such task or setting.
    """
    if task is None:
        return folder(place, kind=kind, label=label, classes=classes, columns=columns)
    if kind or label or classes or columns:
        raise GenesisError(
            f"task {task} decides what its labels mean; leave --kind, --label, --classes and --columns out"
        )
    name, *words = task.split(",")
    make = find_reader(name)
    known = [each for each, parameter in inspect.signature(make).parameters.items() if parameter.kind.name[0] == "K"]
    settings = dict(_setting(word, name, known) for word in words)
    if not Path(place).exists():
        raise DataError(f"{place}: no such folder or file; is it spelled right?")
    return make(Path(place), **settings)


def _setting(word: str, task: str, known: list[str]) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    name = name.replace("-", "_")
    if not equals or name not in known:
        raise GenesisError(f"task {task} has no setting {word!r}; it takes {', '.join(known) or 'none'}, as NAME=VALUE")
    if value.lower() in WORDS:
        return name, WORDS[value.lower()]
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value
