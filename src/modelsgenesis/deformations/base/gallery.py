"""One of every deformation, found by file: a new file is in the gallery by being there."""

import dataclasses
import importlib
import inspect

from modelsgenesis.core.deformation import Deformation
from modelsgenesis.core.naming import PACKAGE, members


def gallery() -> dict[str, Deformation]:
    """One default instance of every deformation, by the name of its file; those that need an argument are left out."""
    found: dict[str, Deformation] = {}
    for name in members("deformations"):
        module = importlib.import_module(f"{PACKAGE}.deformations.{name}")
        for kind in vars(module).values():
            ours = inspect.isclass(kind) and issubclass(kind, Deformation) and kind.__module__ == module.__name__
            if ours and all(has_default(field) for field in dataclasses.fields(kind)):
                found[name] = kind()
    return found


def has_default(field: "dataclasses.Field[object]") -> bool:
    """Whether a dataclass can be made without naming this field."""
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
