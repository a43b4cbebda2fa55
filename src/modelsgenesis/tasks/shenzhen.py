"""Shenzhen: tuberculosis in frontal chest radiographs, as the National Library of Medicine gives them out."""

from pathlib import Path

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.tasks.published import Published, scores
from modelsgenesis.tasks.task import Task
from modelsgenesis.tasks.tuberculosis import find_pictures, tuberculosis

NAME, HOMES = r"CHNCXR_\d{4}_([01])", ("CXR_png", "ChinaSet_AllFiles/CXR_png")

# Of the division by the lists of the papers' laboratory.
PUBLISHED = Published(
    "auc",
    (
        *scores(
            "Zhou et al. 2023, PEAC",
            {
                "Swin-B, random": (85.83, 3.68), "Swin-B, ImageNet-21K": (94.23, 0.81),
                "Swin-B, SimMIM": (93.03, 0.48), "Swin-B, PEAC": (97.39, 0.19),
            },
        ),
        *scores("Ma et al. 2023, Ark", {"Swin-B, Ark-5": (98.92, 0.21), "Swin-B, Ark-6": (98.99, 0.16)}),
    ),
    intensity=BitDepth(),
)  # fmt: skip


def recognise(folder: Path) -> bool:
    """Whether a picture of its names is there."""
    return bool(find_pictures(folder, HOMES, NAME, []))


def shenzhen(folder: Path | str) -> Task:
    """Read the Shenzhen set: the last figure of an image's name says whether it shows tuberculosis.

    There is no official division: hold out a share, or put lists beside. Each image is of a patient of its own.

    Args:
        folder: `ChinaSet_AllFiles` with `CXR_png/`, or the folder that holds it; beside, if known, lists of
            which images train, validate and test, such as `ShenzhenHospitalCXR_train_data.txt`.
    Raises:
        DataError: no such image is there, or one is in two lists.
    Source: Jaeger et al. 2014, two public chest X-ray datasets.
    Example: >>> shenzhen("ChinaSet_AllFiles/")
    """
    return tuberculosis("shenzhen", Path(folder), HOMES, NAME, PUBLISHED)
