"""One case of a segmentation: its truth and its prediction read, and label by label compared."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.labels import Label, LabelMap, MultilabelMap
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.data.case import Case
from modelsgenesis.data.masks import (
    check_declared,
    classes_of,
    count_values,
    grid_notes,
    read_classes,
    read_label_map,
    read_on_grid,
)
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.data.volume import Geometry
from modelsgenesis.evaluation.matching import Pair
from modelsgenesis.metrics.segmentation import Agreement, Empty, agreement

METRICS = tuple(each.name for each in fields(Agreement))

Status = Literal["compared", "missing", "unreadable", "no truth"]


@dataclass(frozen=True)
class Rules:
    """The settings by which masks are compared.

    Attributes:
        target: whose labels.
        tolerance_mm: of the surface Dice.
        empty: what two empty masks are worth.
        pictures: whether the masks are of pictures.
        in_pixels: whether some of the pictures have no spacing, so that a pixel of each counts as 1 mm.
    """

    target: MaskTarget
    tolerance_mm: float
    empty: Empty
    pictures: bool = False
    in_pixels: bool = False


@dataclass(frozen=True)
class Compared:
    """The result of one case.

    Attributes:
        id: of the case.
        patient: of the case.
        status: compared; missing or unreadable, and then compared as an empty mask; or no truth, and then left out.
        note: why not compared; or what is to be said of the grids.
        agreements: one a label; none without truth.
    """

    id: str
    patient: str
    status: Status
    note: str
    agreements: tuple[Agreement, ...]


def compare_case(pair: Pair, rules: Rules) -> Compared:
    """Read and compare one case; what cannot be read is no error but a status."""
    case, label_map = pair.case, rules.target.label_map
    try:
        truth, geometry = truth_of(case, label_map)
    except UnreadableError as error:
        return Compared(case.id, case.patient or case.id, "no truth", str(error), ())
    status: Status = "missing"
    note = pair.why
    predicted = np.zeros_like(truth)
    if pair.masks or pair.why:
        try:
            predicted = prediction_of(pair, label_map, geometry)
            status, note = "compared", "; ".join(grid_notes(pair.masks, geometry, "prediction and truth"))
        except UnreadableError as error:
            status, note = "unreadable", str(error)
    empty: Empty = rules.empty if status == "compared" else "undefined"  # no prediction is never a perfect one
    spacing_mm = (1.0,) * len(geometry.size) if rules.in_pixels else spacing_of(geometry)
    found = tuple(
        agreement(
            label_map.present(predicted, k),
            label_map.present(truth, k),
            spacing_mm=spacing_mm,
            tolerance_mm=rules.tolerance_mm,
            empty=empty,
        )
        for k in range(len(label_map.labels))
    )
    return Compared(case.id, case.patient or case.id, status, note, found)


def truth_of(case: Case, label_map: LabelMap) -> tuple[NDArray[np.uint8], Geometry]:
    """The truth as `data.masks.read_classes` gives it, and where its voxels lie.

    The spacing that a mask does not know, as of a picture, is its image's.

    Raises:
        UnreadableError: it is missing, cannot be read, or holds a value that no label stands for.
    """
    if not case.masks:
        raise UnreadableError("it has no mask", "add it, or leave the case out")
    values, geometry = read_label_map(case.masks[0])
    if not geometry.spaced and case.images:
        known = header_geometry(case.images[0])
        if known is not None and known.spaced and known.size == geometry.size:
            geometry = replace(geometry, spacing_mm=known.spacing_mm, spaced=True)
    if not label_map.one_file:
        return read_classes(case, label_map, geometry), geometry
    check_declared(count_values(values), label_map)
    return classes_of(values, label_map), geometry


def prediction_of(pair: Pair, label_map: LabelMap, geometry: Geometry) -> NDArray[np.uint8]:
    """Read the predicted mask of a case, on the grid of the true one.

    Raises:
        UnreadableError: it cannot be read, lies on another grid than the truth, or holds a value that no label has.
    """
    if not pair.masks:
        raise (
            UnreadableError(*pair.why.split("; ", 1))
            if "; " in pair.why
            else UnreadableError(pair.why, "predict it anew")
        )
    case = Case(pair.case.id, (), pair.masks)
    if pair.binary:
        own_masks = MultilabelMap(tuple(Label(label.name) for label in label_map.labels))
        return label_map.merged(read_classes(case, own_masks, geometry))
    if not label_map.one_file:
        raise UnreadableError("one mask, where each label has its own", "call them ID__LABEL, one file a label")
    values = read_on_grid(pair.masks[0], geometry, "prediction and truth")
    check_declared(count_values(values), label_map)
    return classes_of(values, label_map)


def spacing_of(geometry: Geometry) -> tuple[float, ...]:
    """The spacing of a grid along X, Y and Z."""
    return tuple(geometry.spacing_mm[axis] for axis in geometry.order)


def header_geometry(source: Source) -> Geometry | None:
    """Where the voxels of a file lie by its header; None where that cannot be read."""
    try:
        return source.format.read_header(source).geometry
    except (UnreadableError, OSError):
        return None


def table_of(compared: list[Compared], target: MaskTarget) -> dict[str, NDArray[np.float64]]:
    """Tabulate the scores by metric, (cases, labels)."""
    return {
        name: np.array([[getattr(one, name) for one in case.agreements] for case in compared], np.float64).reshape(
            len(compared), len(target.labels)
        )
        for name in METRICS
    }
