"""The manifest of a store: a CSV that anybody can read, or, of very many scans, a file that nobody has to parse."""

from collections.abc import Sequence
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.data.store.columns import Columns, Scans
from modelsgenesis.data.store.mapped import read_mapped, write_mapped
from modelsgenesis.data.store.scan import COLUMNS, Scan

MANIFEST = "manifest.csv"
MAPPED = "manifest.arrow"  # in its place where there are more scans than MOST_IN_CSV
MOST_IN_CSV = 10_000


def read_manifest(store: Path) -> Scans:
    """Read the manifest of a store.

    Raises:
        DataError: it is missing, not text, or a row is broken.
    """
    if (store / MAPPED).exists():
        return Scans(read_mapped(store / MAPPED))
    try:
        rows = read_rows(store / MANIFEST)
    except DataError as error:
        raise DataError(f"{error}; run genesis prepare again") from error
    return Scans.of([Scan.from_row(row) for row in rows])


def write_manifest(store: Path, scans: Sequence[Scan]) -> Path:
    """Write the manifest of a store, whole or not at all, in the order of ids.

    Up to MOST_IN_CSV scans it is a CSV; of more, a file of Arrow, which every process maps and none has to parse. A
    store has one of the two.

    Returns:
        Its path.
    """
    if len(scans) > MOST_IN_CSV:
        write_mapped(store / MAPPED, Columns.of(Scans.of(scans).by_id()))
        (store / MANIFEST).unlink(missing_ok=True)
        return store / MAPPED
    ordered = sorted(scans, key=lambda scan: scan.id)
    unused = {name for name in ("site", "levels", "occupancy") if not any(getattr(scan, name) for scan in ordered)}
    names = [name for name in COLUMNS if name not in unused]
    rows = (scan.to_row() for scan in ordered)
    write_table(store / MANIFEST, names, ({name: row[name] for name in names} for row in rows))
    (store / MAPPED).unlink(missing_ok=True)
    return store / MANIFEST


def manifest_of(store: Path) -> Path:
    """The file that is a store's manifest."""
    return store / MAPPED if (store / MAPPED).exists() else store / MANIFEST
