"""IUC: which view is this frame of a carotid ultrasound? A table of frames."""

from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_table
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.tasks.published import Published, scores
from modelsgenesis.tasks.table import LabelOptions, table
from modelsgenesis.tasks.task import Task

COLUMNS = ("image", "label")
TOGETHER = ("patient", "video")

PUBLISHED = Published(
    "auc",
    scores(
        "Zhou et al. 2021, Models Genesis, figure of the 2D ablation",
        {
            "U-Net with a ResNet-18, random": (92.78, 3.71), "ImageNet": (95.51, None),
            "Genesis Chest CT 2D": (94.50, 2.08), "Genesis Chest X-ray": (94.99, 0.93),
        },
    ),
    intensity=BitDepth(),
)  # fmt: skip


def iuc(frames: Path | str) -> Task:
    """Read a table of frames; those of one patient, or of one video, stay together.

    The data of the paper are private; this is the same task on your own frames, or any other on single frames.

    Args:
        frames: a CSV with the columns image (a PNG or JPEG, seen from the CSV's own folder), label (such as roi, bulb
            and background), patient or video, and if known id, fold and split; or a folder with one.
    Raises:
        DataError: no such table, a frame of nobody knows whom, or no row that is a case.
    Source: Zhou et al. 2021, Models Genesis.
    Example: >>> iuc("frames.csv")
    """
    path = Path(frames)
    found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if len(found) != 1:
        raise DataError(f"{path}: holds {len(found)} tables; name the one with the frames")
    rows, columns = read_table(found[0])
    if missing := [column for column in COLUMNS if column not in columns]:
        raise DataError(f"{found[0]}: has no column {', '.join(missing)}; its columns are {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if not any(row.get(name) for name in TOGETHER):
            raise DataError(
                f"{found[0]}: row {number} names no patient and no video; frames of one are alike, and must not be "
                "trained and tested on"
            )
    task = table(found[0], LabelOptions("classification", "label"))
    return replace(task, name="iuc", published=PUBLISHED)
