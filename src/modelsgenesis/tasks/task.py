"""A target task: what is asked, and the cases that answer it."""

from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem


@dataclass(frozen=True)
class Task:
    """Labelled cases of one target, as a folder or a table has them; no voxel is held.

    Attributes:
        name: for people.
        target: what is asked of a network.
        cases: labelled; ids are unique, and a patient is in one fold and one split.
        channels: the names of an image's channels, in order.
        modality: of all images, one of scan.MODALITIES, or "" when nobody said or they differ.
        problems: what could not become a case, and what to do about it.
        unlabelled: cases with images alone.
        place: that it was read from.
    """

    name: str
    target: Target
    cases: tuple[Case, ...]
    channels: tuple[str, ...] = ("image",)
    modality: str = ""
    problems: tuple[Problem, ...] = ()
    unlabelled: tuple[Case, ...] = ()
    place: Path = Path()
