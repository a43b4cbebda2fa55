"""Montgomery: tuberculosis in frontal chest radiographs, as the National Library of Medicine gives them out."""

from pathlib import Path

from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task
from modelsgenesis.tasks.tuberculosis import find_pictures, tuberculosis

NAME, HOMES = r"MCUCXR_\d{4}_([01])", ("CXR_png", "MontgomerySet/CXR_png")

MASKS = {"left lung": "ManualMask/leftMask", "right lung": "ManualMask/rightMask"}  # the patient's

PUBLISHED = Published("auc", intensity=BitDepth())
OUTLINES = Published("dice", intensity=BitDepth())


def recognise(folder: Path) -> bool:
    """Whether a picture of its names is there."""
    return bool(find_pictures(folder, HOMES, NAME, []))


def montgomery(folder: Path | str, *, masks: bool = False) -> Task:
    """Read the Montgomery set: the last figure of an image's name says whether it shows tuberculosis.

    Or the outlines of both lungs, which the papers learn: `--task montgomery,masks=true`.

    There is no official division: hold out a share, or put lists beside. Each image is of a patient of its own.

    Args:
        folder: `MontgomerySet` with `CXR_png/`, or the folder that holds it; beside, if known, lists of
            which images train, validate and test.
        masks: read the masks in `ManualMask/`, a label each, in place of the classes.
    Raises:
        DataError: no such image is there, or one is in two lists.
    Source: Jaeger et al. 2014, two public chest X-ray datasets.
    Example: >>> montgomery("MontgomerySet/")
    """
    published = OUTLINES if masks else PUBLISHED
    return tuberculosis("montgomery", Path(folder), HOMES, NAME, published, MASKS if masks else None)
