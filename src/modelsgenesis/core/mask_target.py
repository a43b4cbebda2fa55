"""Targets whose truth and predictions are masks."""

from abc import abstractmethod
from collections.abc import Sequence

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.labels import LabelMap
from modelsgenesis.core.target import Target


class MaskTarget(Target):
    """A target whose truth and predictions are masks, in files of their own.

    Raises:
        DataError: two labels whose masks' files would have one name.
    """

    noun = "labels"
    metric = "dice"
    overlap = 0.5
    dense = True
    pipeline = "image-segmentation"
    column = "labels"

    def __post_init__(self) -> None:
        super().__post_init__()
        files: dict[str, str] = {}
        for name in self.names:
            other = files.setdefault(fit(name).casefold(), name)
            if other != name:
                raise DataError(f"the files of the labels {other!r} and {name!r} would have one name; rename one")

    @property
    @abstractmethod
    def label_map(self) -> LabelMap:
        """The map of labels that tells how they lie in arrays and files."""

    @property
    def voxel_labels(self) -> LabelMap:
        """The map of labels that the network learns; by default `label_map`."""
        return self.label_map

    @property
    def num_outputs(self) -> int:
        """One channel a label, after that of the background if there is one."""
        return len(self.labels) + self.label_map.has_background

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns with the names of the masks' files and the status."""
        return "prediction", "status"

    @property
    def failed_row(self) -> dict[str, str]:
        """The row of a case that could not be predicted: it names no mask."""
        return {"prediction": "", "status": "failed"}

    def label_entries(self, values: Sequence[float]) -> tuple[str, ...]:
        """No entries here: those who write a table fill in the names of the masks' files."""
        return ()
