"""Folds by patient, where a data set declares none."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of
from modelsgenesis.data.case import Case


def dealt(patients: Mapping[str, object], folds: int) -> dict[str, int]:
    """Deal patients out to folds, each kind of them evenly, in an order that hangs on nothing but their names.

    Args:
        patients: {name: of which kind}, such as a grade.
        folds: how many.
    """
    order = sorted(patients, key=lambda name: (str(patients[name]), hashlib.sha256(bytes_of(name)).digest()))
    return {name: place % folds for place, name in enumerate(order)}


def held_out(cases: Iterable[Case], test_fold: int | None) -> list[Case]:
    """Declare one fold for the test and the others for training; None leaves all to be divided otherwise.

    Raises:
        DataError: no case is of that fold.
    """
    cases = list(cases)
    if test_fold is None:
        return cases
    there = sorted({case.fold for case in cases if case.fold is not None})
    if cases and test_fold not in there:
        raise DataError(f"test_fold is {test_fold}, but the folds are {', '.join(map(str, there)) or 'none'}")
    return [replace(case, split="test" if case.fold == test_fold else "train") for case in cases]
