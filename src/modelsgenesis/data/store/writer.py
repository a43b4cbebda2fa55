"""A store under construction: its salt, its settings, what is done, its tables."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import is_leftover, read_object, sha256, write_json, write_secret
from modelsgenesis.core.lease import FILE as LEASE
from modelsgenesis.core.lease import is_a_look
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.data import problems as problems_room
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.store.arrays import find_record
from modelsgenesis.data.store.manifest import manifest_of, read_manifest, write_manifest
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import SALT, SCANS, find_salt, scan_file

SETTINGS = "settings.json"
PROBLEMS = "problems.csv"


def begin_store(into: Path, settings: Mapping[str, Any], salt: str | None) -> str:
    """Make the folder, or check that the one there was begun with the same settings.

    The salt is secret: whoever has it and a list of patients can tell who is in the store. It is kept, readable by its
    owner alone, so that the next run gives the same ids; delete it before the store is shared.

    Args:
        into: the store's folder.
        settings: what all its scans have in common.
        salt: given, or None to make or reuse one.
    Returns:
        The salt.
    Raises:
        DataError: the folder is something else, or was begun with other settings or another salt.
    """
    if salt == "":
        raise DataError("an empty salt hides nobody; give a long secret text, or leave --salt out")
    refuse_foreign(into)
    if not (into / SETTINGS).is_file():
        write_secret(into / SALT, salt or secrets.token_hex(16))
        write_json(into / SETTINGS, dict(settings))
    before = read_object(into / SETTINGS)
    if before.get("leave_out"):
        before["leave_out"] = True  # earlier versions wrote the tables' paths
    for name, value in settings.items():
        if before.get(name) != value:
            raise DataError(
                f"{into} was begun with {name} = {before.get(name)}, not {value}; use that, or another folder"
            )
    return _read_salt(into, salt)


def refuse_foreign(into: Path) -> None:
    """Refuse a folder that holds something else than a store, before anything is written there.

    Raises:
        DataError: it is one, or a file.
    """
    if (into / SETTINGS).is_file() or not into.exists():
        return
    if not (into.is_dir() and all(map(_is_begun, into.iterdir()))):
        raise DataError(f"{into} is there already and no store; choose a new folder or an empty one")


def _is_begun(path: Path) -> bool:
    """Whether a file is one that a store's beginning, killed before its end, leaves."""
    return path.name in (SALT, LEASE) or is_leftover(path, SALT, SETTINGS, LEASE) or is_a_look(path)


def _read_salt(into: Path, salt: str | None) -> str:
    kept, why = find_salt(into)
    if kept is None and salt is None:
        raise DataError(f"{why}, so scans would get other ids; mend that, give the same --salt, or a new folder")
    if kept is None:
        return str(salt)
    if salt is not None and salt != kept:
        raise DataError(f"{into} was begun with another salt; leave --salt out, or use another folder")
    return kept


def find_done(into: Path, id_: str) -> Scan | None:
    """Find the record of a scan that is complete in the store; None otherwise."""
    return find_record(scan_file(into, id_), "scan", Scan.from_json)


def stored_ids(into: Path) -> list[str]:
    """The ids of all files in `scans/`."""
    return sorted(path.stem for path in (into / SCANS).glob("*.b2nd"))


def write_summed_manifest(into: Path, scans: Iterable[Scan], *, summed: Mapping[str, Scan] | None = None) -> Path:
    """Write the manifest, with the checksums of all files, and return its path.

    A checksum that stands in the manifest of before stays, so that what has changed since is found out.

    Args:
        into: the store's folder.
        scans: in it.
        summed: scans with the checksums that parts took, by id.
    """
    before = read_manifest(into) if manifest_of(into).is_file() else []
    known = {**(summed or {}), **{scan.id: scan for scan in before}}
    return write_manifest(into, [summed_up(scan, known.get(scan.id), into) for scan in scans])


def summed_up(scan: Scan, before: Scan | None, into: Path) -> Scan:
    """A scan with the checksum of its file, taken from the same scan of before where that has one."""
    if scan.stored_sha256:
        return scan
    if before is not None and before.stored_sha256 and replace(before, stored_sha256="") == scan:
        return before
    return replace(scan, stored_sha256=sha256(scan_file(into, scan.id)))


def has_provenance(into: Path, arguments: Mapping[str, Any]) -> bool:
    """Whether the store has the provenance of these arguments; that of an earlier manifest does not count."""
    try:
        return read_provenance(into, "prepare").arguments == arguments
    except DataError:  # none, damaged, or of another stage: to be made again
        return False


def write_problems(into: Path, problems: Iterable[Problem]) -> None:
    """Write the problems, in the order of paths. The table names sources: it is for the owner of the scans."""
    problems_room.write_problems(into / PROBLEMS, problems)
