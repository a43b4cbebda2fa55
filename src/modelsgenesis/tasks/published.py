"""What papers did on a target task, as data: the settings that are the defaults here, and the scores they report."""

from dataclasses import asdict, dataclass
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity import Intensity

# Where the authors' laboratory set all of its starts side by side: mean and deviation over trials, in percent.
TRANSVW = "Haghighi et al. 2021, TransVW, the figure of results in its repository"


@dataclass(frozen=True)
class Score:
    """One row of a published table.

    Attributes:
        start: what the network began with, in the paper's words.
        mean: over trials, in the units of our metric: an AUC of 98.07 % is 0.9807.
        sd: over trials; None where the paper gives none.
        source: where it was read.
    Raises:
        DataError: a score in percent.
    """

    start: str
    mean: float
    sd: float | None
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.mean <= 1 or not 0 <= (self.sd or 0) <= 1:
            raise DataError(f"published scores lie in 0..1, got {self.mean} and {self.sd}; divide percents by 100")


@dataclass(frozen=True)
class Published:
    """A published protocol; None leaves a setting to our defaults.

    Attributes:
        metric: as `genesis evaluate` calls it: auc, accuracy, dice, iou.
        scores: the paper's.
        size: of the patches in voxels.
        intensity: how values become [0, 1].
        spacing_mm: that scans are resampled to; None leaves each scan its own.
        batch_size: patches a step.
        lr: peak learning rate.
        weight_decay: of the convolutions' weights.
        patience: epochs without a better validation before the training stops.
    """

    metric: str
    scores: tuple[Score, ...] = ()
    size: tuple[int, ...] | None = None
    intensity: Intensity | None = None
    spacing_mm: tuple[float, float, float] | None = None
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    patience: int | None = None

    def to_json(self, task: str) -> dict[str, Any]:
        """The published scores as data for a benchmark's report: {task, metric, rows: [{start, mean, sd, source}]}."""
        return {"task": task, "metric": self.metric, "rows": [asdict(score) for score in self.scores]}


def scores(source: str, rows: dict[str, tuple[float, float | None]]) -> tuple[Score, ...]:
    """Make a table of one source from percents, {start: (mean, sd)}."""
    return tuple(
        Score(start, round(mean / 100, 6), None if sd is None else round(sd / 100, 6), source)
        for start, (mean, sd) in rows.items()
    )
