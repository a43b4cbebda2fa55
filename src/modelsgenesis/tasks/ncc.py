"""NCC: is this candidate a lung nodule? LUNA16's candidates, cubes of chest CT."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_table
from modelsgenesis.data.case import Split
from modelsgenesis.data.formats.metaimage import MetaImage
from modelsgenesis.data.intensity import Window
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source, describe_file
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.candidates import Candidate, cases_of, target_of, thinned
from modelsgenesis.tasks.case_finder import with_modality
from modelsgenesis.tasks.published import TRANSVW, Published, scores
from modelsgenesis.tasks.task import Task

LISTS = ("candidates_V2.csv", "candidates.csv")  # the better one first
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "class")
SUBSETS = 10
SPLITS: tuple[Split, ...] = ("train",) * 5 + ("val",) * 2 + ("test",) * 3
SIZE = (64, 64, 32)

PUBLISHED = Published(
    "auc",
    scores(
        TRANSVW,
        {
            "random": (94.25, 5.07), "NiftyNet": (94.14, 4.57), "MedicalNet": (95.80, 0.51), "I3D": (98.26, 0.27),
            "in-painting": (95.12, 1.74), "context restoration": (94.90, 1.18), "rotation": (94.42, 1.78),
            "Rubik's cube": (96.24, 1.27), "Models Genesis": (98.07, 0.59),
        },
    ),
    size=SIZE, intensity=Window(-1000, 1000), batch_size=24, lr=1e-3, weight_decay=0.0, patience=10,
)  # fmt: skip


def ncc(folder: Path | str, *, negatives: float | None = 3, candidates: str | None = None) -> Task:
    """Read LUNA16's candidates: a cube of 64 x 64 x 32 voxels around each; subsets 0-4 train, 5-6 validate, 7-9 test.

    Of half a million candidates about one in 400 is a nodule. All nodules are taken, and of each subset `negatives`
    others for each of its nodules, always the same ones. The AUC does not hang on how many they are, but for chance.

    Args:
        folder: with `subset0` ... `subset9` of .mhd and .raw, and `candidates_V2.csv` or `candidates.csv`.
        negatives: other candidates for each nodule; None takes all.
        candidates: the name of the list; by default the second version where there is one.
    Raises:
        DataError: no list, or one of other columns, or no candidate of a scan that is there.
    Source: Zhou et al. 2021, Models Genesis; Setio et al. 2017, LUNA16. How many negatives they took is not known here.
    Example: >>> ncc("LUNA16/", negatives=10)
    """
    folder = Path(folder)
    rows = _listed(folder, candidates)
    problems: list[Problem] = []
    scans = _scans(folder, problems)
    known = _candidates(rows, scans, folder, problems)
    target = target_of("other", "nodule")
    cases = list(cases_of(thinned(known, negatives), SIZE, problems))
    return build("ncc", target, cases, channels=["CT"], problems=problems, place=folder, published=PUBLISHED)


def _listed(folder: Path, name: str | None) -> list[dict[str, str]]:
    path = next((folder / each for each in ([name] if name else LISTS) if (folder / each).is_file()), None)
    if path is None:
        raise DataError(f"{folder}: has no {name or ' or '.join(LISTS)}; put the list beside subset0 ... subset9")
    rows, columns = read_table(path)
    if missing := [column for column in COLUMNS if column not in columns]:
        raise DataError(f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(columns) or 'none'}")
    return rows


def _scans(folder: Path, problems: list[Problem]) -> dict[str, tuple[int, Source]]:
    """The scans by their series' UIDs, each with its subset."""
    scans: dict[str, tuple[int, Source]] = {}
    missing = []
    for subset in range(SUBSETS):
        files = sorted((folder / f"subset{subset}").rglob("*.mhd"))
        missing += [] if files else [f"subset{subset}"]
        for file in files:
            try:
                source = with_modality(describe_file(file, MetaImage(), folder), "CT")
                scans.setdefault(file.stem, (subset, source))
            except UnreadableError as error:
                problems.append(error.at(file))
    if missing:
        what = f"no scans in {', '.join(missing)}"
        problems.append(Problem(folder, what, "copy them, or go on with the others", "warning"))
    return scans


def _candidates(
    rows: Sequence[Mapping[str, str]], scans: Mapping[str, tuple[int, Source]], folder: Path, problems: list[Problem]
) -> list[Candidate]:
    """The candidates whose scans are there; each series that is not becomes one problem for all of its rows."""
    found, unknown = [], Counter[str]()
    for number, row in enumerate(rows):
        uid = row["seriesuid"]
        if uid not in scans:
            unknown[uid] += 1
            continue
        subset, scan = scans[uid]
        try:
            centre = (float(row["coordX"]), float(row["coordY"]), float(row["coordZ"]))
            true = {"0": False, "1": True}[row["class"]]
        except (ValueError, KeyError):
            what = f"row {number + 2} of the list says {', '.join(row[column] for column in COLUMNS[1:])}"
            problems.append(Problem(scan.path, what, "write three numbers, and a class of 0 or 1"))
            continue
        found.append(Candidate(f"{uid}_{number + 2}", scan, centre, true, uid, subset, SPLITS[subset]))
    if unknown:
        first = next(iter(unknown))
        what = f"{len(unknown)} series of the list are not there, the first {first}: {unknown.total()} candidates"
        problems.append(Problem(folder, what, "copy their subsets, or go on without them"))
    return found
