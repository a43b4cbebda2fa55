"""ECC: is this candidate a pulmonary embolus? A table of places in CT angiographies."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.tables import read_table
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.candidates import Candidate, cases_of, target_of, thinned
from modelsgenesis.tasks.case_finder import case_id, patient_of, with_modality
from modelsgenesis.tasks.folds import dealt, held_out
from modelsgenesis.tasks.published import TRANSVW, Published, scores
from modelsgenesis.tasks.task import Task

COLUMNS = ("image", "x", "y", "z", "label")
SIZE = (64, 64, 64)
FOLDS = 3

PUBLISHED = Published(
    "auc",
    scores(
        TRANSVW,
        {
            "random": (80.36, 3.58), "NiftyNet": (77.33, 8.05), "MedicalNet": (86.43, 1.44), "I3D": (80.55, 1.11),
            "in-painting": (84.08, 2.34), "context restoration": (82.15, 3.30), "rotation": (83.40, 2.71),
            "Rubik's cube": (80.49, 4.64), "Models Genesis": (87.20, 2.87),
        },
    ),
    size=SIZE, batch_size=24, lr=1e-3, weight_decay=0.0, patience=38,
)  # fmt: skip


def ecc(table: Path | str, *, negatives: float | None = None, test_fold: int | None = None) -> Task:
    """Read a table of candidates for emboli: a cube of 64 x 64 x 64 voxels around each; three folds by patient.

    The data of the paper are private; this is the same task on your own.

    Args:
        table: a CSV with the columns image (a file, or the folder of a DICOM series, seen from the CSV's own folder),
            x, y and z (mm, in LPS, as DICOM and ITK count), label (1 an embolus, 0 none), and if known patient, fold,
            id.
        negatives: candidates that are none for each embolus, always the same ones; None takes all.
        test_fold: is tested on; None leaves the folds to `finetune --folds 3`.
    Raises:
        DataError: no such table, or no row of it is a candidate.
    Source: Zhou et al. 2021, Models Genesis.
    Example: >>> ecc("candidates.csv", test_fold=0)
    """
    path = _file(Path(table))
    rows, columns = read_table(path)
    if missing := [column for column in COLUMNS if column not in columns]:
        raise DataError(f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(columns) or 'none'}")
    problems: list[Problem] = []
    found = list(_candidates(rows, path, problems))
    if any(each.fold is None for each in found):
        sick: dict[str, bool] = {}
        for each in found:
            sick[each.patient] = sick.get(each.patient, False) or each.true
        folds = dealt(sick, FOLDS)
        found = [replace(each, fold=folds[each.patient]) for each in found]
    cases = held_out(cases_of(thinned(found, negatives), SIZE, problems), test_fold)
    target = target_of("none", "embolus")
    return build("ecc", target, cases, channels=["CT"], problems=problems, place=path, published=PUBLISHED)


def _file(path: Path) -> Path:
    """The table itself, or the only table of a folder."""
    found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if len(found) != 1:
        raise DataError(f"{path}: holds {len(found)} tables; name the one with the candidates")
    return found[0]


def _candidates(rows: list[dict[str, str]], path: Path, problems: list[Problem]) -> Iterator[Candidate]:
    scan_at = cache(lambda entry: with_modality(one_source(path.parent / entry, path.parent), "CT"))
    for number, row in enumerate(rows, start=2):
        try:
            if not row["image"]:
                raise UnreadableError(f"row {number} names no image", "name one, or delete the row")
            scan = scan_at(row["image"])
            name = case_id(scan.path, path.parent)
            yield Candidate(
                fit(row["id"]) if row.get("id") else f"{name}_{number}",
                scan,
                _centre(row, number),
                _label(row, number),
                row.get("patient") or patient_of(scan, name),
                _fold(row, number),
            )
        except UnreadableError as error:
            problems.append(error.at(path.parent / row["image"]))


def _centre(row: Mapping[str, str], number: int) -> tuple[float, float, float]:
    try:
        return float(row["x"]), float(row["y"]), float(row["z"])
    except ValueError as error:
        position = ", ".join(row[axis] for axis in "xyz")
        raise UnreadableError(f"row {number} places it at {position}", "write three numbers, in mm") from error


def _label(row: Mapping[str, str], number: int) -> bool:
    if row["label"] not in ("0", "1"):
        raise UnreadableError(f"row {number} has the label {row['label']!r}", "write 1 for an embolus, 0 for none")
    return row["label"] == "1"


def _fold(row: Mapping[str, str], number: int) -> int | None:
    fold = row.get("fold", "")
    if fold and not fold.isdecimal():
        raise UnreadableError(f"row {number} is in fold {fold!r}", "write a whole number from 0, or nothing")
    return int(fold) if fold else None
