"""Reading the label columns of a table: classes, several labels at once, or numbers."""

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.tables import NO_VALUE
from modelsgenesis.core.target import Kind, Target, find_target, make_target
from modelsgenesis.core.words import many
from modelsgenesis.data.boxes import read_box
from modelsgenesis.data.entries import CONTOURS
from modelsgenesis.data.formats import ending_of
from modelsgenesis.data.formats.gif_mask import TIMES
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.chexpert_labels import Uncertain, check_policy, values_in

MISSING = (*NO_VALUE, "na")
MOST_CLASSES = 50  # found by themselves; more are numbers, or names of the cases
WHOLE = re.compile(r"^(-?\d+)\.0*$")  # as programs write whole numbers in a column that has gaps
COMMA = re.compile(r"[-+]?\d+,\d+")
CUT = re.compile(r"(>=|<=|>|<)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)")
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt
}  # fmt: skip

Row = tuple[str, ...]
Values = tuple[float, ...] | None


@dataclass(frozen=True)
class LabelValues:
    """The values of the label columns.

    Attributes:
        target: what is predicted.
        values: of each row, as a Case has them; None where the row says nothing, or belongs to no class.
        unlabelled: the numbers of the rows without a label.
        problems: what the owner of the table should know.
    """

    target: Target
    values: tuple[Values, ...]
    unlabelled: tuple[int, ...]
    problems: tuple[Problem, ...]


def looks_like_masks(rows: Sequence[Row], root: Path, kind: Kind | None) -> bool:
    """Whether labels are paths of masks: any of them ends as an image does, or is there."""
    if kind and not issubclass(find_target(kind), MaskTarget):
        return False
    entries = {entry for row in rows for entry in row if entry}
    files = {str(boxed[0]) if (boxed := read_box(Path(entry))) else entry for entry in entries}
    return any(
        ending_of(Path(file))
        or CONTOURS.fullmatch(file)
        or f"#{TIMES}:" in file
        or ("/" in file and (root / file).exists())
        for file in files
    )


def read_label_values(
    rows: Sequence[Row],
    columns: Sequence[str],
    path: Path,
    *,
    kind: Kind | None = None,
    classes: Mapping[str, str] | None = None,
    uncertain: Uncertain | None = None,
) -> LabelValues:
    """Find the target and the values in the label columns of a table.

    Whole numbers and texts are classes; a number that is not whole makes them all numbers to be predicted. Classes that
    differ in capitals or as 1 and 01 do are warned of.

    Args:
        rows: the entries of the label columns.
        columns: their names.
        path: of the table, for messages.
        kind: if it is known.
        classes: {class: the entries it takes}; the rows that none takes are left out.
        uncertain: what -1 counts as, of labels as CheXpert writes them: any number of 1, 0, -1 and nothing, which is 0.
    Raises:
        DataError: they cannot be understood as one of these.
    """
    if uncertain:
        return _with_uncertain(rows, columns, path, uncertain)
    plain = (tuple(WHOLE.sub(r"\1", entry) for entry in row) for row in rows)
    labelled = [None if any(entry.casefold() in MISSING for entry in row) else row for row in plain]
    some = [row for row in labelled if row is not None]
    problems = list(without_label(len(labelled) - len(some), len(labelled), path))
    if not some:
        raise DataError(f"{path}: no row has a label in column {', '.join(columns)}; is it the right one?")
    if not (kind or classes) and len(columns) == 1:
        _check_numbers({entry for row in some for entry in row}, path)
    if classes:
        if len(columns) > 1 or kind == "regression":
            raise DataError(f"{path}: classes cut one column of labels; name it with --label")
        target, values = _cut(labelled, classes, path)
    elif kind == "regression" or (kind is None and _fractional(some)):
        labels = tuple(Label(name.removeprefix("label_")) for name in columns)
        target, values = make_target("regression", labels), [_numbers(row, path) if row else None for row in labelled]
    elif len(columns) > 1:
        labels = tuple(Label(name.removeprefix("label_")) for name in columns)
        target = make_target("multilabel_classification", labels)
        values = [_yes_or_no(row, columns, path) if row else None for row in labelled]
    else:
        target, values = _classes(labelled, path, most=None if kind else MOST_CLASSES)
        problems += _nearly_alike(target.names, path)
    left_out = sum(value is None for value in values) - (len(labelled) - len(some))
    if left_out:
        what = f"{left_out} of {many(len(labelled), 'row')} belong to no class of {', '.join(target.names)}"
        problems.append(Problem(path, what, "nothing to do, if that is meant", "warning"))
    unlabelled = tuple(number for number, row in enumerate(labelled) if row is None)
    return LabelValues(target, tuple(values), unlabelled, tuple(problems))


def _with_uncertain(rows: Sequence[Row], columns: Sequence[str], path: Path, uncertain: Uncertain) -> LabelValues:
    """Labels that do not exclude each other, some of them uncertain; no row is without."""
    check_policy(uncertain)
    values = []
    for number, row in enumerate(rows, 2):  # as a spreadsheet counts, below the head
        try:
            values.append(values_in(dict(zip(columns, row, strict=True)), columns, uncertain, str(number)))
        except UnreadableError as error:
            raise DataError(f"{path}: in row {number} {error.problem}; {error.remedy}") from error
    labels = tuple(Label(name.removeprefix("label_")) for name in columns)
    return LabelValues(make_target("multilabel_classification", labels), tuple(values), (), ())


def without_label(count: int, num_rows: int, path: Path) -> Iterator[Problem]:
    """A warning that some rows of a table have no label; nothing when all have one."""
    if count:
        remedy = "write their labels, or leave them: they are not used"
        yield Problem(path, f"{count} of {many(num_rows, 'row')} have no label", remedy, "warning")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _fractional(rows: Sequence[Row]) -> bool:
    numbers = [_number(entry) for row in rows for entry in row]
    return all(map(math.isfinite, numbers)) and any(number != int(number) for number in numbers)


def _check_numbers(entries: set[str], path: Path) -> None:
    """Refuse numbers that would become classes unnoticed: with a comma for a point, or beside what is no number."""
    remedy = "correct it, or say the kind: classification"
    if comma := sorted(entry for entry in entries if COMMA.fullmatch(entry)):
        raise DataError(f"{path}: label {comma[0]!r} has a comma where a number has a point; {remedy}")
    finite = {entry for entry in entries if math.isfinite(_number(entry))}
    fractions, others = sorted(entry for entry in finite if _number(entry) % 1), sorted(entries - finite)
    if fractions and others:
        raise DataError(f"{path}: label {others[0]!r} is no number, as {fractions[0]} is; {remedy}")


def _nearly_alike(names: Sequence[str], path: Path) -> Iterator[Problem]:
    """A warning of classes that a typing person may have meant to be one: yes and Yes, 1 and 01."""
    alike: dict[str | float, list[str]] = defaultdict(list)
    for name in names:
        alike[_number(name) if math.isfinite(_number(name)) else name.casefold()].append(name)
    if found := [" and ".join(group) for group in alike.values() if len(group) > 1]:
        what = f"labels that are nearly alike are classes of their own: {', '.join(found)}"
        yield Problem(path, what, "write them alike, if they are meant to be one", "warning")


def _numbers(row: Row, path: Path) -> tuple[float, ...]:
    numbers = tuple(_number(entry) for entry in row)
    if not all(map(math.isfinite, numbers)):
        raise DataError(f"{path}: {', '.join(row)} in a column of numbers; correct it, or say kind classification")
    return numbers


def _yes_or_no(row: Row, columns: Sequence[str], path: Path) -> tuple[float, ...]:
    numbers = tuple(_number(entry) for entry in row)
    for column, entry, number in zip(columns, row, numbers, strict=True):
        if number not in (0, 1):
            raise DataError(f"{path}: column {column} says {entry!r}; write 0 or 1, or say kind regression")
    return numbers


def _classes(labelled: Sequence[Row | None], path: Path, *, most: int | None) -> tuple[Target, list[Values]]:
    """Each different entry is a class; numbers in rising order, texts in alphabetical order."""
    entries = sorted(
        {row[0] for row in labelled if row}, key=lambda entry: (math.isnan(_number(entry)), _number(entry), entry)
    )
    labels = [Label(entry, (int(entry),)) if re.fullmatch(r"-?\d+", entry) else Label(entry) for entry in entries]
    if most is not None and len(entries) > most:
        raise DataError(
            f"{path}: its labels are {len(entries)} different ones, such as {entries[0]} and {entries[-1]}; "
            "cut them into classes, or say the kind: classification or regression"
        )
    place = {entry: float(number) for number, entry in enumerate(entries)}
    return make_target("classification", labels), [(place[row[0]],) if row else None for row in labelled]


def _cut(labelled: Sequence[Row | None], classes: Mapping[str, str], path: Path) -> tuple[Target, list[Values]]:
    """Sort entries into classes by the condition of each class."""
    tests = [(name, _condition(words)) for name, words in classes.items()]
    values: list[Values] = []
    for row in labelled:
        met = [number for number, (_, test) in enumerate(tests) if row and test(row[0])]
        if len(met) > 1:
            both = " and ".join(tests[number][0] for number in met)
            raise DataError(
                f"{path}: label {row[0] if row else ''!r} is both {both}; make the classes exclude each other"
            )
        values.append((float(met[0]),) if met else None)
    for number, name in enumerate(classes):
        if (number,) not in values:
            raise DataError(f"{path}: no row is {name} ({classes[name]}); correct the class, or leave it out")
    return make_target("classification", tuple(map(Label, classes))), values


def _condition(words: str) -> Callable[[str], bool]:
    """Make the test of an entry: ">3" compares, anything else must be the text itself, or the number."""
    found = CUT.fullmatch(words.strip())
    if found:
        compare, bound = COMPARISONS[found[1]], float(found[2])
        return lambda entry: compare(_number(entry), bound)
    wanted = words.strip()
    return lambda entry: entry == wanted or _number(entry) == _number(wanted)
