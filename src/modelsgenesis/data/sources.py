"""What there is to prepare: one source a scan, found in a folder or named by a CSV."""

import contextlib
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import open_regular
from modelsgenesis.core.image_format import ImageFormat, Mapper
from modelsgenesis.core.process_pool import usable_cores
from modelsgenesis.data.boxes import Box
from modelsgenesis.data.formats import classify, stem_of
from modelsgenesis.data.formats.base.dicom_stack import Series
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source

PEEK_BYTES = 2**16
TOLD_EVERY = 20_000  # files
LUNA_SUBSET = re.compile(r"subset(\d)$")
BIDS_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+$")
CHANNEL = re.compile(r"(.+)_(\d{4})")  # how nnU-Net names the image of one channel


@dataclass(frozen=True)
class Source:
    """One scan before it is prepared. The raw names in it never reach the store.

    Attributes:
        path: of the file, or of the folder of a DICOM series.
        format: that reads it.
        files: all that is read, in order.
        series: raw; names the scan.
        patient: raw.
        modality: given, or "".
        fold: given, or None.
        forced: named by a CSV, so never taken for a label map.
        cubes_per_scan: of an official cube file, from its name; 1 otherwise.
        dicom: the headers of the DICOM series that it is, or is drawn on; None otherwise.
        index: which volume of a 4D image, or which row of the array; None where the file holds one volume.
        array: the name of the array in a .npz.
        box: of the scan, that is all that is read; None is the whole.
    """

    path: Path
    format: ImageFormat
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

    @property
    def num_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def last_changed(self) -> int:
        """When the last of the files was written, moved or copied here, in nanoseconds."""
        times = [file.stat() for file in self.files]
        return max(max(one.st_mtime_ns, one.st_ctime_ns) for one in times)

    def within(self, box: Box) -> "Source":
        """A box of this scan, as a source of its own name."""
        return replace(self, box=box, series=f"{self.series}{box}")

    def whole(self) -> "Source":
        """The scan that this is a box of, or the scan itself."""
        return replace(self, box=None, series=self.series.removesuffix(str(self.box))) if self.box else self


def find_sources(
    path: Path,
    *,
    root: Path | None = None,
    skip: Path | None = None,
    mapper: Mapper = map,
    pictures: bool = False,
    tell: Callable[[int], None] = lambda number: None,
) -> tuple[list[Source], list[Problem]]:
    """Find every scan in a folder, or the one in a file.

    A patient is the PatientID in DICOM, the folder `sub-...` in BIDS, the case in a folder of nnU-Net's, whose channels
    are a file each, and otherwise unknown: every file then counts as a patient of its own; a CSV is more exact. A
    LUNA16 folder `subsetK` and a cube file's last number are folds.

    Args:
        path: a folder, searched through and through, or a file.
        root: ids of files come from their paths below this folder; by default `path`.
        skip: a folder to leave out.
        mapper: applies a function to many paths, as `map` does; for reading DICOM headers in parallel.
        pictures: take PNG and JPEG files too; otherwise they are problems.
        tell: called now and then with the number of files looked at.
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
    slices: dict[ImageFormat, list[Path]] = {}
    for number, file in enumerate(walk(path, problems, skip) if path.is_dir() else [path], start=1):
        if number % TOLD_EVERY == 0:
            tell(number)
        try:
            with costs_one_source():
                format_ = classify(file, pictures=pictures)
                if format_ and format_.is_directory:
                    slices.setdefault(format_, []).append(file)
                elif format_:
                    sources.append(describe_file(file, format_, root))
        except UnreadableError as error:
            problems.append(error.at(file))
    for format_, files in slices.items():
        found, wrong = format_.gather(files, mapper)
        sources += [Source(format=format_, **fields) for fields in found]
        problems += wrong
    return sorted(sources, key=lambda source: (source.path, source.series)), problems


def find_of_one_kind(
    path: Path, *, skip: Path | None = None, mapper: Mapper = map, tell: Callable[[int], None] = lambda number: None
) -> tuple[list[Source], list[Problem]]:
    """Find every volume as `find_sources` does, or every picture where there is no volume.

    Beside volumes, pictures are something else: screenshots, logos.
    """
    sources, problems = find_sources(path, skip=skip, mapper=mapper, tell=tell)
    return (sources, problems) if sources else find_sources(path, skip=skip, mapper=mapper, pictures=True, tell=tell)


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


def describe_file(file: Path, format_: ImageFormat, root: Path) -> Source:
    """Make the source of one file.

    Args:
        file: what to read.
        format_: that it is in, as `classify` says.
        root: of the search; ids come from the path below it, so the whole folder may move.
    """
    below = file.relative_to(root) if file.is_relative_to(root) else file
    subject = next((part for part in below.parts[:-1] if BIDS_SUBJECT.match(part)), "")
    subset = next((found for part in file.parts[:-1] if (found := LUNA_SUBSET.match(part))), None)
    source = Source(
        file,
        format_,
        format_.files_of(file),
        series=below.as_posix(),
        patient=subject or _case_of(file, below) or below.as_posix(),
        fold=int(subset[1]) if subset else None,
    )
    return replace(source, **format_.declared(file))


def channel_of(name: str) -> tuple[str, int] | None:
    """The case and the channel in a file's name as nnU-Net writes it: `CASE_0001` is channel 1 of CASE."""
    found = CHANNEL.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def _case_of(file: Path, below: Path) -> str:
    """The case of which a file is one channel, in a folder of images with nnU-Net's `dataset.json` above; or ""."""
    found = channel_of(stem_of(file))
    if found is None or not (file.parent.parent / "dataset.json").is_file():
        return ""
    return below.with_name(found[0]).as_posix()


def reading_processes(sources: Iterable[Source], *, much: bool) -> int:
    """How many processes read: one a core where there is much to read, which takes longer than to start them.

    Otherwise one, where a damaged file may end it; none where no file can, so that this process reads.

    Args:
        sources: to read.
        much: there is.
    """
    return usable_cores() if much else int(any(source.format.may_die for source in sources))


def drop_duplicates(sources: list[Source]) -> tuple[list[Source], list[Problem]]:
    """Keep the first of each; a copy that counts as another patient would be in training and validation at once.

    Files are compared only where their sizes are equal, and wholly only where their ends are.

    Args:
        sources: in the order of preference.
    Returns:
        Those kept, and a problem for each of the others.
    """
    problems: list[Problem] = []
    first: dict[str, Source] = {}
    for source in sources:
        if source.series in first:
            what = f"two scans with one id: the other is {first[source.series].path}"
            problems.append(Problem(source.path, what, "remove one of them, or a row of the CSV"))
        else:
            first[source.series] = source
    alike = _alike([list(first.values())], lambda source: source.num_bytes)
    alike = _alike(_alike(alike, _peek), lambda source: source.format.content_hash(source))
    dropped = set()
    for original, *copies in alike:
        for copy in copies:
            dropped.add(copy.series)
            what = f"byte for byte the same as {original.path}"
            problems.append(Problem(copy.path, what, "remove one of them: only that one counts"))
    return [source for series, source in first.items() if series not in dropped], problems


def _alike(groups: Iterable[list[Source]], key: Callable[[Source], Hashable]) -> list[list[Source]]:
    """Split groups further by a key; groups of a single source are left out, and what cannot be read, too."""
    alike: list[list[Source]] = []
    for group in groups:
        by_key: dict[Hashable, list[Source]] = defaultdict(list)
        for source in group:
            with contextlib.suppress(UnreadableError), costs_one_source():  # what is wrong is told when it is read
                by_key[key(source)].append(source)
        alike.extend(members for members in by_key.values() if len(members) > 1)
    return alike


def _peek(source: Source) -> bytes:
    return b"".join(_hash_end(path) for path in source.files[:1] + source.files[-1:])


def _hash_end(path: Path) -> bytes:
    with open_regular(path) as file:
        file.seek(-min(PEEK_BYTES, path.stat().st_size), 2)
        return hashlib.sha256(file.read()).digest()
