"""One scan as the manifest knows it: everything but the voxels, and nothing that names a person."""

import dataclasses
import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of
from modelsgenesis.data.intensity_statistics import PERCENTILES
from modelsgenesis.data.occupancy import NUMBERS_OF

MODALITIES = ("CT", "MR", "XR", "unknown")
MOST = 2**63  # of a number of cubes, voxels or bytes
GREATEST = 2.0**15  # half the range of float16, so that rounding up never overflows
LEAST = -(2**15)  # of int16
DEEPEST = 2.0**-29  # of the greatest value that float16 holds: below, it has fewer than eleven bits
FEWEST_HU = 100  # between the least and the greatest value of a CT; what spans less is rescaled, to [0, 1] for example
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
ID_LENGTH = 16  # hexadecimal digits: 64 bits
HASHED = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
BETWEEN = " | "  # notes in the manifest, whose own bars are doubled


@dataclass(frozen=True)
class Scan:
    """A prepared scan.

    Attributes:
        id: salted hash of the source's identity; names the file in `scans/`.
        patient: salted hash of the patient.
        series: salted hash of the series.
        modality: one of MODALITIES; CT is in HU.
        fold: of the patient, 0 or more.
        shape: (C, X, Y, Z), axes in LPS, or (C, X, Y) of a picture.
        spacing_mm: along the same axes; 1 where a picture's is not known.
        dtype: of the stored numbers; value = stored * slope + intercept.
        minimum: least value of the scan, in its units.
        maximum: greatest value.
        foreground: values above this are foreground, in the scan's units.
        percentiles: of the foreground, {percentile: value}.
        num_cubes: above 1 for an official cube file: it holds that many arrays of `shape`.
        cubes_per_scan: how many of those came from one scan; 1 otherwise.
        source_bytes: size of the source; a source of another size is prepared anew.
        sha256: of the source's bytes.
        notes: what was repaired on the way in, in words without names.
        mean: of the values in the box around all that is not 0.
        std: their standard deviation; 0 in stores from before it was measured.
        zeros: the share of them that is 0 and that nothing else encloses.
        fingerprint: of the image as it was read, before any resampling; "" of official cubes. Files call it `print`.
        levels: the values of black and white by a picture's bit depth; None where its header does not say.
        stored_sha256: of the file in `scans/`, which cannot hold it itself; "" in stores from before it was taken.
        occupancy: boxes of the coarse maps, by `occupancy_of`; none in stores from before it was taken, and of official
            cubes.
        site: hash of where it comes from, such as the store that it was joined from; "" where that is not known.
    """

    id: str
    patient: str
    series: str
    modality: str
    fold: int
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    dtype: str
    slope: float
    intercept: float
    minimum: float
    maximum: float
    foreground: float
    percentiles: Mapping[float, float]
    num_cubes: int
    cubes_per_scan: int
    source_bytes: int
    sha256: str
    notes: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 0.0
    zeros: float = 0.0
    fingerprint: str = ""
    levels: tuple[float, float] | None = None
    stored_sha256: str = ""
    occupancy: tuple[int, ...] = ()
    site: str = ""

    @property
    def size(self) -> tuple[int, ...]:
        """The size (X, Y, Z) in voxels."""
        return self.shape[1:]

    @property
    def num_images(self) -> int:
        """How many images it counts as: a volume, or a picture, is one; the slices of a volume are counted."""
        return self.num_cubes if len(self.size) == 2 else 1

    def to_json(self) -> dict[str, Any]:
        """The record as its file holds it."""
        data = dataclasses.asdict(self)
        del data["stored_sha256"]
        data["percentiles"] = {f"{p:g}": value for p, value in self.percentiles.items()}
        data["print"] = data.pop("fingerprint")
        for name in ("levels", "occupancy", "site"):  # of pictures, not of official cubes, of several sites
            if not data[name]:
                del data[name]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Scan":
        """Read a record from what `to_json` gives."""
        percentiles = {float(p): float(value) for p, value in data["percentiles"].items()}
        tuples = {name: tuple(data[name]) for name in ("shape", "spacing_mm", "notes")}
        tuples["occupancy"] = tuple(data.get("occupancy", ()))
        others = {name: value for name, value in data.items() if name != "print"}
        levels = tuple(data["levels"]) if data.get("levels") else None
        more = {"percentiles": percentiles, "fingerprint": data.get("print", ""), "levels": levels}
        return checked(cls(**{**others, **tuples, **more}))

    def to_row(self) -> dict[str, str]:
        """The record as a row of the manifest, in which numbers keep every digit."""
        data = self.to_json()
        row = {name: _text(data[name]) for name in (*_PLAIN, *_MOMENTS)}
        row["occupancy"] = " ".join(map(str, self.occupancy))
        row["shape"] = " ".join(map(str, self.shape))
        row["spacing_mm"] = " ".join(map(repr, self.spacing_mm))
        row["notes"] = notes_to_text(self.notes)
        row["print"], row["stored_sha256"], row["site"] = self.fingerprint, self.stored_sha256, self.site
        row["levels"] = " ".join(map(repr, self.levels or ()))
        return row | {f"p{p}": repr(value) for p, value in data["percentiles"].items()}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Scan":
        """Read a record from a row of the manifest.

        Raises:
            DataError: a column is missing or holds something else.
        """
        try:
            plain = {name: kind(row[name]) for name, kind in _PLAIN.items()}
            plain |= {name: float(row.get(name, 0.0)) for name in _MOMENTS}
            scan = cls(
                **plain,
                shape=tuple(int(side) for side in row["shape"].split()),
                spacing_mm=tuple(float(step) for step in row["spacing_mm"].split()),
                percentiles={p: float(row[f"p{p:g}"]) for p in PERCENTILES},
                notes=notes_from(row["notes"]),
                fingerprint=row.get("print", ""),
                levels=_levels(row.get("levels", "")),
                stored_sha256=row.get("stored_sha256", ""),
                occupancy=tuple(int(number) for number in row.get("occupancy", "").split()),
                site=row.get("site", ""),
            )
            return checked(scan)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the manifest's row of {row.get('id', '?')} is broken ({error}); prepare again") from error


_PLAIN: dict[str, Any] = {
    "id": str,
    "patient": str,
    "series": str,
    "modality": str,
    "fold": int,
    "dtype": str,
    "slope": float,
    "intercept": float,
    "minimum": float,
    "maximum": float,
    "foreground": float,
    "num_cubes": int,
    "cubes_per_scan": int,
    "source_bytes": int,
    "sha256": str,
}
_MOMENTS = ("mean", "std", "zeros")
NUMBERS: dict[str, type[int] | type[float]] = {
    **{name: kind for name, kind in _PLAIN.items() if kind is not str},
    **dict.fromkeys(_MOMENTS, float),
}

COLUMNS = (
    *("id", "patient", "series", "site", "modality", "fold", "shape", "spacing_mm", "dtype", "slope", "intercept"),
    *("minimum", "maximum", "foreground", *_MOMENTS),
    *(f"p{p:g}" for p in PERCENTILES),
    *(
        "num_cubes",
        "cubes_per_scan",
        "source_bytes",
        "sha256",
        "stored_sha256",
        "print",
        "levels",
        "occupancy",
        "notes",
    ),
)


def checked(scan: Scan) -> Scan:
    """A record that may be of anybody's, if it can be one: an id becomes the name of a file, numbers scale images.

    Raises:
        ValueError: it cannot.
    """
    names = (scan.id, scan.patient, scan.series, *([scan.site] if scan.site else []))
    if strange := [name for name in names if not HASHED.fullmatch(name)]:
        raise ValueError(f"{strange[0]!r} is no id of {ID_LENGTH} hexadecimal digits")
    if min(scan.num_cubes, scan.cubes_per_scan) < 1 or min(scan.fold, scan.source_bytes) < 0:
        raise ValueError("a scan of no cube, or of a fold or size below 0")
    if max(scan.num_cubes, scan.cubes_per_scan, scan.fold, scan.source_bytes, *scan.shape) >= MOST:
        raise ValueError("a number of more than 63 bits")
    if len(scan.shape) not in (3, 4) or min(scan.shape) < 1 or len(scan.spacing_mm) != len(scan.shape) - 1:
        raise ValueError(f"a shape of {scan.shape} with the spacing {scan.spacing_mm}")
    if not all(math.isfinite(step) and step > 0 for step in (*scan.spacing_mm, abs(scan.slope))):
        raise ValueError(f"a spacing or slope of {scan.spacing_mm}, {scan.slope}")
    boxes = scan.occupancy
    if boxes and (len(boxes) != NUMBERS_OF[len(scan.size)] or min(boxes) < 0 or max(boxes) >= -LEAST):
        raise ValueError(f"an occupancy of {len(boxes)} numbers")
    numbers = (scan.intercept, scan.minimum, scan.maximum, scan.foreground, scan.mean, scan.std, scan.zeros)
    if not all(map(math.isfinite, (*numbers, *scan.percentiles.values(), *(scan.levels or ())))):
        raise ValueError("a number that is not finite")
    if scan.dtype not in DTYPES or scan.modality not in MODALITIES:
        raise ValueError(f"values of {scan.dtype!r}, or the modality {scan.modality!r}")
    return scan


def notes_to_text(notes: tuple[str, ...]) -> str:
    """Notes as one cell of the manifest."""
    return BETWEEN.join(note.replace("|", "||") for note in notes)


def notes_from(text: str) -> tuple[str, ...]:
    """The notes of a cell."""
    return tuple(note.replace("||", "|") for note in text.split(BETWEEN) if note)


def _levels(text: str) -> tuple[float, float] | None:
    black, white = map(float, text.split()) if text else (0.0, 0.0)
    return (black, white) if text else None


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Encoding:
    """The encoding of stored numbers: value = stored * slope + intercept."""

    dtype: str
    slope: float = 1.0
    intercept: float = 0.0

    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Physical units -> what is stored; whole numbers are rounded, nothing wraps around."""
        stored = np.dtype(self.dtype)
        if self.slope == 1.0 and self.intercept == 0.0 and (values.dtype == stored or stored == np.float32):
            return values.astype(stored, copy=False)
        if stored.kind == "f":
            scaled: NDArray[Any] = (values.astype(np.float64) - self.intercept) / self.slope
            return scaled.astype(stored)
        wide = np.rint(values) if values.dtype.kind == "f" else values.astype(np.int32)
        limits = np.iinfo(stored)
        whole: NDArray[Any] = np.clip(wide - wide.dtype.type(self.intercept), limits.min, limits.max).astype(stored)
        return whole


def choose_encoding(
    modality: str, minimum: float, maximum: float, spread: float = 0.0, *, picture_dtype: str = ""
) -> Encoding:
    """Choose the encoding of a scan, by its true range: what is stored comes back.

    HU are rounded to 1 HU in 16 bits, unless they span so few that they are other numbers; the intercept moves them
    where the range is not that of int16, and float32 holds what spreads wider. float16 has eleven significant bits and
    overflows at 65504: the slope, a power of two so that it loses nothing, brings the greatest value near 2^15; the
    intercept is the minimum when all values lie far from zero.

    Args:
        modality: CT is stored in whole numbers.
        minimum: least value.
        maximum: greatest value.
        spread: of the foreground, without outliers; what float16 would flush to 0 beside padding of -3.4e38 is stored
            as float32. 0 is unknown.
        picture_dtype: of a picture's pixels, which stay as they are where they are whole; "" of a volume.
    """
    if picture_dtype in ("uint8", "uint16", "int16"):
        return Encoding(picture_dtype)
    if modality == "CT" and maximum - minimum >= FEWEST_HU:
        low, high = round(minimum), round(maximum)
        if low >= LEAST and high < -LEAST:
            return Encoding("int16")
        if high - low < -2 * LEAST:
            return Encoding("int16", intercept=float(low - LEAST))
        return Encoding("float32")
    intercept = minimum if min(abs(minimum), abs(maximum)) > maximum - minimum else 0.0
    greatest = max(abs(minimum - intercept), abs(maximum - intercept))
    if 0 < spread < greatest * DEEPEST:
        return Encoding("float32")
    return Encoding("float16", 2.0 ** math.ceil(math.log2(greatest / GREATEST)), intercept)


def hashed(salt: str, kind: str, raw: str) -> str:
    """Hash a raw identifier so that only the holder of the salt can tell whose it is.

    Args:
        salt: the store's secret.
        kind: "patient", "series" or "scan": one raw text gives unrelated ids.
        raw: as the source has it.
    """
    return hmac.new(salt.encode(), bytes_of(f"{kind}\0{raw}"), "sha256").hexdigest()[:ID_LENGTH]


def fold_of(patient: str, folds: int) -> int:
    """The fold of a patient, from the salted id alone: adding scans later moves nobody."""
    return int(patient, 16) % folds
