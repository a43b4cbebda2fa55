"""What there is to prepare: one source a scan, found in a folder or named by a CSV."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.boxes import Box
from modelsgenesis.data.formats.dicom_series import Series, Slice, group_series, read_slice
from modelsgenesis.data.formats.file_type import ENDINGS, PICTURES, USUAL_ENDING, content_of, ending_of
from modelsgenesis.data.problems import Problem, UnreadableError

Mapper = Callable[[Callable[[Path], Slice | Problem], Iterable[Path]], Iterable[Slice | Problem]]

CUBES = re.compile(r"bat_(?P<per_scan>\d+)_(s_)?\d+x\d+x\d+_(?P<fold>\d+)\.npy$")
LUNA_SUBSET = re.compile(r"subset(\d)$")
BIDS_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+$")
OTHER_PICTURES = (".tif", ".tiff", ".bmp")
ARCHIVES = (".zip", ".npz", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
FLAT = "a 2D picture, not a volume"
OTHER_VOLUMES = (".mgh", ".mgz", ".mnc", ".par", ".img.gz", ".vtk", ".bdf")


@dataclass(frozen=True)
class Source:
    """One scan before it is prepared. The raw names in it never reach the store.

    Attributes:
        path: of the file, or of the folder of a DICOM series.
        kind: "image" (a volume SimpleITK reads), "picture" (a PNG or JPEG), "dicom", "npy", "cubes" (an official cube
            file), "row" (of an array in a .npz) or "outlines" (an XML of LIDC-IDRI, drawn on its series: a mask).
        files: all that is read, in order.
        series: raw; names the scan.
        patient: raw.
        modality: given, or "".
        fold: given, or None.
        forced: named by a CSV, so never taken for a label map.
        cubes_per_scan: of an official cube file, from its name; 1 otherwise.
        dicom: what the headers of a DICOM series say, that it is or is drawn on; None otherwise.
        index: which volume of a 4D image, or which row of the array; None where the file holds one volume.
        array: the name of the array in a .npz.
        box: of the scan, that is all that is read; None is the whole.
    """

    path: Path
    kind: str
    files: tuple[Path, ...]
    series: str
    patient: str
    modality: str = ""
    fold: int | None = None
    forced: bool = False
    cubes_per_scan: int = 1
    dicom: Series | None = None
    index: int | None = None
    array: str = ""
    box: Box | None = None

    def cut(self, box: Box) -> "Source":
        """A box of this scan, as a source of its own name."""
        return replace(self, box=box, series=f"{self.series}{box}")

    def whole(self) -> "Source":
        """The scan that this is a box of; itself, if it is none."""
        return replace(self, box=None, series=self.series.removesuffix(str(self.box))) if self.box else self


def find_sources(
    path: Path,
    *,
    root: Path | None = None,
    skip: Path | None = None,
    mapper: Mapper = map,
    pictures: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Find every scan in a folder, or the one in a file.

    A patient is the PatientID in DICOM, the folder `sub-...` in BIDS, and otherwise unknown: every file then counts as
    a patient of its own, and a CSV tells better. A LUNA16 folder `subsetK` and a cube file's last number are folds.

    Args:
        path: a folder, searched through and through, or a file.
        root: ids of files come from their paths below this folder; by default `path`.
        skip: a folder to leave out.
        mapper: applies a function to many paths, as `map` does; for reading DICOM headers in parallel.
        pictures: take PNG and JPEG files too; otherwise they are problems.
    Returns:
        Sources in the order of their paths, and what cannot be one.
    Raises:
        DataError: there is no such folder.
    """
    if not path.exists():
        raise DataError(f"{path}: no such folder or file; is it spelled right?")
    root = root or (path if path.is_dir() else path.parent)
    sources: list[Source] = []
    problems: list[Problem] = []
    slices: list[Path] = []
    for file in walk(path, problems, skip) if path.is_dir() else [path]:
        try:
            kind = classify(file, pictures=pictures)
            if kind == "dicom":
                slices.append(file)
            elif kind:
                sources.append(describe_file(file, kind, root))
        except UnreadableError as error:
            problems.append(error.at(file))
    read = list(mapper(read_slice, slices))
    problems.extend(one for one in read if isinstance(one, Problem))
    found, wrong = group_series([one for one in read if isinstance(one, Slice)])
    sources.extend(
        Source(one.folder, "dicom", one.files, one.uid, one.patient, one.modality, dicom=one) for one in found
    )
    return sorted(sources, key=lambda source: (source.path, source.series)), [*problems, *wrong]


def walk(folder: Path, problems: list[Problem], skip: Path | None = None) -> Iterator[Path]:
    """Name the files below a folder in a fixed order, through links too; hidden ones are left out.

    Args:
        folder: where to begin.
        problems: folders that are empty or cannot be opened are added here.
        skip: a folder to leave out.
    """
    seen: set[str] = set() if skip is None else {os.path.realpath(skip)}

    def refuse(error: OSError) -> None:
        problems.append(Problem(Path(error.filename), "the folder cannot be opened", "change its permissions"))

    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        if os.path.realpath(here) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(here))
        if not folders and not files:
            problems.append(Problem(Path(here), "the folder is empty", "nothing to do, or copy again", "warning"))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def classify(file: Path, *, pictures: bool = False) -> str:
    """Say how a file is read: "image", "picture", "npy", "cubes", "dicom", or "" when it is no concern of ours.

    Args:
        file: to look at.
        pictures: whether 2D pictures are wanted.
    Raises:
        UnreadableError: it is or claims to be an image, but cannot be read as one.
    """
    ending = ending_of(file)
    if not pictures and ENDINGS.get(ending) in PICTURES:
        raise UnreadableError(FLAT, "leave it out; 3D volumes are prepared here")
    content = _content(file)
    if not (pictures or ending) and content in PICTURES:
        return ""
    if ending and content != ENDINGS[ending]:
        if not content:
            raise UnreadableError(f"not a {ENDINGS[ending]} file, though called {ending}", "copy or export it again")
        raise UnreadableError(
            f"a {content} file by content, but called {ending}", f"rename it to end in {USUAL_ENDING[content]}"
        )
    if content == "DICOM":
        return "" if file.name == "DICOMDIR" else "dicom"
    if content and not ending:
        raise UnreadableError(
            f"a {content} file whose name does not say so", f"rename it to end in {USUAL_ENDING[content]}"
        )
    if content == "NumPy":
        return "cubes" if CUBES.search(file.name) else "npy"
    if content in PICTURES:
        return "picture"
    if not ending:
        _refuse_others(file)
    return "image" if ending else ""


def _content(file: Path) -> str:
    try:
        if file.stat().st_size == 0 and ending_of(file):
            raise UnreadableError("the file is empty", "copy or export it again")
        return content_of(file)
    except PermissionError as error:
        raise UnreadableError("no permission to read the file", "change its permissions") from error
    except OSError as error:
        raise UnreadableError(f"the file cannot be opened ({error.strerror})", "copy it again") from error


def _refuse_others(file: Path) -> None:
    name = file.name.lower()
    if name.endswith(OTHER_PICTURES):
        raise UnreadableError(FLAT, "leave it out, or save it as PNG where pictures are wanted")
    if name.endswith(ARCHIVES):
        raise UnreadableError(
            "an archive", "unpack it beside; volumes are read from .nii.gz, .nrrd, .mha, DICOM or .npy"
        )
    if name.endswith(OTHER_VOLUMES):
        raise UnreadableError("a format that is not read here", "convert it to .nii.gz")


def describe_file(file: Path, kind: str, root: Path) -> Source:
    """Make the source of one file.

    Args:
        file: what to read.
        kind: as `classify` says.
        root: of the search; ids come from the path below it, so the whole folder may move.
    """
    below = file.relative_to(root) if file.is_relative_to(root) else file
    subject = next((part for part in below.parts[:-1] if BIDS_SUBJECT.match(part)), "")
    subset = next((found for part in file.parts[:-1] if (found := LUNA_SUBSET.match(part))), None)
    source = Source(
        file,
        kind,
        (file, *_data_files(file)),
        series=below.as_posix(),
        patient=subject or below.as_posix(),
        fold=int(subset[1]) if subset else None,
        modality="unknown" if kind == "picture" else "",
    )
    if kind == "cubes" and (named := CUBES.search(file.name)):
        return replace(source, fold=int(named["fold"]), cubes_per_scan=int(named["per_scan"]), modality="CT")
    return source


def _data_files(file: Path) -> tuple[Path, ...]:
    """Where a detached header says the voxels are; nothing for other files.

    Raises:
        UnreadableError: such a file is not there.
    """
    patterns = {".mhd": rb"ElementDataFile\s*=\s*(.+)", ".nhdr": rb"data ?file:\s*(.+)"}
    if file.suffix.lower() == ".hdr":
        names = [file.with_suffix(".img").name]
    elif file.suffix.lower() in patterns:
        with open(file, "rb") as opened:
            found = re.search(patterns[file.suffix.lower()], opened.read(65536), re.IGNORECASE)
        names = [found[1].decode(errors="replace").strip()] if found else []
    else:
        return ()
    if not names or names[0].upper().startswith("LIST") or "%" in names[0]:
        raise UnreadableError("its voxels lie in a list of files", "convert it to .nii.gz or .nrrd, one file a volume")
    data = file.parent / names[0]
    if names[0] == "LOCAL":
        return ()
    if not data.is_file():
        raise UnreadableError(f"its voxels, {names[0]}, are not there", "copy that file beside it")
    return (data,)
