"""What values of masks mean: declared, or found by reading every mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json
from modelsgenesis.core.labels import Label
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.target import make_target
from modelsgenesis.core.words import many
from modelsgenesis.data.masks import MOST_CLASSES, count_values, read_label_map
from modelsgenesis.data.problems import Problem, UnreadableError, died
from modelsgenesis.data.sources import Source, reading_processes

FILE = "labels.json"
WHITE = 255  # as drawing programs write a mask of one label
MOST_NAMED = 3  # values in a warning
WORTH_PROCESSES = 2**26  # bytes of masks, below which processes take longer to start than reading takes


@dataclass(frozen=True)
class Declared:
    """The labels of a `labels.json` or `dataset.json`.

    Attributes:
        labels: without the background.
        overlapping: a value belongs to two of them.
    """

    labels: tuple[Label, ...]
    overlapping: bool = False

    @property
    def target(self) -> MaskTarget:
        """The target of a network that learns them."""
        target: MaskTarget = make_target("multilabel_segmentation" if self.overlapping else "segmentation", self.labels)
        return target


def declared_labels(labels: Any, place: Path) -> Declared:
    """Understand {"liver": 1}, {"1": "liver"} of older data sets, and regions {"whole tumour": [1, 2]}.

    Args:
        labels: as the JSON has it.
        place: of the JSON, for messages.
    Raises:
        DataError: it is something else, empty, or has a value to ignore.
    """
    if not isinstance(labels, Mapping) or not labels:
        raise DataError(f'{place}: its labels are {labels!r}; write them as {{"background": 0, "liver": 1}}')
    if all(str(key).isdecimal() and isinstance(value, str) for key, value in labels.items()):
        labels = {value: int(key) for key, value in labels.items()}
    found = tuple(Label(str(name), _values(name, value, place)) for name, value in labels.items())
    if any(label.name.casefold() == "ignore" for label in found):
        raise DataError(
            f"{place}: voxels labelled `ignore` cannot be left out of training yet; give them one of the other labels, "
            "and take `ignore` out of the file"
        )
    kept = tuple(label for label in found if label.values != (0,))
    if len({frozenset(label.values) for label in kept}) < len(kept):
        raise DataError(f"{place}: two labels have the same values; correct one, or take it out")
    if not kept:
        raise DataError(f"{place}: declares no label beside the background; add one")
    every = [value for label in kept for value in label.values]
    return Declared(kept, overlapping=len(set(every)) < len(every))


def _values(name: Any, value: Any, place: Path) -> tuple[int, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    try:
        whole = tuple(int(each) for each in values if float(each) == int(each))
    except (TypeError, ValueError):
        whole = ()
    whole = whole if len(whole) == len(values) else ()
    if not whole or (len(whole) > 1 and 0 in whole):
        raise DataError(f"{place}: label {name!r} is {value!r}; write a whole number, or a list of them for a region")
    return whole


def read_labels(folder: Path) -> dict[str, Any] | None:
    """The `labels.json` of a folder, {name: value}; None without one."""
    return read_json(folder / FILE) if (folder / FILE).is_file() else None


def find_labels(masks: Sequence[Source], problems: list[Problem]) -> Declared | None:
    """Read every mask; each value beside 0 is a label, named as itself.

    Args:
        masks: label maps.
        problems: those that cannot be read are added here, and a warning of 255 where it may be what is 1 elsewhere.
    Returns:
        None when no mask holds anything.
    Raises:
        DataError: there are more values than a mask can have labels.
    """
    much = sum(file.stat().st_size for mask in masks for file in mask.files) > WORTH_PROCESSES
    each: list[set[int]] = []
    for mask, found in work_through(_values_in, masks, reading_processes(masks, much=much)):
        if isinstance(found, Problem):
            problems.append(found)
        elif found is None:
            problems.append(died(mask.path))
        else:
            each.append(found - {0})
    values = set[int]().union(*each)
    if len(values) >= MOST_CLASSES:
        raise DataError(f"the masks hold {len(values)} different values; are they masks? Name the labels in {FILE}")
    white = each.count({WHITE})
    if white and len(values) > 1 and white == sum(WHITE in found for found in each):
        others = ", ".join(str(value) for value in sorted(values - {WHITE})[:MOST_NAMED])
        what = (
            f"{white} of {many(len(each), 'mask')} hold {WHITE} alone, a label of its own, where others hold {others}"
        )
        remedy = f"if both mean one, write the same number in all, or a list of both in {FILE}"
        problems.append(Problem(masks[0].path.parent, what, remedy, "warning"))
    labels = tuple(Label(str(value), (value,)) for value in sorted(values))
    return Declared(labels) if labels else None


def _values_in(mask: Source) -> set[int] | Problem:
    try:
        return set(count_values(read_label_map(mask)[0]))
    except UnreadableError as error:
        return error.at(mask.path)
