"""What `genesis prepare --leave-out` keeps out of a store, also of one that held it before."""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import DataError, blamed_on
from modelsgenesis.core.files import read_json, write_json
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import many
from modelsgenesis.data.entries import one_source, place_of, scan_place
from modelsgenesis.data.patient_names import PATIENTS, is_salted, with_raw_patients
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
        patients: raw, or salted where nothing leads back.
        unknown: how many rows name a patient by a salted name that neither a secret table nor a header explains.
    """

    tables: tuple[Path, ...] = ()
    images: frozenset[Path] = frozenset()
    patients: frozenset[str] = frozenset()
    unknown: int = 0

    @classmethod
    def read(cls, tables: Sequence[Path]) -> "LeftOut":
        """Read the columns `image`, `image_0` ... and `patient` of tables.

        Raises:
            DataError: a table has none of them.
        """
        images: set[Path] = set()
        patients: set[str] = set()
        unknown = 0
        for path in tables:
            rows, columns = read_table(path)
            named = [name for name in columns if IMAGE.fullmatch(name)]
            if not named and "patient" not in columns:
                raise DataError(f"{path}: has no column `image` or `patient`; its columns are {', '.join(columns)}")
            for row in with_raw_patients(rows, path):
                own = {path.parent / row[name] for name in named if row[name]}
                patient = row.get("patient", "")
                known = _patients_of(own) if is_salted(patient) else {patient} - {""}
                unknown += is_salted(patient) and not known
                images |= own
                patients |= known
        return cls(tuple(tables), frozenset(images), frozenset(patients), unknown)

    @functools.cached_property
    def sizes(self) -> set[int]:
        """The sizes of the images that are there, in bytes."""
        return {scan.num_bytes for scan in self._scans}

    @functools.cached_property
    def _scans(self) -> list[Source]:
        """The images that are there."""
        return [scan for image in sorted(self.images) if (scan := _scan_at(image))]

    @functools.cached_property
    def locations(self) -> set[tuple[Path, str, int | None]]:
        """The files and rows of the images."""
        return {scan_place(image) for image in self.images}

    @functools.cached_property
    def hashes(self) -> set[str]:
        """The hashes of the images that are there."""
        return {scan.format.content_hash(scan) for scan in self._scans}

    def holds(self, source: Source) -> bool:
        """Whether a table names this scan, a part of it, or its patient; of unknown patients, also a copy of a scan."""
        if place_of(source) in self.locations or source.patient in self.patients:
            return True
        scan = source.whole()
        return self.unknown > 0 and scan.num_bytes in self.sizes and scan.format.content_hash(scan) in self.hashes

    def in_doubt(self) -> str:
        """What could not be looked up, in words; "" where everything could."""
        if not self.unknown:
            return ""
        return (
            f"{self} names the patients of {many(self.unknown, 'case')} by salted names, and no {PATIENTS} beside it "
            "leads back: they are left out by their files and copies of them, not by patient"
        )

    def __str__(self) -> str:
        return ", ".join(map(str, self.tables))


def _scan_at(image: Path) -> Source | None:
    """The whole scan that a table names, if it is there."""
    try:
        return one_source(image, image.parent).whole()
    except UnreadableError:
        return None


def _patients_of(images: Iterable[Path]) -> set[str]:
    """The patients whom the headers or folders of images name."""
    scans = (_scan_at(image) for image in images)
    return {scan.patient for scan in scans if scan and scan.patient not in ("", scan.series)}


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
