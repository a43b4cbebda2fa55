"""RSNA pneumonia: is a frontal chest radiograph normal, does it show an opacity, or something else?"""

import re
from collections.abc import Mapping
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, pictures_in, split_lists, table_with
from modelsgenesis.tasks.published import Published, scores
from modelsgenesis.tasks.task import Task

TABLE, IMAGES, MAPPING = "stage_2_detailed_class_info.csv", "stage_2_train_images", "*mappings*.json"
CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
NIH = re.compile(r"(\d{8})_\d{3}\.png")

# Of the division by the lists of the papers' laboratory.
PUBLISHED = Published(
    "accuracy",
    (
        *scores(
            "Zhou et al. 2023, PEAC",
            {
                "Swin-B, random": (70.02, 0.42), "Swin-B, ImageNet-21K": (73.15, 0.61),
                "Swin-B, SimMIM": (71.99, 0.55), "Swin-B, PEAC": (74.39, 0.66),
            },
        ),
        *scores("Ma et al. 2023, Ark", {"Swin-B, Ark-5": (74.73, 0.59), "Swin-B, Ark-6": (74.76, 0.35)}),
    ),
    intensity=BitDepth(),
)  # fmt: skip


def recognise(folder: Path) -> bool:
    """Whether the table of classes is there."""
    return (folder / TABLE).is_file()


def rsna(folder: Path | str) -> Task:
    """Read the labelled images of the RSNA pneumonia challenge, in three classes.

    The challenge's own test images have no labels, so there is no official test: hold out a share, or put lists beside.
    The images are of the patients of ChestX-ray14, often several of one; who they are, a list of RSNA's says.

    Args:
        folder: with `stage_2_detailed_class_info.csv` and `stage_2_train_images/`, of DICOM or converted to PNG; beside
            them, if known, RSNA's `pneumonia-challenge-dataset-mappings_2018.json`, and lists of which images train,
            validate and test, such as `RSNAPneumonia_train.txt`.
    Raises:
        DataError: the table or the list of patients is none, or no image is there.
    Source: Shih et al. 2019, RSNA pneumonia; Ma et al. 2023, Ark, for the three classes and their order.
    Example: >>> rsna("rsna-pneumonia-detection-challenge/")
    """
    folder = Path(folder)
    problems: list[Problem] = []
    images, splits = pictures_in([folder / IMAGES], problems), split_lists(folder)
    patients = _patients(folder, problems)
    classes: dict[str, set[str]] = {}
    for row in table_with(folder / TABLE, ("patientId", "class")):  # one for each box
        classes.setdefault(row["patientId"], set()).add(row["class"])

    def listed(name: str) -> Listed:
        found = sorted(classes[name])
        if len(found) > 1 or found[0] not in CLASSES:
            raise UnreadableError(f"its class is {' and '.join(found)}", f"write one of {', '.join(CLASSES)}")
        return Listed(name, (float(CLASSES.index(found[0])),), patients.get(name, name), splits.get(name, ""))

    rows = [(images.get(name, folder / IMAGES / f"{name}.dcm"), name) for name in classes]
    cases = listed_cases(rows, listed, folder, problems, remedy=f"unpack all of {IMAGES}")
    target = make_target("classification", tuple(map(Label, CLASSES)))
    return build("rsna", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _patients(folder: Path, problems: list[Problem]) -> Mapping[str, str]:
    """Read whose each image is, in the numbers of ChestX-ray14; nothing, and a warning, where that is not known."""
    found = sorted(folder.glob(MAPPING))
    if not found:
        what = "several of its images are of one patient, and nothing says which: they may train and test"
        remedy = "put RSNA's pneumonia-challenge-dataset-mappings_2018.json beside"
        problems.append(Problem(folder, what, remedy, "warning"))
        return {}
    try:
        rows = [(str(one["subset_img_id"]), NIH.fullmatch(str(one["img_id"]))) for one in read_json(found[0])]
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{found[0]}: is no list of RSNA's images; fetch it again, or take it away ({error})"
        ) from error
    return {name: match[1] for name, match in rows if match}
