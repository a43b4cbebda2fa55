"""What a store holds, and whether its files are as they were written: `genesis inspect STORE`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.manifest import manifest_of
from modelsgenesis.data.store.scan import Scan
from modelsgenesis.data.store.store import SCANS, Store, scan_file
from modelsgenesis.data.store.verifying import find_damage
from modelsgenesis.reports.inspection_tables import Row, counted, span

LOOKED_UP = ("id", "patient", "fold", "size", "file")
MOST_NOTES = 5
WHOLE = "every byte is as it was written"


def is_store(folder: Path) -> bool:
    """Whether a folder is a store rather than labelled cases."""
    return manifest_of(folder).is_file() and (folder / SCANS).is_dir()


def store_rows(store: Store) -> list[Row]:
    """Summarise a store in a few lines of (what, value)."""
    scans, said = store.scans, nouns(store.axes)
    num_bytes = sum(file.stat().st_size for scan in scans if (file := scan_file(store.path, scan.id)).is_file())
    noted = Counter(note for scan in scans for note in scan.notes).most_common(MOST_NOTES)
    return [
        (f"{said.scan}s", str(scans.num_images)),
        ("patients", str(len(np.unique(scans.column("patient"))))),
        ("folds", str(len(store.folds))),
        ("modality", counted(scan.modality for scan in scans)),
        (f"size in {said.voxel}s", span([scan.size for scan in scans], "{:.0f}")),
        ("spacing in mm", span([scan.spacing_mm for scan in scans], "{:.3g}")),
        ("on the disk", f"{num_bytes / 2**20:,.0f} MiB"),
        *((f"noted of {many(num, said.scan)}", note) for note, num in noted),
    ]


def looked_up(store: Store, words: Sequence[str]) -> list[Row]:
    """Say which scan of a store an id, a patient's salted name, or a file is: (id, patient, fold, size, file).

    Args:
        store: to look in.
        words: ids, salted names of patients, paths of files or folders, or their names.
    Raises:
        DataError: the salt is gone or the scans have moved, so that nothing leads from id to file; or nothing is so
            called.
    """
    sources = store.sources
    if not sources:
        raise DataError(
            f"{store.path}: nothing leads from its ids to files: its salt is gone, or the scans have moved since they "
            "were prepared; put them back"
        )
    rows: list[Row] = []
    for word in words:
        there = [scan for scan in store.scans if _is_meant(word, scan, sources.get(scan.id))]
        if not there:
            raise DataError(f"{store.path}: {word} is no id of it, no patient and no file that was prepared into it")
        for scan in there:
            size = " x ".join(map(str, scan.size))
            source = sources.get(scan.id)
            rows.append((scan.id, scan.patient, str(scan.fold), size, str(source.path) if source else "not found"))
    return rows


def _is_meant(word: str, scan: Scan, source: Source | None) -> bool:
    """Whether a word names a scan: by its id, its patient, its file or that file's name."""
    if word in (scan.id, scan.patient):
        return True
    return source is not None and (word == source.path.name or Path(word).absolute() == source.path.absolute())


def verified_row(store: Store, workers: int | None, console: Console) -> Row:
    """Compare every file of a store with its checksum, and say how that went.

    Raises:
        DataError: a file is not as it was written; it names all of them.
    """
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        bar = progress.add_task("comparing", total=len(store.scans))
        damage = find_damage(store, workers=workers, progress=lambda done: progress.update(bar, completed=done))
    if damage:
        raise DataError("\n".join(damage))
    without = sum(not scan.stored_sha256 for scan in store.scans)
    if without:
        return "checksums", f"{many(without, 'file')} without one: run genesis prepare again, then compare"
    return "checksums", f"{many(len(store.scans), 'file')}: {WHOLE}"
