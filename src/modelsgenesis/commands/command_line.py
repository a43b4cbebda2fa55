"""From a folder's provenance back to the command that made it."""

import importlib
import inspect
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import check_imported, describe, members
from modelsgenesis.core.options import plain
from modelsgenesis.core.provenance import FILE, GIVEN_OPTIONS, Provenance
from modelsgenesis.recipes import find_recipe

OPTION_OF = {"slices_direction": "slices", **{f"slices_{name}": name for name in ("every", "side", "neighbours")}}
NOT_OPTIONS = {"class", "name"}  # settings that no option of the command line changes


def command(folder: str, made: Provenance) -> str:
    """Write the command line that makes a folder anew.

    Args:
        folder: that was made.
        made: its provenance.
    Example: >>> command("store", provenance)
    'genesis prepare scans store --folds 5'
    """
    words = ["genesis", *made.verb.split()]
    arguments = dict(made.arguments)
    recipe = arguments.pop("recipe", None)
    if isinstance(recipe, Mapping):
        words.append(str(recipe.get("name")))
    if isinstance(recipe, Mapping) and "started_from" in arguments:  # the weights decided on the network
        options = recipe_options({name: value for name, value in recipe.items() if not name.startswith("backbone")})
        options["from_"] = list(made.inputs)[-1]
    elif isinstance(recipe, Mapping):
        options = recipe_options(recipe)
    else:
        given = arguments.get(GIVEN_OPTIONS)  # none, where all were the defaults
        options = stage_options(made.verb, arguments) if given is None else dict(given)
    spelled = set(_words_of(options.values()))
    words += [*(place for place in made.inputs if place not in spelled), folder]
    if made.seed:
        options["seed"] = made.seed
    for name, value in options.items():
        words += spell(name, value)
    return shlex.join(words)


def spell(name: str, value: Any) -> list[str]:
    """Write one option as words of a command line."""
    flag = f"--{name.removesuffix('_').replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, Mapping):
        value = [word for pair in value.items() for word in pair]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [flag, *(f"{each:g}" if isinstance(each, float) else str(each) for each in values)]


def _words_of(values: Iterable[Any]) -> Iterator[str]:
    """Yield the words of all options' values, and of NAME=RUN and NAME=axial:RUN also the run."""
    for value in values:
        for word in value if isinstance(value, (list, tuple)) else [value]:
            yield str(word)
            place = str(word).partition("=")[2]
            yield from (place, place.rpartition(":")[2])


def recipe_options(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in which a recipe differs from the published one of its name."""
    name = str(recipe.get("name"))
    try:
        check_imported(name, Path(FILE))
        known = describe(find_recipe(name))
    except GenesisError:
        return {}
    there, usual = flat(recipe), flat(known)
    if isinstance(plans := recipe.get("plans"), Mapping):
        there = flat(_without_planned(recipe)) | {"plans": plans.get("file"), "configuration": plans["configuration"]}
        usual |= {"size": plans["size"], "batch_size": plans["batch_size"]}
    return {
        name: value
        for name, value in there.items()
        if name not in NOT_OPTIONS and value is not None and plain(value) != plain(usual.get(name))
    }


def _without_planned(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the settings of a recipe that follow from nnU-Net's plans."""
    kept = {name: value for name, value in recipe.items() if name not in ("plans", "backbone", "backbone_args")}
    return kept | {"cubes": {name: value for name, value in recipe["cubes"].items() if name != "intensity"}}


def stage_options(verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a stage that differ from its defaults; none of a stage that there is not."""
    if verb not in members("commands"):
        return {}
    stage = getattr(importlib.import_module(f"modelsgenesis.commands.{verb}"), verb)
    defaults = {name: parameter.default for name, parameter in inspect.signature(stage).parameters.items()}
    given = {OPTION_OF.get(name, name.removesuffix("_mm")): value for name, value in arguments.items()}
    return {
        name: value
        for name, value in given.items()
        if name in defaults and value is not None and value is not False and plain(value) != plain(defaults[name])
    }


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without their nesting; the options of the command line are named after the innermost name."""
    flattened: dict[str, Any] = {}
    for name, value in settings.items():
        flattened |= flat(value) if isinstance(value, Mapping) else {name: value}
    return flattened
