"""DXC: fourteen diseases in frontal chest radiographs, any number of them at once: NIH's ChestX-ray14."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError, refusal
from modelsgenesis.core.files import read_text
from modelsgenesis.core.labels import Label
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.folds import dealt
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, pictures_in, several
from modelsgenesis.tasks.published import Published, scores
from modelsgenesis.tasks.task import Task

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
NONE = "No Finding"
ENTRIES, TRAIN_VAL, TEST = "Data_Entry_2017", "train_val_list.txt", "test_list.txt"
COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
VALIDATING = 8  # one patient in so many of train_val_list.txt chooses the best network: a tenth of all

# Scores of 14 labels on the official test set. The papers' training of their 2D networks is not known here.
PUBLISHED = Published(
    "auc",
    (
        *scores(
            "Zhou et al. 2021, Models Genesis, figure of the 2D ablation",
            {
                "U-Net with a ResNet-18, random": (69.15, 0.77), "ImageNet": (75.55, 0.48),
                "Genesis Chest CT 2D": (74.99, 0.36), "Genesis Chest X-ray": (75.48, 0.13),
            },
        ),
        *scores(
            "Zhou et al. 2023, PEAC",
            {
                "Swin-B, random": (74.29, 0.41), "Swin-B, ImageNet-21K": (81.32, 0.19),
                "Swin-B, SimMIM": (79.09, 0.57), "Swin-B, PEAC": (82.78, 0.21),
            },
        ),
        *scores("Pang et al. 2022, POPAR", {"Swin-B, POPAR": (81.81, 0.10)}),
        *scores(
            "Ma et al. 2023, Ark",
            {"Swin-B, Ark-5": (82.87, 0.13), "Swin-B, Ark-6": (83.05, 0.09)},
        ),
    ),
    intensity=BitDepth(),
)  # fmt: skip


def recognise(folder: Path) -> bool:
    """Whether the two lists and a table are there."""
    return all((folder / name).is_file() for name in (TRAIN_VAL, TEST)) and any(folder.glob(f"{ENTRIES}*.csv"))


def dxc(folder: Path | str, *, entries: str | None = None) -> Task:
    """Read ChestX-ray14 with the official split by patient; an eighth of the others' patients validate.

    The score is the mean over the findings of each one's AUC. A part of the images will do: what is not there is named
    as a problem.

    Args:
        folder: with the images in `images_001/images/` ... `images_012/images/`, or in `images/`; `Data_Entry_2017.csv`
            or its later version; `train_val_list.txt` and `test_list.txt`.
        entries: the name of the table, where there are several; `Data_Entry_2017.csv` by default.
    Raises:
        DataError: the table or a list is missing, or no image that they name is there.
    Source: Wang et al. 2017, ChestX-ray8; Zhou et al. 2021, Models Genesis.
    Example: >>> dxc("ChestX-ray14/")
    """
    folder = Path(folder)
    rows, lists = _entries(folder, entries), {name: _listed(folder / name) for name in (TRAIN_VAL, TEST)}
    problems = list(_twice(folder, lists))
    cases = _cases(folder, rows, lists, problems)
    validating = dealt({case.patient: "" for case in cases if case.split == "train"}, VALIDATING)
    cases = [
        replace(case, split="val") if case.split == "train" and validating[case.patient] == 0 else case
        for case in cases
    ]
    target = make_target("multilabel_classification", tuple(map(Label, FINDINGS)))
    return build("dxc", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _entries(folder: Path, name: str | None) -> list[dict[str, str]]:
    """The rows of the table."""
    found = sorted(folder.glob(f"{ENTRIES}*.csv")) if name is None else [folder / name]
    found = [path for path in found if path.stem == ENTRIES] or found
    if len(found) != 1:
        raise DataError(
            f"{folder}: holds {len(found)} tables {ENTRIES}*.csv; there should be one, or name one: entries"
        )
    rows, columns = read_table(found[0])
    if missing := [column for column in COLUMNS if column not in columns]:
        raise DataError(f"{found[0]}: has no column {', '.join(missing)}; its columns are {', '.join(columns)}")
    return rows


def _listed(path: Path) -> frozenset[str]:
    """The names in a list that has one a line."""
    try:
        return frozenset(read_text(path).split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({refusal(error) or error}); it is part of the official data, copy it beside"
        ) from error


def _twice(folder: Path, lists: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    for name in sorted(lists[TRAIN_VAL] & lists[TEST]):
        what = f"it is in {TRAIN_VAL} and in {TEST}"
        yield Problem(folder / name, what, "copy the official lists again; it is left out")


def _cases(
    folder: Path, rows: Sequence[Mapping[str, str]], lists: Mapping[str, frozenset[str]], problems: list[Problem]
) -> list[Case]:
    """The cases whose images are there; whether a patient of the others validates is not yet known."""
    there = {path.name: path for path in pictures_in(_homes(folder), problems).values()}
    every, named = lists[TRAIN_VAL] ^ lists[TEST], {row["Image Index"] for row in rows}
    listed = ((there.get(name, folder / name), row) for row in rows if (name := row["Image Index"]) in every)
    cases = listed_cases(
        listed,
        lambda row: _listed_image(row, lists[TEST]),
        folder,
        problems,
        remedy="unpack all of images_001 to images_012",
    )
    nameless = [folder / name for name in sorted(every - named)]
    problems += several(folder, nameless, "it is in a list, but has no row in the table", "copy both again")
    unlisted = [folder / name for name in sorted(named - every - lists[TEST])]
    warnings = several(folder, unlisted, "its row is in no list", "nothing to do: it is not used")
    problems += [replace(problem, severity="warning") for problem in warnings]
    return cases


def _homes(folder: Path) -> list[Path]:
    """The folders of images."""
    outer = sorted(path for path in folder.glob("images*") if path.is_dir())
    return [path / "images" if (path / "images").is_dir() else path for path in outer]


def _listed_image(row: Mapping[str, str], tests: frozenset[str]) -> Listed:
    """Write 0 or 1 for each finding."""
    findings = row["Finding Labels"].split("|")
    if unknown := [word for word in findings if word not in (*FINDINGS, NONE)]:
        raise UnreadableError(f"{', '.join(map(repr, unknown))} is none of the 14 findings", "correct its row")
    if NONE in findings and len(findings) > 1:
        raise UnreadableError(f"its row says {' and '.join(findings)}", "correct its row")
    if not row["Patient ID"]:
        raise UnreadableError("its row names no patient", "correct its row")
    name = row["Image Index"]
    values = tuple(float(finding in findings) for finding in FINDINGS)
    return Listed(Path(name).stem, values, row["Patient ID"], "test" if name in tests else "train")
