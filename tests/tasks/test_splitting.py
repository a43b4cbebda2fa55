"""Cases are divided by patient, by seed, and the same way for every arm."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.data.case import Case
from modelsgenesis.data.formats.natural_image import NaturalImage
from modelsgenesis.data.formats.nifti import Nifti
from modelsgenesis.data.sources import Source
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.tasks.splitting import CaseSplit, cross_validation_splits, split_cases
from modelsgenesis.tasks.task import Task

CLASSES = Classification((Label("benign"), Label("malignant")))


def make_task(num: int = 40, *, of_patient: int = 1, splits: tuple[str, ...] = ("",), folds: int = 0) -> Task:
    """Cases of which every fourth is malignant."""
    cases = []
    for number in range(num):
        patient = f"p{number // of_patient}"
        place = Path(f"{number}.nii.gz")
        source = Source(place, Nifti(), (place,), f"{number}", patient)
        cases.append(
            Case(
                f"case{number}", (source,), values=(float(number % 4 == 0),), patient=patient,
                split=splits[number // of_patient % len(splits)],  # type: ignore[arg-type]
                fold=number // of_patient % folds if folds else None,
            )
        )  # fmt: skip
    return Task("made", CLASSES, tuple(cases))


def ids(division: CaseSplit) -> dict[str, set[str]]:
    """The cases of each role."""
    roles: dict[str, set[str]] = {"train": set(), "val": set(), "unused": set(), "test": set()}
    for role, case in division.roles():
        roles[role].add(case.id)
    return roles


@given(
    num=st.integers(18, 60), of_patient=st.integers(1, 3), test=st.floats(0, 0.5), val=st.integers(0, 2),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_every_case_has_one_role_and_every_patient_too(
    num: int, of_patient: int, test: float, val: int, seed: int
) -> None:
    """Whatever the options, nobody is on two sides and nothing is lost."""
    task = make_task(num, of_patient=of_patient)
    division = split_cases(task, cases=6, test=test, val=val, seed=seed)
    roles = [role for role, _ in division.roles()]
    assert len(roles) == num
    of = {(case.patient, role) for role, case in division.roles()}
    assert len({patient for patient, _ in of}) == len(of)


def test_test_cases_hang_on_nothing_but_the_patients() -> None:
    """Another seed, budget or order of the cases holds out the same ones: a fifth of the patients."""
    task = make_task(40)
    turned = Task("made", CLASSES, task.cases[::-1])
    held_out = [
        ids(split_cases(task, test=0.2)),
        ids(split_cases(task, cases=5, test=0.2, seed=7)),
        ids(split_cases(turned, test=0.2)),
    ]
    assert len(held_out[0]["test"]) == 8
    assert held_out[0]["test"] == held_out[1]["test"] == held_out[2]["test"]


def test_smaller_budgets_lie_within_larger_ones() -> None:
    """So a learning curve adds cases and exchanges none; another seed draws others."""
    task = make_task(40)
    budgets = [ids(split_cases(task, cases=num, test=0.2, seed=3))["train"] for num in (3, 6, 12)]
    assert budgets[0] < budgets[1] < budgets[2]
    assert ids(split_cases(task, cases=6, test=0.2, seed=4))["train"] != budgets[1]


def test_few_cases_have_every_class() -> None:
    """Two cases of a set with one malignant in four are one of each, for any seed."""
    for seed in range(20):
        division = split_cases(make_task(40), cases=2, test=0.2, seed=seed)
        assert {case.values for case in division.train} == {(0.0,), (1.0,)}


def test_validation_is_spared_when_cases_are_few() -> None:
    """None of 29, a tenth of 30 and more; or as many as wanted."""
    assert len(split_cases(make_task(40), cases=29).val) == 0
    assert len(split_cases(make_task(40), cases=30).val) == 3
    assert len(split_cases(make_task(40), cases=10, val=4).val) == 4


def test_declared_splits_are_kept() -> None:
    """The makers' test cases are always held out; their validation cases validate unless a budget is given."""
    task = make_task(40, splits=("train", "val", "test", "train"))
    whole, few = split_cases(task), split_cases(task, cases=5)
    assert (len(whole.train), len(whole.val), len(whole.test)) == (20, 10, 10)
    assert (len(few.train), len(few.val), len(few.unused)) == (5, 0, 25)
    assert ids(whole)["test"] == ids(few)["test"]


def test_folds_validate_on_every_case_once() -> None:
    """Each case validates in one fold; the task's own folds are used where there are as many."""
    dealt = cross_validation_splits(split_cases(make_task(20, of_patient=2), test=0.2), 4)
    validating = [case.id for division in dealt for case in division.val]
    assert len(validating) == len(set(validating)) == 16
    own = cross_validation_splits(split_cases(make_task(20, folds=4)), 4)
    assert [{case.fold for case in division.val} for division in own] == [{0}, {1}, {2}, {3}]


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
@pytest.mark.parametrize("folds", [2, 3, 4, 5])
def test_folds_have_every_class_alike(classes: int, folds: int) -> None:
    """Whatever the numbers of classes and folds: a class's cases differ by one from fold to fold, at most."""
    task = make_task(40)
    task = replace(
        task,
        target=Classification(tuple(Label(str(k)) for k in range(classes))),
        cases=tuple(replace(case, values=(float(k % classes),)) for k, case in enumerate(task.cases)),
    )
    dealt = [
        Counter(case.values[0] for case in division.val)
        for division in cross_validation_splits(split_cases(task), folds)
    ]
    for k in range(classes):
        counts = [counter[float(k)] for counter in dealt]
        assert max(counts) - min(counts) <= 1
    sizes = [counter.total() for counter in dealt]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cases": 41}, "41 labelled cases wanted; 40 of 40"),
        ({"cases": 0}, "0 labelled cases wanted"),
        ({"cases": 3, "fraction": 0.5}, "give one"),
        ({"fraction": 1.5}, r"fraction in \(0, 1\]"),
        ({"test": 1.0}, r"test must be in \[0, 1\)"),
        ({"cases": 3, "val": 3}, "leave none of 3 to train on"),
        ({"val": -1}, "val must be 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, float], message: str) -> None:
    """In one line that says what was given."""
    with pytest.raises(DataError, match=message):
        split_cases(make_task(40), **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="use 2 to 40"):
        cross_validation_splits(split_cases(make_task(40)), 41)


def test_budget_of_overlapping_labels_has_each_and_is_otherwise_drawn() -> None:
    """A small budget is not one of each combination in their order: rare ones would be all it holds."""
    target = MultilabelClassification(tuple(map(Label, "abcd")))
    cases = []
    for number in range(400):
        values = (number % 2, number % 3 == 0, number % 7 == 0, number == 123)
        source = Source(Path(f"{number}.png"), NaturalImage(), (Path(f"{number}.png"),), f"{number}", f"{number}")
        cases.append(Case(f"case{number}", (source,), values=tuple(map(float, values)), patient=f"{number // 2}"))
    task = Task("made", target, tuple(cases))
    shares = []
    for seed in range(20):
        used = split_cases(task, cases=40, val=0, seed=seed).train
        assert all(any(case.values[k] for case in used) for k in range(4))
        smaller = split_cases(task, cases=10, val=0, seed=seed).train
        assert {case.id for case in smaller} <= {case.id for case in used}
        shares.append(sum(case.values[1] for case in used) / len(used))
    assert sum(shares) / len(shares) == pytest.approx(1 / 3, abs=0.06)
    assert len({split_cases(task, cases=40, val=0, seed=seed).train[5].id for seed in range(5)}) > 1


def test_chosen_cases_are_used_in_their_order() -> None:
    """In place of a draw: so many as the budget says, and not the others of their patients; test cases are refused."""
    task = make_task(40, of_patient=2)
    whole = split_cases(task, test=0.2, val=0)
    order = [case.id for case in whole.train][::-3]
    division = split_cases(task, cases=4, test=0.2, val=0, chosen=order)
    assert {case.id for case in division.train} == set(order[:4])
    assert ids(division)["unused"] == {case.id for case in whole.train} - set(order[:4])
    assert division.test == whole.test
    assert {case.id for case in split_cases(task, test=0.2, val=0, chosen=order).train} == set(order)
    with pytest.raises(DataError, match=f"{whole.test[0].id}, may not be used here: a test case"):
        split_cases(task, test=0.2, chosen=[whole.test[0].id])
