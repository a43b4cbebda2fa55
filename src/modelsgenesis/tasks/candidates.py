"""Candidates: places in scans, each true or false."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import Target, make_target
from modelsgenesis.data.boxes import Box, span_of
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.image_size import geometry_from_header
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source


@dataclass(frozen=True)
class Candidate:
    """One row of a list of candidates.

    Attributes:
        id: of its case.
        scan: that it lies in.
        centre_mm: in the scan's world.
        true: what it is.
        patient: of the scan.
        fold: given, or None.
        split: given, or "".
    """

    id: str
    scan: Source
    centre_mm: tuple[float, float, float]
    true: bool
    patient: str
    fold: int | None = None
    split: Split = ""


def target_of(false: str, true: str) -> Target:
    """A target of two classes."""
    target: Target = make_target("classification", (Label(false, (0,)), Label(true, (1,))))
    return target


def thinned(candidates: Sequence[Candidate], negatives: float | None) -> list[Candidate]:
    """Keep all true ones, and of each fold so many false ones a true one; the true ones come first.

    Where patients are drawn class by class, a patient thus counts as what is worst in him. Which false ones are kept
    hangs on nothing but the scans' names and the places: the same for every seed, budget and start.

    Args:
        candidates: of the list.
        negatives: for each true one; None keeps all.
    Raises:
        DataError: a number below 0.
    """
    if negatives is not None and negatives < 0:
        raise DataError(f"negatives must be 0 or more for each true candidate, got {negatives}; none keeps all")
    if negatives is None:
        return sorted(candidates, key=lambda each: not each.true)
    kept: set[str] = set()
    for fold in {(each.fold, each.split) for each in candidates}:
        some = [each for each in candidates if (each.fold, each.split) == fold]
        num = round(negatives * sum(each.true for each in some))
        kept |= {each.id for each in sorted((one for one in some if not one.true), key=_by_chance)[:num]}
    return sorted((each for each in candidates if each.true or each.id in kept), key=lambda each: not each.true)


def _by_chance(candidate: Candidate) -> bytes:
    return hashlib.sha256(bytes_of(f"{candidate.scan.series} {candidate.centre_mm}")).digest()


def cases_of(candidates: Iterable[Candidate], size: tuple[int, int, int], problems: list[Problem]) -> Iterator[Case]:
    """Make a case of the box around each candidate; one that lies outside its scan becomes a problem.

    Args:
        candidates: kept.
        size: of the boxes, in voxels of the scan.
        problems: is added to.
    """
    header = functools.cache(geometry_from_header)
    for each in candidates:
        try:
            box, geometry = Box(each.centre_mm, size), header(each.scan)
            if geometry is not None:
                span_of(box, geometry)
        except UnreadableError as error:
            problems.append(error.at(each.scan.path))
            continue
        values = (float(each.true),)
        yield Case(
            each.id, (each.scan.within(box),), values=values, patient=each.patient, fold=each.fold, split=each.split
        )
