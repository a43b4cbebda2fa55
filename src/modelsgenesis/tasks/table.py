"""A CSV of cases: image, label, and what else is known of each."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.labels import Label
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.target import Kind, Target, find_target, make_target
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.entries import one_source, spell
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import (
    case_id,
    image_columns,
    images_in,
    modality_in,
    part_of,
    patient_of,
    with_modality,
)
from modelsgenesis.tasks.chexpert_labels import Uncertain
from modelsgenesis.tasks.label_values import looks_like_masks, read_label_values, without_label
from modelsgenesis.tasks.labels import read_labels
from modelsgenesis.tasks.pairs import labels_of
from modelsgenesis.tasks.task import NoCaseError, Task

SPLITS: Mapping[str, Split] = {
    "": "", "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "validate": "val", "test": "test", "testing": "test",
}  # fmt: skip
KNOWN = ("image", "id", "patient", "fold", "split", "modality")
COLUMN = re.compile(rf"{'|'.join(KNOWN)}|image_\d+")
NAMES = ("image", "filename", "file", "id", "case")  # of the column that names an image beside a folder of images


@dataclass(frozen=True)
class LabelOptions:
    """How a table and its labels are to be read.

    Attributes:
        kind: of the task; None infers it from the labels.
        label: the column, or several with commas between; None takes `label`, or all columns `label_...`.
        classes: {class: the values it takes}: ">3", "<=2" or the text itself; None takes each text for a class.
        columns: {what: the name of the column that says it}, such as {"image": "Path", "patient": "Patient ID"}.
        uncertain: what -1 counts as where labels are written as CheXpert writes them: ones, zeros, ignore or soft.
    """

    kind: Kind | None = None
    label: str | None = None
    classes: Mapping[str, str] | None = None
    columns: Mapping[str, str] | None = None
    uncertain: Uncertain | None = None


def table(path: Path, options: LabelOptions | None = None, *, images: Path | None = None) -> Task:
    """Read the cases of a CSV.

    Args:
        path: of a CSV with the columns `image` (or `image_0`, `image_1` ... for channels) and `label` (the path of a
            mask, a class or a number) or `label_NAME` (0 or 1, a number, or a binary mask, for each label); if known
            `id`, `patient` (or the `video` of a frame), `fold`, `split`, `modality`. Paths are seen from the CSV's own
            folder.
        options: which column is the label, and what it means.
        images: a folder whose files the rows name, with or without an ending, in place of paths.
    Raises:
        DataError: it is no such CSV, or no row of it is a case.
    """
    options = options or LabelOptions()
    rows, columns = _in_our_words(*read_table(path), options, path)
    if not rows:
        raise DataError(f"{path}: names no image; add a row for each case")
    by_channel = image_columns(columns, path, or_else=NAMES if images is not None else ())
    kind = find_target(options.kind) if options.kind else None
    own = kind.own_columns(columns) if kind and options.label is None else ()
    labels = list(own) or _label_columns(columns, options.label, path)
    problems: list[Problem] = []
    cases, entries = _cases(rows, by_channel, labels, path, images, problems)
    if not cases:
        raise NoCaseError(path, problems)
    unlabelled: list[Case] = []
    if kind and own:
        target, values = kind.read_entries(entries, own, path)
        unlabelled = [case for case, known in zip(cases, values, strict=True) if known is None]
        cases = [replace(case, values=known) for case, known in zip(cases, values, strict=True) if known is not None]
    elif looks_like_masks(entries, path.parent, options.kind):
        target, cases, unlabelled = _with_masks(cases, entries, labels, path, problems)
    elif kind and issubclass(kind, MaskTarget):
        raise DataError(f"{path}: column {labels[0]} names no masks; write the path of a mask in each row")
    else:
        found = read_label_values(
            entries, labels, path, kind=options.kind, classes=options.classes, uncertain=options.uncertain
        )
        target, problems = found.target, [*problems, *found.problems]
        unlabelled = [cases[number] for number in found.unlabelled]
        both = zip(cases, found.values, strict=True)
        cases = [replace(case, values=values) for case, values in both if values is not None]
    channels = ["image"] if len(by_channel) == 1 else by_channel
    name = path.stem if images is None else path.parent.resolve().name
    return build(name, target, cases, channels=channels, problems=problems, unlabelled=unlabelled, place=path)


def _in_our_words(
    rows: list[dict[str, str]], columns: list[str], options: LabelOptions, path: Path
) -> tuple[list[dict[str, str]], list[str]]:
    """Call the columns that the options name as we do; those whose names they take are no longer seen."""
    named = options.columns or {}
    if strange := [what for what in named if not COLUMN.fullmatch(what)]:
        raise DataError(f"columns name no {', '.join(strange)}; they name {', '.join(KNOWN)}, or image_0, image_1 ...")
    if missing := [column for column in named.values() if column not in columns]:
        raise DataError(f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(columns)}")
    kept = [column for column in columns if column not in named]
    ours = [{column: row[column] for column in kept} | {what: row[named[what]] for what in named} for row in rows]
    return with_raw_patients(ours, path), [*kept, *named]


def _cases(
    rows: Sequence[Mapping[str, str]],
    by_channel: Sequence[str],
    labels: Sequence[str],
    path: Path,
    images: Path | None,
    problems: list[Problem],
) -> tuple[list[Case], list[tuple[str, ...]]]:
    """The cases whose images are there, and for each the entries of its label columns."""
    source_of = _finder(path.parent, images)
    home = path.parent.absolute()
    roots = [images.absolute() if images else home, *_shared([row[by_channel[0]] for row in rows], home)]
    cases, entries = [], []
    for row in rows:
        try:
            cases.append(_case(row, by_channel, source_of, roots))
            entries.append(tuple(row[column] for column in labels))
        except UnreadableError as error:
            problems.append(error.at((images or path.parent) / row[by_channel[0]]))
    return _of_one_image(cases), entries


def _of_one_image(cases: Sequence[Case]) -> list[Case]:
    """Let the cases of one image be of one patient where rows do not say whose: what is learned tests nothing."""
    images = [spell(case.images[0]) for case in cases]
    patients = {image: case.patient for image, case in zip(images, cases, strict=True) if case.patient != case.id}
    return [
        replace(case, patient=patients.setdefault(image, case.patient)) if case.patient == case.id else case
        for image, case in zip(images, cases, strict=True)
    ]


def _with_masks(
    cases: Sequence[Case],
    entries: Sequence[tuple[str, ...]],
    columns: Sequence[str],
    path: Path,
    problems: list[Problem],
) -> tuple[Target, list[Case], list[Case]]:
    """Read the target, the cases with their masks, and those without."""
    labelled, unlabelled = [], []
    for case, row in zip(cases, entries, strict=True):
        if not any(row):
            unlabelled.append(case)
            continue
        try:
            here = case.images[0].path
            if not all(row):
                raise UnreadableError(f"no mask in column {columns[row.index('')]}", "an empty mask says there is none")
            masks = []
            for entry in row:
                here = path.parent / entry
                masks.append(one_source(here, path.parent))
            labelled.append(replace(case, masks=tuple(masks)))
        except UnreadableError as error:
            problems.append(error.at(here))
    problems += without_label(len(unlabelled), len(cases), path)
    if len(columns) > 1:
        labels = tuple(Label(name.removeprefix("label_")) for name in columns)
        return make_target("multilabel_segmentation", labels), labelled, unlabelled
    found, labelled = labels_of(labelled, read_labels(path.parent), path.parent, problems)
    return found.target, labelled, unlabelled


def _label_columns(columns: Sequence[str], wanted: str | None, path: Path) -> list[str]:
    if wanted is not None:
        several = [wanted] if wanted in columns else [name.strip() for name in wanted.split(",")]
        if missing := [name for name in several if name not in columns]:
            raise DataError(f"{path}: has no column {missing[0]!r}; its columns are {', '.join(columns)}")
        return several
    if "label" in columns:
        return ["label"]
    several = [name for name in columns if name.startswith("label_") and name != "label_"]
    if not several:
        raise DataError(f"{path}: has no column `label`; its columns are {', '.join(columns)}; name one with --label")
    return several


Finder = Callable[[str], Source]


def _finder(root: Path, images: Path | None) -> Finder:
    """Make the function that finds the source of an entry of the table."""
    if images is None:
        return lambda entry: one_source(root / entry, root)
    there = {case_id(place, images): place for place in sorted(images.iterdir()) if not place.name.startswith(".")}

    def source_of(entry: str) -> Source:
        place = images / entry
        return one_source(place if place.exists() else there.get(fit(entry), place), images)

    return source_of


def _shared(entries: Sequence[str], folder: Path) -> list[Path]:
    """The deepest folder of all images that lie outside the table's own; none if all lie inside."""
    places = [folder / entry for entry in entries if entry]
    elsewhere = [place.parent for place in places if not place.is_relative_to(folder)]
    return [Path(os.path.commonpath(elsewhere))] if elsewhere else []


def _case(row: Mapping[str, str], by_channel: Sequence[str], source_of: Finder, roots: Sequence[Path]) -> Case:
    """The case of a row, as yet without its label; its id is its path below the first of the roots that it lies in."""
    entries, modality = images_in(row, by_channel), modality_in(row)
    fold, split = row.get("fold", ""), row.get("split", "")
    if fold and not fold.isdecimal():
        raise UnreadableError(f"its fold is {fold!r}", "write a whole number from 0, or nothing")
    if split.lower() not in SPLITS:
        raise UnreadableError(f"its split is {split!r}", "write train, val or test, or nothing")
    sources = tuple(with_modality(source_of(entry), modality) for entry in entries)
    first = sources[0]
    place = first.path.absolute()
    root = next((each for each in roots if place.is_relative_to(each)), roots[0])
    name = fit(row.get("id", "") or case_id(place, root) + part_of(first))
    return Case(
        name,
        sources,
        patient=row.get("patient") or row.get("video") or patient_of(first, name),
        fold=int(fold) if fold else first.fold,
        split=SPLITS[split.lower()],
    )
