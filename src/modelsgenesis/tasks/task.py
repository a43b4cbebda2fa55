"""A target task: what is predicted, and the labelled cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem
from modelsgenesis.tasks.published import Published


class NoCaseError(DataError):
    """A folder or table that should be a task holds no case.

    Args:
        place: that was read.
        problems: all that is wrong with what is there.
    """

    def __init__(self, place: Path, problems: Sequence[Problem]) -> None:
        super().__init__(place, problems)
        self.place, self.problems = place, tuple(problems)

    def __str__(self) -> str:
        if not self.problems:
            return f"{self.place}: holds no labelled case; are images and labels where they should be?"
        first = min(self.problems, key=lambda problem: problem.severity != "error")
        return (
            f"{self.place}: no case can be used; the first of {many(len(self.problems), 'problem')}: "
            f"{first.path}: {first.problem}; {first.remedy}"
        )


@dataclass(frozen=True)
class Task:
    """Labelled cases of one target, as a folder or a table has them; no voxel is held.

    Attributes:
        name: for people.
        target: what a network predicts.
        cases: labelled; ids are unique, and a patient is in one fold and one split.
        channels: the names of an image's channels, in order.
        modality: of all images, one of scan.MODALITIES, or "" when it is unknown or differs.
        problems: what could not become a case, and what to do about it.
        unlabelled: cases with images alone.
        place: that it was read from.
        published: what papers did on it; None for a task of the user's own.
    """

    name: str
    target: Target
    cases: tuple[Case, ...]
    channels: tuple[str, ...] = ("image",)
    modality: str = ""
    problems: tuple[Problem, ...] = ()
    unlabelled: tuple[Case, ...] = ()
    place: Path = Path()
    published: Published | None = None
