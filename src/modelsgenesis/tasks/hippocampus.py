"""Outline the two parts of the hippocampus in T1 MRI: task 04 of the Medical Segmentation Decathlon."""

from dataclasses import replace
from pathlib import Path

from modelsgenesis.tasks.datasets import dataset
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

# Zhou et al. do not use this task, and the Decathlon fixes neither patches nor training.
PUBLISHED = Published("dice")


def hippocampus(folder: Path | str) -> Task:
    """Read Task04_Hippocampus: 260 labelled crops of 1 mm, anterior and posterior part.

    The makers keep the labels of their test cases to themselves, so none is declared: hold out a share with `test`.

    Args:
        folder: with `dataset.json`, `imagesTr`, `labelsTr`.
    Raises:
        DataError: the description is missing or broken, or no case is whole.
    Source: Antonelli et al. 2022, The Medical Segmentation Decathlon, Nature Communications 13:4128.
    Example: >>> hippocampus("Task04_Hippocampus/")
    """
    return replace(dataset(Path(folder)), name="hippocampus", published=PUBLISHED)
