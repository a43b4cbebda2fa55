"""What runs have in common: the settings beside the weights by which a run is known again."""

import contextlib
import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.files import read_object, sha256, write_json
from modelsgenesis.core.lease import held
from modelsgenesis.core.locations import name_of
from modelsgenesis.core.naming import describe, updated
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data.patient_names import PATIENTS
from modelsgenesis.training.checkpoint import FILE as RESUME

SETTINGS = "recipe.json"
BEST, LAST = "model.safetensors", "last.safetensors"
FROM = "from"  # the source's path beside the settings; a run may go on after the source was moved


def held_run(into: Path, verb: str, fabric: Processes) -> AbstractContextManager[None]:
    """Hold a run's folder, as `held` does, once for all of its processes.

    Args:
        into: the run's folder.
        verb: of the stage that makes such runs.
        fabric: where it runs; it need not be launched.
    """
    return held(into, verb) if fabric.is_global_zero else contextlib.nullcontext()


def remember(into: Path, settings: dict[str, Any], source: Path) -> None:
    """Write the settings that decide a run's weights, before it starts."""
    write_json(into / SETTINGS, {**settings, FROM: name_of(source)})


def check_own(into: Path, own: Sequence[str]) -> None:
    """Refuse a folder that holds anything but what a stage itself writes there.

    Args:
        into: where it is to write; it need not be there.
        own: patterns, of which one at least is there if the stage has begun in that folder.
    Raises:
        DataError: the folder holds something else.
    """
    if into.is_file():
        raise DataError(f"{into} is a file; name a new folder")
    there = [path.name for path in into.iterdir() if not path.name.startswith(".")] if into.is_dir() else []
    if there and not any(fnmatch.fnmatch(name, pattern) for name in there for pattern in (*own, PATIENTS)):
        raise DataError(f"{into} is there already and holds other things ({sorted(there)[0]}); choose a new folder")


def refuse_run(place: Path, instead: str) -> None:
    """Refuse a run where data are wanted: arguments are easily swapped.

    Args:
        place: that was given for data.
        instead: what to do.
    Raises:
        DataError: it is a run, or a weights file.
    """
    if place.suffix == ".safetensors" or any((place / name).is_file() for name in (SETTINGS, "model.safetensors")):
        raise DataError(f"{place} is a run, not data; {instead}")


def is_done(into: Path, verb: str, settings: dict[str, Any], *, may_grow: Sequence[str] = ()) -> bool:
    """Whether the folder holds this very run, finished.

    Args:
        into: the run's folder.
        verb: of the stage that makes such runs.
        settings: all that decides the weights.
        may_grow: settings whose first is a number: a finished run with a smaller one is prolonged, if nothing else
            differs than these; it is unfinished then.
    Raises:
        TrainingError: it holds a run with other settings, or finished, but without its weights.
        DataError: another stage made it.
    """
    finished = (into / PROVENANCE).is_file()
    if finished:
        changed = _changed_outputs(into, read_provenance(into, verb).outputs)
        if changed == [LAST] and (into / RESUME).is_file():
            (into / PROVENANCE).unlink()  # the checkpoint is of the last step: it is written again
            finished = False
        elif changed:
            raise TrainingError(
                f"{into / changed[0]} is gone, or not what this run wrote; put it back from a copy, or delete {into} "
                "and run the same command again"
            )
    if finished and may_grow and _has_grown(into, settings, may_grow):
        if not (into / RESUME).is_file():
            raise TrainingError(f"{into} has no {RESUME} to go on with; start a new run with --from {into}")
        (into / PROVENANCE).unlink()
        return False
    if finished or (into / RESUME).is_file():
        check_settings(into, settings)
    return finished


def _changed_outputs(into: Path, outputs: Mapping[str, str]) -> list[str]:
    """The files of a finished run that are gone, or not what it wrote."""
    return [name for name, written in outputs.items() if not (into / name).is_file() or sha256(into / name) != written]


def _has_grown(into: Path, settings: dict[str, Any], may_grow: Sequence[str]) -> bool:
    """Whether a run differs in these settings alone, and the first of them is larger now."""
    differing = _differing(into, settings)
    length = differing.get(may_grow[0])
    return length is not None and differing.keys() <= set(may_grow) and bool(length[0] < length[1])


def _differing(into: Path, settings: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which a run's folder differs from these, by name: what is there, and what is wanted."""
    there, now = flat(updated(read_object(into / SETTINGS))), flat(describe(settings))  # tuples are lists in JSON
    there.pop(FROM, None)
    pairs = {name: (there.get(name), now.get(name)) for name in sorted({*there, *now})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def clear(into: Path, *caches: Path) -> None:
    """Delete what a finished run went on from, which nothing needs any more: its checkpoint, and caches of its own."""
    (into / RESUME).unlink(missing_ok=True)
    for cache in caches:
        shutil.rmtree(cache, ignore_errors=True)


def check_settings(into: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that holds a run with other settings than these.

    Raises:
        TrainingError: it does; at most five of them are named.
    """
    if differing := list(_differing(into, settings).items()):
        changes = "; ".join(f"{name} is {there} there, {now} now" for name, (there, now) in differing[:5])
        raise TrainingError(f"{into} holds a run with other settings: {changes}. Use those, or another folder")


def flat(data: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested settings, as in {"recipe.plan.lr": 0.001}."""
    if not isinstance(data, dict):
        return {name: data}
    result: dict[str, Any] = {}
    for key, value in data.items():
        result |= flat(value, f"{name}.{key}" if name else str(key))
    return result
