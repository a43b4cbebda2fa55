"""Whether pre-training saw the test cases: sources, patients and voxels of its stores, held against them."""

import csv
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.made import lineage
from modelsgenesis.data.case import Case
from modelsgenesis.data.identity import hashed
from modelsgenesis.data.keeping import SALT
from modelsgenesis.data.preparing import hash_content
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.scan import Scan
from modelsgenesis.data.sources import Source
from modelsgenesis.data.store import Store
from modelsgenesis.data.values import fill_missing, guess_modality, sample_of, summarise
from modelsgenesis.tasks import folder
from modelsgenesis.tasks.writing import CASES

# By which two images' percentiles may differ, as shares of their range, and be of one image: rounding moves them by
# less; the closest two of 166 hippocampi differ by 0.03.
ALIKE = 5e-3

TELLING = 5  # different levels, below which many images look the same


@dataclass(frozen=True)
class Hit:
    """A reason not to trust a comparison.

    Attributes:
        arm: whose pre-training it is about.
        case: of the test set; empty where nothing could be looked up.
        why: what was found.
    """

    arm: str
    case: str
    why: str


@dataclass(frozen=True)
class Print:
    """What tells one image from another however it is saved: its size and the shape of its grey levels."""

    size: tuple[int, ...]
    levels: NDArray[np.float64]

    def same(self, other: "Print") -> bool:
        """Whether two images are one, saved twice, perhaps with values shifted or scaled; of masks nobody can tell."""
        telling = len(np.unique(self.levels)) >= TELLING
        return telling and self.size == other.size and bool(np.abs(self.levels - other.levels).max() < ALIKE)


def audit(arm: str, start: Path, cases: Sequence[Case]) -> list[Hit]:
    """Look for test cases among what a network was taught on.

    Args:
        arm: the name of the start.
        start: a run, or a weights file.
        cases: of the test set.
    Returns:
        What was found; also when the lineage leads nowhere, so that nothing could be looked up.
    """
    chain = lineage(start if start.is_dir() else start.parent)
    hits: list[Hit] = []
    seen = False
    for place, made in chain:
        if made.verb == "prepare":
            seen = True
            hits += [Hit(arm, case, why) for case, why in _in_store(Path(place), cases)]
        if made.verb == "finetune":
            hits += [Hit(arm, case, why) for case, why in _in_labels(Path(place), cases)]
    if not seen:
        gone = next((name for _, made in chain if made.verb == "pretrain" for name in made.inputs), "")
        why = f"its store {gone} is no longer there" if gone else "no certificate says what it was pre-trained on"
        hits.append(Hit(arm, "", f"{why}, so nobody can tell whether it saw the test cases"))
    return hits


def _in_store(path: Path, cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    store = Store.open(path)
    salt = (path / SALT).read_text(encoding="utf-8") if (path / SALT).is_file() else None
    sources = {scan.sha256: scan for scan in store.scans}
    patients = {scan.patient for scan in store.scans}
    prints = [_print_of_scan(scan) for scan in store.scans]
    for case in cases:
        for source in case.images:
            patient = case.patient or source.patient
            if _hash_of(source) in sources:
                yield case.id, f"the file is in the store {path}"
            elif salt is not None and hashed(salt, "patient", patient) in patients:
                yield case.id, f"the patient {patient} is in the store {path}"
            else:
                own = _print_of_source(source.whole())
                if any(own.same(known) for known in prints):
                    yield case.id, f"the same voxels, saved anew, are in the store {path}"


def _in_labels(path: Path, cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """The test cases that a fine-tuned network was taught on."""
    if not (path / CASES).is_file():
        return
    with open(path / CASES, newline="", encoding="utf-8") as file:
        taught = {row["id"] for row in csv.DictReader(file) if row["role"] in ("train", "val")}
    known = [case for case in folder(path / CASES).cases if case.id in taught]
    taught_on = {_hash_of(source) for case in known for source in case.images}
    for case in cases:
        if any(_hash_of(source) in taught_on for source in case.images):
            yield case.id, f"it is among the cases of {path}"


def _hash_of(source: Source) -> str:
    """What tells one scan from another: its bytes, read once for all boxes and volumes of a file."""
    scan = source.whole()
    return _hash_of_scan(scan if scan.kind == "row" else replace(scan, index=None))


@functools.cache
def _hash_of_scan(scan: Source) -> str:
    return hash_content(scan)


def _print_of_scan(scan: Scan) -> Print:
    known = [scan.percentiles[p] for p in sorted(scan.percentiles)]
    return Print(scan.size, _levels(known))


@functools.cache
def _print_of_source(source: Source) -> Print:
    volume = read_volume(source)
    values, _ = fill_missing(volume.values)
    sample = sample_of(values)
    summary = summarise(values, sample, volume.modality or guess_modality(sample))
    return Print(values.shape[1:], _levels([summary.percentiles[p] for p in sorted(summary.percentiles)]))


def _levels(values: Sequence[float]) -> NDArray[np.float64]:
    """Percentiles as shares of the way from the least to the greatest."""
    known = np.array(values, np.float64)
    width = known[-1] - known[0]
    return (known - known[0]) / width if width > 0 else np.zeros_like(known)
