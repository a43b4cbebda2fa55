"""What one may choose of an evaluation: the options of `genesis evaluate`."""

from dataclasses import dataclass, field
from typing import Literal

from modelsgenesis.core.target import Kind


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options of genesis evaluate.

    Args:
        tolerance: The tolerance of the surface Dice, in mm; of pictures in pixels.
        empty: What a label is worth that neither mask holds: undefined leaves it out of means, perfect counts it as 1.
        kind: What the truth is, where a table's labels could mean two; by default as the predictions are.
        label: The column of a table that is the truth, or several with commas between.
        classes: How a column is cut into classes, as in --classes benign "<3" malignant ">3".
        positive: Which of two classes is the positive one; by default the second.
        columns: What columns of a table are called, as in --columns image Path patient "Patient ID".
        split: Which cases of the truth are compared; all by default.
        only_predicted: Cases without a prediction are left out, where they count as empty predictions otherwise.
        resamples: How often the patients are resampled, for the 95 % intervals.
        seed: The seed decides the resamples.
        worst: How many of the worst cases the page pictures.
        workers: How many processes compare; by default one a core when there are many cases, 0 works in this process.
        cluster: Where the work is done instead of here: the address of a scheduler of Dask, such as
            tcp://HOST:8786, its file, or local:4.
        slurm: The work is done by jobs of Slurm with these settings, such as "partition=cpu,time=60", in minutes.
        quiet: No table is printed at the end.
    """

    tolerance: float = 1.0
    empty: Literal["undefined", "perfect"] = "undefined"
    kind: Kind | None = None
    label: str | None = None
    classes: dict[str, str] | None = field(default=None, hash=False)
    positive: str | None = None
    columns: dict[str, str] | None = field(default=None, hash=False)
    split: Literal["train", "val", "test"] | None = None
    only_predicted: bool = False
    resamples: int = 2000
    seed: int = 0
    worst: int = 6
    workers: int | None = None
    cluster: str | None = None
    slurm: str | None = None
    quiet: bool = False
