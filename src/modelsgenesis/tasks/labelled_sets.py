"""A table of labelled sets that one network learns from: `genesis pretrain ark SETS.csv RUN`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import check_imported
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.target import find_target
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.tasks.chexpert_labels import Uncertain
from modelsgenesis.tasks.folder import folder
from modelsgenesis.tasks.lookup import read
from modelsgenesis.tasks.splitting import VALIDATING, CaseSplit, split_cases
from modelsgenesis.tasks.task import Task

COLUMNS = ("name", "data", "task", "kind", "label", "classes", "columns", "policy")
CLASSES, LABELS = "classification", "multilabel_classification"


@dataclass(frozen=True)
class LabelledSet:
    """One set of labelled cases, and who of it is trained on.

    Attributes:
        name: of its head.
        task: its cases and what they are labelled with.
        split: training and validation cases, both of its makers' training patients; the rest is never seen.
        left_out: cases that are kept for validation or test in another set.
    """

    name: str
    task: Task
    split: CaseSplit
    left_out: tuple[Case, ...] = ()

    @property
    def exclusive(self) -> bool:
        """Whether a case has one of its classes, rather than any number of labels."""
        return isinstance(self.task.target, find_target(CLASSES))


def read_sets(path: Path, axes: int, seed: int) -> list[LabelledSet]:
    """Read the sets of a table, one a row, and divide each by patient.

    A tenth of the patients that a set's makers train on validate. Whoever is held out in one set, by the makers or by
    us, is trained on in none.

    Args:
        path: of a CSV with the columns `name` and `data`, seen from the CSV's folder, and what `genesis finetune` takes
            beside: `task`, `kind`, `label`, `classes` ("ill: >0; healthy: 0"), `columns` ("image: Path; patient: ID");
            and `policy`, what -1 counts as: ones, zeros, ignore or soft.
        axes: of the images.
        seed: of the draw of who validates.
    Raises:
        DataError: it is no such table, or a set is not there or cannot be learned from.
    """
    rows, columns = read_table(path)
    if strange := [name for name in columns if name not in COLUMNS]:
        raise DataError(f"{path}: has a column {strange[0]!r}; it takes {', '.join(COLUMNS)}")
    if missing := [name for name in COLUMNS[:2] if name not in columns]:
        raise DataError(f"{path}: has no column {missing[0]!r}; write name and data for each set")
    names = [row["name"] for row in rows]
    if not rows or "" in names or len(set(names)) < len(names):
        raise DataError(f"{path}: its sets are named {', '.join(names) or 'not at all'}; give each a name of its own")
    found = [_read_set(row, path, axes, seed) for row in rows]
    channels = {len(one.task.channels) for one in found}
    if len(channels) > 1:
        raise DataError(f"{path}: images have {sorted(channels)} channels from set to set; take sets that are alike")
    return [_check_learnable(one) for one in _apart(found)]


def _read_set(row: Mapping[str, str], path: Path, axes: int, seed: int) -> LabelledSet:
    """Read and divide one set; an error names it."""
    given = {name: text for name, text in row.items() if text}
    try:
        task = _task(given, path)
        if not isinstance(task.target, (find_target(CLASSES), find_target(LABELS))):
            raise DataError(f"its labels make a {task.target.kind}; classes or labels are learned, so give its kind")
        if any(axes_of(case.images[0]) != axes for case in task.cases):
            raise DataError(f"its images have not {axes} axes, which the recipe's have; take a recipe of their axes")
        ours = replace(task, cases=tuple(case for case in task.cases if case.split in ("", "train")))
        if not ours.cases:
            raise DataError("its makers train on none of its cases; correct its column split")
        split = split_cases(ours, val=max(1, len(ours.cases) // VALIDATING), seed=seed)
        others = tuple(case for case in task.cases if case.split not in ("", "train"))
        return LabelledSet(row["name"], task, replace(split, test=others))
    except DataError as error:
        raise DataError(f"{path}: the set {row['name']}: {error}") from error


def _task(given: Mapping[str, str], path: Path) -> Task:
    if "data" not in given:
        raise DataError("names no data; write its folder or table")
    place, policy = path.parent / given["data"], given.get("policy")
    if policy is not None and policy not in get_args(Uncertain):
        raise DataError(f"its policy is {policy!r}; it takes {', '.join(get_args(Uncertain))}")
    kind, label = given.get("kind"), given.get("label")
    for name in (given.get("task", ""), kind or ""):
        check_imported(name.partition(",")[0], path)
    classes, columns = _pairs(given.get("classes", "")), _pairs(given.get("columns", ""))
    if "task" in given:
        named = given["task"] + (f",uncertain={policy}" if policy else "")
        return read(place, task=named, kind=kind, label=label, classes=classes, columns=columns)
    if policy and (classes or kind == CLASSES):
        raise DataError("a policy is of labels that overlap, not of classes; leave policy out, or kind and classes")
    uncertain: Uncertain | None = policy  # type: ignore[assignment]  # one of them, as was just seen
    return folder(place, kind=kind, label=label, classes=classes, columns=columns, uncertain=uncertain)


def _pairs(text: str) -> dict[str, str] | None:
    """{before the colon: behind it}, of each part between semicolons; None where there is none."""
    parts = [part.partition(":") for part in text.split(";") if part.strip()]
    if wrong := [name for name, colon, _ in parts if not colon]:
        raise DataError(f"{wrong[0].strip()!r} names nothing; write NAME: VALUE; NAME: VALUE")
    return {name.strip(): value.strip() for name, _, value in parts} or None


def _apart(sets: Sequence[LabelledSet]) -> list[LabelledSet]:
    """Leave out of each set whoever is held out in another: tests everywhere, validation from the training."""
    tests = [_known(one.split.test) for one in sets]
    validating = [_known(one.split.val) for one in sets]
    result = []
    for number, one in enumerate(sets):
        tested = set().union(*(keys for other, keys in enumerate(tests) if other != number))
        held = tested.union(*(keys for other, keys in enumerate(validating) if other != number))
        train = tuple(case for case in one.split.train if not _keys(case) & held)
        val = tuple(case for case in one.split.val if not _keys(case) & tested)
        gone = tuple(case for case in (*one.split.train, *one.split.val) if case not in (*train, *val))
        if not train or not val:
            raise DataError(
                f"the set {one.name}: {len(gone)} of its {many(len(one.task.cases), 'case')} are of patients who are "
                "held out in other sets, and too few are left; if these are other people, make their names differ"
            )
        result.append(replace(one, split=replace(one.split, train=train, val=val), left_out=gone))
    return result


def _known(cases: Sequence[Case]) -> set[str]:
    return set().union(*map(_keys, cases)) if cases else set()


def _keys(case: Case) -> set[str]:
    """What tells that two cases are of one patient: a name that was given, or the very file."""
    files = {str(source.path.resolve()) for source in case.images}
    return files | ({f"patient {case.patient}"} if case.patient not in ("", case.id) else set())


def shared_patients(sets: Sequence[LabelledSet]) -> list[str]:
    """Say which sets have patients in common, and how many cases were left out for it."""
    known = [_known(one.task.cases) for one in sets]
    lines = []
    for number, one in enumerate(sets):
        for other in range(number + 1, len(sets)):
            if common := sorted(known[number] & known[other]):
                lines.append(f"{one.name} and {sets[other].name} share {many(len(common), 'patient')}")
    left = [f"{len(one.left_out)} of {one.name}" for one in sets if one.left_out]
    if left:
        lines.append(f"left out, since another set holds them out: {', '.join(left)}")
    return lines


def _check_learnable(one: LabelledSet) -> LabelledSet:
    """Refuse a set whose training cases are all alike."""
    values = [case.values for case in one.split.train]
    if one.exclusive:
        seen = {int(value[0]) for value in values}
        alike = len(seen) < 2
    else:
        seen = {k for k in range(len(one.task.target.labels)) if len({v[k] for v in values if v[k] == v[k]}) > 1}
        alike = not seen
    if alike:
        raise DataError(
            f"the set {one.name}: its {many(len(values), 'training case')} have all the same label, of which nothing "
            "can be learned; add cases of another, or leave the set out"
        )
    return one
