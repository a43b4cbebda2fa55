"""A case of a target task: one patient's images and what is known of them."""

from dataclasses import dataclass
from typing import Literal

from modelsgenesis.data.sources import Source

Split = Literal["", "train", "val", "test"]


@dataclass(frozen=True)
class Case:
    """One labelled case; in prediction, an unlabelled one.

    Attributes:
        id: unique in the task and fit for a file name; predictions are called after it.
        images: one source a channel, or one source of several channels.
        masks: of segmentation: one label map; or, where labels overlap and the task says so, one binary mask a label.
        values: of targets in tables: the number of the class; 0 or 1 for each label, where they do not exclude each
            other; the numbers; or the places of points.
        patient: raw; cases of one patient stay together.
        fold: given, or None.
        split: given by the task's makers, or "".
    """

    id: str
    images: tuple[Source, ...]
    masks: tuple[Source, ...] = ()
    values: tuple[float, ...] = ()
    patient: str = ""
    fold: int | None = None
    split: Split = ""
