"""A CSV that names the scans, with what else is known of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core import tables
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.image_format import Mapper
from modelsgenesis.data.formats import FLAT, classify
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source, not_there
from modelsgenesis.data.sources import Source, describe_file, find_sources
from modelsgenesis.data.store.scan import MODALITIES

FOLD_DIGITS, SHOWN = 4, 20  # of a fold at most, and letters of another that are shown
ALSO = {"MRI": "MR", "MR": "MR", "CT": "CT", "XR": "XR", "X-RAY": "XR", "UNKNOWN": "unknown", "": ""}


def read_table(path: Path, *, mapper: Mapper = map) -> tuple[list[Source], list[Problem]]:
    """Read the scans that a CSV names.

    Args:
        path: of a CSV with the column `image` (a file, or the folder of a DICOM series, seen from the CSV's own
            folder) and, if known, `patient`, `modality` and `fold`; other columns are left alone.
        mapper: for reading DICOM headers in parallel.
    Returns:
        Sources in the order of the rows, and the rows that name none.
    Raises:
        DataError: it is no CSV, or has no column `image`, or no row.
    """
    rows, columns = tables.read_table(path)
    if "image" not in columns:
        raise DataError(f"{path}: has no column `image`; its columns are {', '.join(columns) or 'none'}")
    if not rows:
        raise DataError(f"{path}: names no image; add a row for each scan")
    sources: list[Source] = []
    problems: list[Problem] = []
    for row in with_raw_patients(rows, path):
        place = path.parent / row["image"]
        try:
            with costs_one_source():
                if not row["image"]:
                    raise UnreadableError("a row names no image in its column image", "name one there, or delete it")
                found, wrong = sources_at(place, path.parent, mapper=mapper, pictures=True)
                problems.extend(wrong)
                sources.extend([_with_row(source, row) for source in found])
        except UnreadableError as error:
            problems.append(error.at(place))
    return _agreeing(_of_one_kind(sources, problems), problems), problems


def sources_at(
    place: Path, root: Path, *, mapper: Mapper = map, pictures: bool = False
) -> tuple[list[Source], list[Problem]]:
    """Find the scans that one entry names.

    Args:
        place: a file, or a folder: of a DICOM series, as a rule.
        root: ids come from the path below it.
        mapper: for reading DICOM headers in parallel.
        pictures: whether it may be a PNG or JPEG file.
    Raises:
        UnreadableError: there is none.
    """
    if place.is_dir():
        found, problems = find_sources(place, root=root, mapper=mapper)
        if not found and not problems:
            raise UnreadableError("the folder holds no scan", "name a file, or the folder of a DICOM series")
        return found, problems
    if not place.is_file():
        raise not_there(place)
    format_ = classify(place, pictures=pictures)
    if format_ is None:
        raise UnreadableError("not a format that is read here", "convert it to .nii.gz")
    if format_.is_directory:  # a file that holds all slices
        found, problems = find_sources(place, root=root)
        if not found:
            raise UnreadableError(problems[0].problem, problems[0].remedy)
        return found, problems
    return [describe_file(place, format_, root)], []


def _with_row(source: Source, row: Mapping[str, str]) -> Source:
    patient, modality, fold = (row.get(name, "") for name in ("patient", "modality", "fold"))
    if modality.upper() not in ALSO:
        raise UnreadableError(f"its modality is {modality!r}", f"write one of {', '.join(MODALITIES)}, or nothing")
    if fold and not (fold.isdecimal() and len(fold) <= FOLD_DIGITS):
        told = fold if len(fold) <= SHOWN else f"{fold[:SHOWN]}..."
        raise UnreadableError(f"its fold is {told!r}", "write a whole number from 0 to 9999, or nothing")
    return replace(
        source,
        patient=patient or source.patient,
        modality=ALSO[modality.upper()] or source.modality,
        fold=int(fold) if fold else source.fold,
        forced=True,
    )


def _of_one_kind(sources: list[Source], problems: list[Problem]) -> list[Source]:
    """Leave out the pictures of a table that names volumes too."""
    volumes = [source for source in sources if source.format.axes_of(source) == 3]
    if not volumes or len(volumes) == len(sources):
        return sources
    pictures = [source for source in sources if source not in volumes]
    problems += [Problem(one.path, FLAT, "name pictures in a table of their own") for one in pictures]
    return volumes


def _agreeing(sources: list[Source], problems: list[Problem]) -> list[Source]:
    """Leave out the scans that put a patient in a second fold."""
    folds: dict[str, int | None] = {}
    kept = []
    for source in sources:
        first = folds.setdefault(source.patient, source.fold)
        if first == source.fold:
            kept.append(source)
        else:
            what = f"its patient is in fold {first} in one row and in fold {source.fold} in this one"
            problems.append(Problem(source.path, what, "give each patient one fold"))
    return kept
