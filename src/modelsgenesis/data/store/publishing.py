"""A store in an object store: made in a folder of this machine, then uploaded, whole objects only."""

import json
from collections.abc import Callable
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import open_regular, sha256
from modelsgenesis.core.locations import Location
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.remote import delete, marks_in, upload
from modelsgenesis.core.words import many
from modelsgenesis.data.store.manifest import MANIFEST, MAPPED, manifest_of, read_manifest
from modelsgenesis.data.store.options import PrepareOptions
from modelsgenesis.data.store.store import SALT, SCANS, scan_file
from modelsgenesis.data.store.writer import SETTINGS

JOURNAL = "uploaded.jsonl"  # in the folder that is uploaded: what is there, with the mark that it had
LINE_EVERY = 50  # files


def check_begun_here(spool: Path, location: Location, options: PrepareOptions) -> None:
    """Refuse to go on with a store that was begun elsewhere, whose salt is not here, before anything is prepared.

    Args:
        spool: the folder that is uploaded.
        location: of the store.
        options: as they were given.
    Raises:
        DataError: it would be one store of two salts; or parts are asked for, which need a folder all machines see.
    """
    if options.part is not None or options.list:
        raise DataError(f"{location}: parts share a folder that all their machines see; prepare there, then copy it")
    if (spool / SALT).is_file() or options.salt is not None:
        return
    if {SETTINGS, PROVENANCE} & marks_in(location).keys():
        raise DataError(
            f"{location} was begun elsewhere, and its salt, which makes the ids, is never uploaded: go on with the "
            f"--cache that it was begun with (this one has no {spool.name}), give its --salt, or take another URL"
        )


def publish(spool: Path, location: Location, tell: Callable[[str], None]) -> None:
    """Upload a store that was made here; what is there already is not sent again.

    A store that changes has no made.json meanwhile, so that nobody takes it for whole. Neither the salt nor
    problems.csv, which names sources, is uploaded.

    Args:
        spool: its folder.
        location: to upload it to.
        tell: called with lines for the user.
    Raises:
        DataError: the object store cannot be reached or refuses; the same command goes on.
    """
    scans = {f"{SCANS}/{scan.id}.b2nd": scan.stored_sha256 for scan in read_manifest(spool)}
    manifest = manifest_of(spool).name
    sums = {**scans, **{name: sha256(spool / name) for name in (SETTINGS, manifest, PROVENANCE)}}
    there, known = marks_in(location), _read(spool / JOURNAL)
    new = [name for name, checksum in sums.items() if known.get(name) != (checksum, there.get(name))]
    ours = [name for name in known if name in there and name not in sums]
    ours += [name for name in (MANIFEST, MAPPED) if name in there and name != manifest]
    if not new and not ours:
        tell(f"{location} has all {many(len(scans), 'scan')} already")
        return
    delete(location, [*([PROVENANCE] if PROVENANCE in there else []), *ours])
    new = [name for name in new if name != PROVENANCE]
    tell(f"uploading {many(len(new) + 1, 'file')} to {location}")
    _upload(spool, location, new, sums, tell)
    _upload(spool, location, [PROVENANCE], sums, tell)
    if strange := [name for name in there if name.startswith(f"{SCANS}/") and name not in sums and name not in ours]:
        tell(f"{many(len(strange), 'file')} in {location}/{SCANS} are of no scan of the store; delete them if you can")


def _upload(
    spool: Path, location: Location, names: list[str], sums: dict[str, str], tell: Callable[[str], None]
) -> None:
    """Upload files, and write down each that is there."""
    files = {name: scan_file(spool, Path(name).stem) if name.startswith(SCANS) else spool / name for name in names}
    with open(spool / JOURNAL, "a", encoding="utf-8") as journal:
        for number, (name, mark) in enumerate(upload(location, files), start=1):
            journal.write(json.dumps([name, sums[name], mark]) + "\n")
            journal.flush()
            if number % LINE_EVERY == 0:
                tell(f"{number} of {many(len(names), 'file')} uploaded")


def _read(journal: Path) -> dict[str, tuple[str, str]]:
    """The checksum and mark of what was uploaded, by name; a line that was cut off counts for nothing."""
    found: dict[str, tuple[str, str]] = {}
    if not journal.is_file():
        return found
    with open_regular(journal) as file:
        for line in file:
            if line.endswith(b"\n") and line.startswith(b"["):
                name, checksum, mark = json.loads(line)
                found[name] = (checksum, mark)
    return found
