"""What there is to prepare: one source a scan, found in a folder or named by a CSV."""

from dataclasses import dataclass
from pathlib import Path

ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mhd", ".mha")


@dataclass(frozen=True)
class Source:
    """One scan before it is prepared.

    Attributes:
        path: of the file, or of the folder of a DICOM series.
        kind: "image", "dicom", "npy" or "cubes".
        files: all that is read.
        patient: raw, never stored; "" when unknown.
        series: raw, never stored; names the scan.
        modality: forced, or "".
        fold: given, or None.
        forced: named by a CSV, so never taken for a label map.
    """

    path: Path
    kind: str
    files: tuple[Path, ...]
    patient: str
    series: str
    modality: str = ""
    fold: int | None = None
    forced: bool = False


def find_sources(path: Path) -> list[Source]:
    """Find every scan in a folder."""
    found = [file for file in sorted(path.rglob("*")) if file.name.lower().endswith(ENDINGS)]
    return [
        Source(file, "image", (file,), file.relative_to(path).as_posix(), file.relative_to(path).as_posix())
        for file in found
    ]
