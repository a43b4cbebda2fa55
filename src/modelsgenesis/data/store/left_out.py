"""What `genesis prepare --leave-out` keeps out of a store, also of one that held it before."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_json, write_json
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import many
from modelsgenesis.data.entries import one_source, place_of, scan_place
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store.preparing import Settings, name_scan
from modelsgenesis.data.store.scan import Scan, hashed
from modelsgenesis.data.store.store import scan_file
from modelsgenesis.data.store.writer import find_done, stored_ids

IMAGE = re.compile(r"image(_\d+)?")  # columns that name images
LEFT_OUT = "left_out.json"  # in the store: the ids of all scans that ever were left out


@dataclass(frozen=True)
class LeftOut:
    """Scans and patients that must not be in a store.

    Attributes:
        tables: that name it.
        images: as they are named there.
        patients: raw.
    """

    tables: tuple[Path, ...] = ()
    images: frozenset[Path] = frozenset()
    patients: frozenset[str] = frozenset()

    @classmethod
    def read(cls, tables: Sequence[Path]) -> "LeftOut":
        """Read the columns `image`, `image_0` ... and `patient` of tables.

        Raises:
            DataError: a table has none of them.
        """
        images: set[Path] = set()
        patients: set[str] = set()
        for path in tables:
            rows, columns = read_table(path)
            named = [name for name in columns if IMAGE.fullmatch(name)]
            if not named and "patient" not in columns:
                raise DataError(f"{path}: has no column `image` or `patient`; its columns are {', '.join(columns)}")
            images |= {path.parent / row[name] for row in rows for name in named if row[name]}
            patients |= {row["patient"] for row in rows if row.get("patient")}
        return cls(tuple(tables), frozenset(images), frozenset(patients))

    @functools.cached_property
    def locations(self) -> set[tuple[Path, str, int | None]]:
        """The files and rows of the images."""
        return {scan_place(image) for image in self.images}

    @functools.cached_property
    def hashes(self) -> set[str]:
        """The hashes of the images that are there."""
        found = set()
        for image in self.images:
            try:
                scan = one_source(image, image.parent).whole()
                found.add(scan.format.content_hash(scan))
            except UnreadableError:
                continue
        return found

    def holds(self, source: Source) -> bool:
        """Whether a table names this scan, a part of it, or its patient."""
        return place_of(source) in self.locations or source.patient in self.patients

    def __str__(self) -> str:
        return ", ".join(map(str, self.tables))


def keep_out(into: Path, left_out: LeftOut, sources: Sequence[Source], settings: Settings) -> int:
    """Delete from a store what is left out now, and remember it, so that no later table lets it in.

    Args:
        into: the store's folder, held by this process.
        left_out: what is.
        sources: all that were found.
        settings: of the store.
    Returns:
        How many scans were deleted.
    Raises:
        DataError: what was left out before would be let in.
    """
    with blamed_on(into / LEFT_OUT, DataError, "holds no list of ids; it was written by genesis prepare"):
        before = set(read_json(into / LEFT_OUT)) if (into / LEFT_OUT).is_file() else set()
    ids = {name_scan(source, settings).id: left_out.holds(source) for source in sources}
    if again := [id_ for id_ in before if not ids.get(id_, True)]:
        num = many(len(again), "scan")
        raise DataError(
            f"{into} would get {num} that it left out before and that {left_out} does not name; name them, "
            "or use another folder"
        )
    patients = {hashed(settings.salt, "patient", patient) for patient in left_out.patients}
    gone = [
        id_
        for id_ in stored_ids(into)
        if (ids[id_] if id_ in ids else id_ in before or _is_left_out(find_done(into, id_), left_out, patients))
    ]
    write_json(into / LEFT_OUT, sorted({*before, *gone, *(id_ for id_, left in ids.items() if left)}))
    for id_ in gone:
        scan_file(into, id_).unlink()
    return len(gone)


def _is_left_out(scan: Scan | None, left_out: LeftOut, patients: set[str]) -> bool:
    """Whether a scan is left out whose source was not found: by its patient, or by its source's bytes."""
    return scan is not None and (scan.patient in patients or scan.sha256 in left_out.hashes)
