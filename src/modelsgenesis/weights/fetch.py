"""Weights of the registry onto this disk, with a record beside them of what they are and who checked them."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.files import read_object, sha256, write_json
from modelsgenesis.weights.download import Patience, Progress, download
from modelsgenesis.weights.registry import Entry, resolve


@dataclass(frozen=True)
class Record:
    """The content of NAME.json, beside a fetched file.

    Attributes:
        name: in the registry.
        url: it came from.
        sha256: of what came.
        size: in bytes.
        checked: against the checksum that its publisher states; False: this was the first that came, and what comes
            later is checked against it.
        fetched: when, UTC.
        licence: that was accepted.
        licence_url: its text.
        citation: of its paper.
    """

    name: str
    url: str
    sha256: str
    size: int
    checked: bool
    fetched: str
    licence: str
    licence_url: str
    citation: str


def record_of(entry: Entry, folder: Path) -> Record | None:
    """Read the record of an entry in a folder; None if there is none.

    Raises:
        WeightsError: the record is broken.
    """
    path = folder / f"{entry.name}.json"
    if not path.exists():
        return None
    try:
        return Record(**read_object(path))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not the record of a download ({error}); remove it, and fetch anew") from error


def record_beside(path: Path) -> Record | None:
    """The record of a fetched file, by which its licence follows what is made of it; None for any other file."""
    try:
        record = Record(**read_object(path.with_suffix(".json")))
    except (TypeError, ValueError):
        return None
    return record if record.name == path.stem else None


def is_accepted(entry: Entry, folder: Path) -> bool:
    """Whether the licence needs no confirmation: accepted for this folder before, or of weights in the package."""
    record = record_of(entry, folder)
    return (not entry.url and not entry.page) or (record is not None and record.licence == entry.licence.name)


def fetch(
    entry: Entry,
    folder: Path,
    *,
    patience: Patience | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Download an entry whose licence the user has accepted; one that is there is only checked.

    Args:
        entry: of the registry, or made by yourself.
        folder: gets the file, called after the entry, and its record NAME.json.
        patience: with lines that break.
        progress: called with how much is there.
    Returns:
        The file's path; of weights in the package, theirs.
    Raises:
        WeightsError: it cannot be had, or it is not what the registry or the record says.
        DataError: the disk is full or the folder cannot be written.
    """
    if not entry.url:
        return resolve(entry.name)
    path, record = folder / entry.file, record_of(entry, folder)
    known = entry.sha256 or (record.sha256 if record else None)
    if path.exists():
        found = _of_file_there(entry, path, record, known)
    else:
        found = download(entry.url, path, size=entry.size, checksum=known, patience=patience, progress=progress)
    if record is None or record.sha256 != found:
        _write(entry, folder, found, path.stat().st_size)
    return path


def _of_file_there(entry: Entry, path: Path, record: Record | None, known: str | None) -> str:
    """Check a file that is already there."""
    if known is None:
        raise WeightsError(f"{path}: is there, but nothing says where from; remove it or name another folder")
    found = sha256(path)
    if found != known:
        says = "the registry" if entry.sha256 else f"its record of {record.fetched if record else ''}"
        raise WeightsError(
            f"{path}: its SHA-256 is {found}, but {says} says {known}; it was changed: remove it, and fetch anew"
        )
    return found


def _write(entry: Entry, folder: Path, found: str, size: int) -> None:
    record = Record(
        name=entry.name,
        url=entry.url,
        sha256=found,
        size=size,
        checked=entry.sha256 is not None,
        fetched=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        licence=entry.licence.name,
        licence_url=entry.licence.url,
        citation=entry.citation,
    )
    write_json(folder / f"{entry.name}.json", vars(record))
