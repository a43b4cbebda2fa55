"""One case of a segmentation: its truth and its prediction read, and label by label compared."""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.target import Label, Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.images import check_same_grid
from modelsgenesis.data.masks import check_declared, classes_of, count_values, is_map, read_classes, read_label_map
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.volume import Geometry
from modelsgenesis.evaluation.matching import Pair
from modelsgenesis.metrics.segmentation import Agreement, Empty, agreement

METRICS = tuple(each.name for each in fields(Agreement))

Status = Literal["compared", "missing", "unreadable", "no truth"]


@dataclass(frozen=True)
class Rules:
    """How cases are compared.

    Attributes:
        target: whose labels.
        tolerance_mm: of the surface Dice.
        empty: what two empty masks are worth.
    """

    target: Target
    tolerance_mm: float
    empty: Empty


@dataclass(frozen=True)
class Compared:
    """What came of a case.

    Attributes:
        id: of the case.
        patient: of the case.
        status: compared; missing or unreadable, and then compared as an empty mask; or no truth, and then left out.
        note: why not compared.
        agreements: one a label; none without truth.
    """

    id: str
    patient: str
    status: Status
    note: str
    agreements: tuple[Agreement, ...]


def compare(pair: Pair, rules: Rules) -> Compared:
    """Read and compare one case; what cannot be read is no error but a status."""
    case = pair.case
    try:
        truth, geometry = truth_of(case, rules.target)
    except UnreadableError as error:
        return Compared(case.id, case.patient or case.id, "no truth", str(error), ())
    status: Status = "missing"
    note = pair.why
    predicted = np.zeros_like(truth)
    if pair.masks or pair.why:
        try:
            predicted = prediction_of(pair, rules.target, geometry)
            status = "compared"
        except UnreadableError as error:
            status, note = "unreadable", str(error)
    empty: Empty = rules.empty if status == "compared" else "undefined"  # no answer is never a perfect one
    spacing_mm = spacing_of(geometry)
    found = tuple(
        agreement(one, other, spacing_mm=spacing_mm, tolerance_mm=rules.tolerance_mm, empty=empty)
        for one, other in zip(parts(predicted, rules.target), parts(truth, rules.target), strict=True)
    )
    return Compared(case.id, case.patient or case.id, status, note, found)


def truth_of(case: Case, target: Target) -> tuple[NDArray[np.uint8], Geometry]:
    """The truth as `data.masks.read_classes` gives it, and where its voxels lie.

    Raises:
        UnreadableError: it is missing, cannot be read, or holds a value that no label stands for.
    """
    if not case.masks:
        raise UnreadableError("it has no mask", "add it, or leave the case out")
    values, geometry = read_label_map(case.masks[0])
    if not is_map(target):
        return read_classes(case, target, geometry), geometry
    check_declared(count_values(values), target)
    return classes_of(values, target), geometry


def prediction_of(pair: Pair, target: Target, geometry: Geometry) -> NDArray[np.uint8]:
    """The prediction, likewise.

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
        named = Target("segmentation", tuple(Label(name) for name in target.names), exclusive=False)
        masks = read_classes(case, named, geometry)
        return merged(masks) if target.exclusive else masks
    if not is_map(target):
        raise UnreadableError("one mask, where each label has its own", "call them ID__LABEL, one file a label")
    values, own = read_label_map(pair.masks[0])
    check_same_grid(geometry, own, "prediction and truth")
    check_declared(count_values(values), target)
    return classes_of(values, target)


def merged(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Binary masks (K, X, Y, Z) as one map (1, X, Y, Z), the later label on top."""
    whole = np.zeros_like(masks[:1])
    for k, mask in enumerate(masks):
        whole[0][mask > 0] = k + 1
    return whole


def parts(classes: NDArray[np.uint8], target: Target) -> list[NDArray[np.bool_]]:
    """One binary mask a label."""
    if target.exclusive:
        return [classes[0] == k + 1 for k in range(len(target.labels))]
    return [channel > 0 for channel in classes]


def spacing_of(geometry: Geometry) -> tuple[float, ...]:
    """Between voxels, along X, Y and Z."""
    return tuple(geometry.spacing_mm[axis] for axis in geometry.order)


def table_of(compared: list[Compared], target: Target) -> dict[str, NDArray[np.float64]]:
    """Scores by metric, (cases, labels)."""
    return {
        name: np.array([[getattr(one, name) for one in case.agreements] for case in compared], np.float64).reshape(
            len(compared), len(target.labels)
        )
        for name in METRICS
    }
