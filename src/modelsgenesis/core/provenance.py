"""Provenance: `made.json` in every folder that a stage writes records how the folder was made, and from what."""

import datetime
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_json, sha256, write_json
from modelsgenesis.core.locations import name_of

FILE = "made.json"
GIVEN_OPTIONS = "asked"  # the key of the options as they were given, where the other arguments follow from them


@dataclass(frozen=True)
class Provenance:
    """How one folder was made: the content of its `made.json`."""

    verb: str
    arguments: dict[str, Any]
    inputs: dict[str, str]  # folder as given -> its fingerprint
    version: str
    commit: str | None
    seed: int | None
    finished: str  # UTC, ISO 8601
    outputs: dict[str, str] = field(default_factory=dict)  # file in the folder -> SHA-256; none in earlier versions


CommandLine = Callable[[str, Provenance], str]  # a folder and its provenance -> the command that makes it anew


def write_provenance(
    into: Path,
    verb: str,
    arguments: dict[str, Any],
    *,
    inputs: list[Path],
    seed: int | None = None,
    outputs: Sequence[str] = (),
) -> None:
    """Write the provenance of a finished folder; its presence says that the folder is whole.

    Args:
        into: the folder.
        verb: of the stage.
        arguments: that decide what came of it.
        inputs: folders and files.
        seed: of everything random.
        outputs: files in the folder that are what was wanted.
    """
    made = Provenance(
        verb=verb,
        arguments=arguments,
        inputs={name_of(path): fingerprint(path) for path in inputs},
        version=package_version(),
        commit=package_commit(),
        seed=seed,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        outputs={name: sha256(into / name) for name in outputs},
    )
    write_json(into / FILE, vars(made))


def read_provenance(folder: Path, verb: str) -> Provenance:
    """Read the provenance of a folder that a stage must have finished.

    Raises:
        DataError: there is none, so the folder is unfinished or something else; or another stage wrote it.
    """
    if not (folder / FILE).is_file():
        raise DataError(
            f"{folder} is no finished folder of `genesis {verb}` (it has no {FILE}); run genesis {verb} first"
        )
    made = _read(folder)
    if made.verb != verb:
        raise DataError(
            f"{folder} was made by `genesis {made.verb}`, but a folder made by `genesis {verb}` is needed here"
        )
    return made


def lineage(folder: Path) -> list[tuple[str, Provenance]]:
    """Follow the provenance from a folder back to its sources, nearest first; folders that have moved are left out."""
    chain: list[tuple[str, Provenance]] = []
    waiting, seen = [folder], set()
    while waiting:
        here = waiting.pop(0)
        if here in seen or not (here / FILE).is_file():
            continue
        seen.add(here)
        made = _read(here)
        chain.append((str(here), made))
        waiting.extend(Path(path) for path in made.inputs)
    return chain


def _read(folder: Path) -> Provenance:
    with blamed_on(folder / FILE, DataError, "not a provenance file"):
        made = Provenance(**read_json(folder / FILE))
        texts = [made.verb, made.version, made.finished, *made.inputs.values(), *made.outputs.values()]
        if not (isinstance(made.arguments, dict) and all(isinstance(text, str) for text in texts)):
            raise TypeError("its arguments are no object, or its words no texts")
        if not (made.seed is None or isinstance(made.seed, int)):
            raise TypeError("its seed is no whole number")
        return made


def fingerprint(path: Path) -> str:
    """SHA-256 of a store's manifest, of another folder's made.json, or of a file; empty for a folder without one.

    So a store that is made anew from the same scans, with the same salt, is the same store.
    """
    made = path / FILE if path.is_dir() else path
    if path.is_dir() and made.is_file() and (manifest := _read(path).arguments.get("manifest_sha256")):
        return str(manifest)
    return sha256(made) if made.is_file() else ""


def is_unchanged(path: Path, was: str) -> bool:
    """Whether a folder or file still has a fingerprint; earlier versions took that of a store's made.json."""
    return was == fingerprint(path) or (path.is_dir() and (path / FILE).is_file() and was == sha256(path / FILE))


def package_version() -> str:
    """The installed version of modelsgenesis."""
    from importlib.metadata import version

    return version("modelsgenesis")


def package_commit() -> str | None:
    """The commit of the checkout that runs, or None when installed from a wheel."""
    here = Path(__file__).resolve().parent
    if not (here.parents[2] / ".git").exists():
        return None
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
