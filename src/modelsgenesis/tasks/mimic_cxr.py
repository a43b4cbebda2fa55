"""MIMIC-CXR-JPG: fourteen observations in chest radiographs of Boston, all views."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Split
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.chexpert_labels import FINDINGS, Uncertain, check_policy, values_in
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, table_with
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

SPLIT = "mimic-cxr-2.0.0-split.csv"
LABELERS = {"chexpert": "mimic-cxr-2.0.0-chexpert.csv", "negbio": "mimic-cxr-2.0.0-negbio.csv"}
BY_HAND = "mimic-cxr-2.1.0-test-set-labeled.csv"
RENAMED = {"Airspace Opacity": "Lung Opacity"}  # in the table by hand
SPLITS: Mapping[str, Split] = {"train": "train", "validate": "val", "test": "test"}

PUBLISHED = Published("auc", intensity=BitDepth())


def recognise(folder: Path) -> bool:
    """Whether the table of the division is there."""
    return _packed(folder / SPLIT).is_file()


def mimic_cxr(
    folder: Path | str, *, uncertain: Uncertain = "ones", labels: str = "chexpert", by_hand: bool = False
) -> Task:
    """Read MIMIC-CXR-JPG with the official division by patient; columns are found by name.

    What is not mentioned in a report is taken for absent. All images of a study have its labels.

    Args:
        folder: with `files/p10/p10000032/s50414267/....jpg` and the tables beside, gzipped or not.
        uncertain: what an uncertain label counts as: ones, as Ark has it; zeros; ignore, which learns nothing of it; or
            soft, a number between 0.55 and 0.85.
        labels: whose they are: chexpert or negbio.
        by_hand: the test cases are those that radiologists labelled, with their labels, and no others.
    Raises:
        DataError: a table is missing, or no image that they name is there.
    Source: Johnson et al. 2019, MIMIC-CXR-JPG, versions 2.0.0 and 2.1.0; Ma et al. 2023, Ark.
    Example: >>> mimic_cxr("mimic-cxr-jpg/2.0.0/")
    """
    folder = Path(folder)
    check_policy(uncertain)
    if labels not in LABELERS:
        raise DataError(f"labels is {labels!r}; it takes {' or '.join(LABELERS)}")
    studies = _studies(folder / LABELERS[labels])
    tests = _studies(folder / BY_HAND) if by_hand else studies
    rows = table_with(_packed(folder / SPLIT), ("dicom_id", "study_id", "subject_id", "split"))
    rows = [row for row in rows if not by_hand or row["split"] != "test" or row["study_id"] in tests]

    def listed(row: Mapping[str, str]) -> Listed:
        if row["split"] not in SPLITS:
            raise UnreadableError(f"its split is {row['split']!r}", f"write {', '.join(SPLITS)}")
        study = (tests if row["split"] == "test" else studies).get(row["study_id"])
        if study is None:
            raise UnreadableError("its study has no labels", "nothing to do: it is left out")
        return Listed(
            row["dicom_id"],
            values_in(study, FINDINGS, uncertain, row["study_id"]),
            row["subject_id"],
            SPLITS[row["split"]],
        )

    problems: list[Problem] = []
    remedy = "fetch the other files, or nothing, if a part is meant"
    cases = listed_cases(_places(folder, rows), listed, folder, problems, remedy=remedy)
    target = make_target("multilabel_classification", tuple(map(Label, FINDINGS)))
    return build("mimic_cxr", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _packed(path: Path) -> Path:
    """The table, gzipped as it comes, or unpacked."""
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def _studies(path: Path) -> dict[str, dict[str, str]]:
    """The labels of each study."""
    found = {}
    for row in table_with(_packed(path), ("study_id",)):
        named = {RENAMED.get(column, column): entry for column, entry in row.items()}
        if missing := [column for column in FINDINGS if column not in named]:
            raise DataError(f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(row)}")
        found[row["study_id"]] = named
    return found


def _places(folder: Path, rows: list[dict[str, str]]) -> Iterator[tuple[Path, dict[str, str]]]:
    for row in rows:
        patient, study = f"p{row['subject_id']}", f"s{row['study_id']}"
        yield folder / "files" / patient[:3] / patient / study / f"{row['dicom_id']}.jpg", row
