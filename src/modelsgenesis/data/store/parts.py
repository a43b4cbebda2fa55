"""What the parts of a store that is being made share: the list of its sources, and what became of them."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import open_regular, remove_leftovers, write_secret
from modelsgenesis.core.lease import FILE as LEASE
from modelsgenesis.core.lease import HeldError, await_end
from modelsgenesis.core.naming import describe, rebuild
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.data.problems import Problem, may_pass
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.manifest import manifest_of, read_manifest, write_manifest
from modelsgenesis.data.store.options import Part, PrepareOptions
from modelsgenesis.data.store.preparing import Settings, name_scan
from modelsgenesis.data.store.scan import Scan

LISTING = "prepare --list"  # the verb by which the store is held while its sources are listed
FOLDER = ".parts"  # in the store, until it is finished
LIST = "sources.secret.jsonl"  # what it was made for, then a source a line, by raw names: its owner alone may read it
ARCHIVE = "archive"  # what is unpacked for the parts
REFUSED = "refused.csv"  # of a part
COLUMNS = ("id", "changed", "problem", "remedy", "max_voxels")


@dataclass(frozen=True)
class Refused:
    """What a part could not prepare.

    Attributes:
        changed: when the last of the source's files was written, in nanoseconds.
        problem: what is wrong.
        remedy: what to do.
    """

    changed: int
    problem: str
    remedy: str


def write_list(into: Path, sources: list[Source], root: Path, options: PrepareOptions) -> None:
    """Write the sources of a store, for all parts, whole or not at all.

    Args:
        into: the store's folder, held by this process.
        sources: in the order in which they are dealt to parts.
        root: their folder, which other machines may call otherwise.
        options: that all parts must have.
    """
    head = {"options": _options(options), "scans": len(sources)}
    lines = (json.dumps(describe(source), default=lambda path: _below(root, path)) for source in sources)
    write_secret(into / FOLDER / LIST, "\n".join([json.dumps(head), *lines]) + "\n")


def read_list(into: Path, part: Part | None, root: Path, options: PrepareOptions) -> tuple[list[Source], int]:
    """Read a part's share of the sources.

    Args:
        into: the store's folder.
        part: None reads none of them.
        root: their folder.
        options: that were given now.
    Returns:
        The share, and how many there are in all.
    Raises:
        DataError: the list was made with other options, or is damaged.
    """
    path = into / FOLDER / LIST
    with blamed_on(path, DataError, "holds no list of scans; make it anew with genesis prepare --list"):
        with open_regular(path) as file:
            head = json.loads(file.readline())
            mine = (line for number, line in enumerate(file) if part and number % part.of == part.number - 1)
            sources = [_from_json(json.loads(line), root) for line in mine]
        before, num = dict(head["options"]), int(head["scans"])
    for name, value in _options(options).items():
        if before.get(name) != value:
            raise DataError(
                f"the scans of {into} were listed with {name} = {before.get(name)}, not {value}; give all parts the "
                "same options, or make the list anew with --list"
            )
    return sources, num


def _options(options: PrepareOptions) -> dict[str, Any]:
    """The options that decide on the list or on what becomes of a scan, and that the store itself does not hold."""
    return {"max_voxels": options.max_voxels, "leave_out": [str(table) for table in options.leave_out]}


def _below(root: Path, path: Any) -> str:
    if not isinstance(path, Path):
        raise TypeError(f"{path!r} in a source is nothing that a list can hold")
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _from_json(data: dict[str, Any], root: Path) -> Source:
    """The source that `describe` wrote, below the folder as it is called here."""
    source: Source = rebuild(data)
    dicom = source.dicom
    if dicom is not None:
        slices = tuple(replace(one, path=root / one.path) for one in dicom.slices)
        dicom = replace(dicom, folder=root / dicom.folder, slices=slices)
    return replace(source, path=root / source.path, files=tuple(root / file for file in source.files), dicom=dicom)


def write_part(
    folder: Path, results: list[tuple[Source, Scan | Problem]], changed: Mapping[str, int], settings: Settings
) -> None:
    """Write down what became of a part's sources.

    Args:
        folder: of the part, held by this process.
        results: its scans, with checksums, and its problems.
        changed: when each source was last written before it was read, by id.
        settings: of the store.
    Raises:
        DataError: it cannot be written, or the folder is gone, since the store was finished without this part.
    """
    if not (folder / LEASE).is_file():
        raise DataError(f"{folder} is gone: {folder.parents[1]} was finished meanwhile; nothing is left to do")
    write_manifest(folder, [one for _, one in results if isinstance(one, Scan)])
    rows = [
        {"id": id_, "changed": changed[id_], "problem": one.problem, "remedy": one.remedy,
         "max_voxels": settings.max_voxels}
        for source, one in results
        if isinstance(one, Problem) and (id_ := name_scan(source, settings).id) in changed
    ]  # fmt: skip
    write_table(folder / REFUSED, COLUMNS, rows)


def await_parts(into: Path, tell: Callable[[str], None]) -> None:
    """See that no part works on a store, and delete what dead ones left unfinished.

    Args:
        into: the store's folder, held by this process.
        tell: called with a line when the death of a part on another machine must be waited for.
    Raises:
        DataError: a part is at work.
    """
    if not (into / FOLDER).is_dir():
        return
    for folder in _folders(into):
        try:
            await_end(folder, tell)
        except HeldError as error:
            part = folder.name.partition(".")[0].replace("-of-", "/")
            raise DataError(f"part {part} of {into} is at work ({error.process}); wait until all are done") from error
    remove_leftovers(into, alone=True)


def read_summed(into: Path) -> dict[str, Scan]:
    """The scans that parts prepared, with the checksums that they took, by id."""
    found: dict[str, Scan] = {}
    doubtful = set()
    for folder in _folders(into):
        for scan in read_manifest(folder) if manifest_of(folder).is_file() else []:
            if scan.id in found and found[scan.id] != scan:
                doubtful.add(scan.id)
            found[scan.id] = scan
    return {id_: scan for id_, scan in found.items() if id_ not in doubtful}


def read_refused(into: Path, settings: Settings) -> dict[str, Refused]:
    """What parts with these settings refused, by id, but for what another machine might be able to do."""
    return {
        row["id"]: Refused(int(row["changed"]), row["problem"], row["remedy"])
        for folder in _folders(into)
        if (folder / REFUSED).is_file()
        for row in read_rows(folder / REFUSED)
        if row["max_voxels"] == str(settings.max_voxels) and not may_pass(row["problem"])
    }


def still_refused(source: Source, refused: Refused | None) -> Problem | None:
    """The problem of a source that a part could not prepare, unless it was changed since."""
    try:
        if refused is None or source.last_changed != refused.changed:
            return None
    except OSError:  # a file of it is gone: that is told when it is read
        return None
    return Problem(source.path, refused.problem, refused.remedy)


def forget_parts(into: Path) -> None:
    """Delete what the parts shared, raw names among it."""
    shutil.rmtree(into / FOLDER, ignore_errors=True)


def _folders(into: Path) -> list[Path]:
    """The folders of the parts that were begun."""
    return sorted(path for path in (into / FOLDER).glob("*-of-*") if path.is_dir())
