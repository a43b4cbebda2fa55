"""Which cases train, which choose the best network, which are never touched; patients always stay together."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import bytes_of
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.tasks.task import Task

FEW = 30  # labelled cases; below, none is spared for validation, and the training is of fixed length
VALIDATING = 10  # one in so many validates where there are enough

Patients = list[list[Case]]  # the cases of each


@dataclass(frozen=True)
class CaseSplit:
    """A task's cases by role.

    Attributes:
        train: the cases to train on.
        val: choose the best network.
        unused: beyond the budget of labels.
        test: never used for any choice.
    """

    train: tuple[Case, ...]
    val: tuple[Case, ...] = ()
    unused: tuple[Case, ...] = ()
    test: tuple[Case, ...] = ()

    def roles(self) -> list[tuple[str, Case]]:
        """Every case with its role."""
        named = (("train", self.train), ("val", self.val), ("unused", self.unused), ("test", self.test))
        return [(role, case) for role, cases in named for case in cases]


def split_cases(
    task: Task,
    *,
    cases: int | None = None,
    fraction: float | None = None,
    test: float = 0.0,
    val: int | None = None,
    seed: int = 0,
    rehearsal: bool = False,
    chosen: Sequence[str] = (),
) -> CaseSplit:
    """Divide a task's cases.

    The test cases are those that the task's makers declared, or a share of the patients that depends on nothing but
    their names: the same for every seed, budget and start. The budget is drawn by the seed, a smaller one from within a
    larger one; classes come in their own proportion, each at least once if it can. Of labels that do not exclude each
    other each comes at least once if it can, and the rest by chance.

    Args:
        task: whose cases.
        cases: labelled cases to use, training and validation together; all by default.
        fraction: of those that may be used, in (0, 1], in place of `cases`.
        test: share of the patients that is held out where no test cases are declared, in [0, 1).
        val: cases among those used that choose the best network; by default those that the makers declared, if all
            cases are used, else none of fewer than thirty and a tenth of more.
        seed: of the draw.
        rehearsal: the test cases are put away, and that share of the other patients is tested on in their place.
        chosen: ids of the cases that may be used, the first first, in place of a draw; a budget takes the first of
            them, and the other cases of a patient stay unused.
    Raises:
        DataError: one that was chosen is a test case or there is none such, a number that makes no sense, or nothing
            would be left to train on.
    """
    _refuse_senseless(cases, fraction, test, rehearsal=rehearsal)
    held_out, rest = _tested_and_rest(task, test, rehearsal=rehearsal)
    whole = cases is None and fraction is None and val is None
    declared = [group for group in rest if whole and group[0].split == "val"]
    others: Patients = []
    if chosen:
        pool, others = _as_chosen(_flat(_without(rest, declared)), chosen)
    else:
        pool = _stratified(_without(rest, declared), task, lambda some: _drawn(some, seed))
    num = len(_flat(pool))
    wanted = max(1, round(fraction * num)) if fraction is not None else num if cases is None else cases
    if not 1 <= wanted <= num:
        raise DataError(f"{wanted} labelled cases wanted; {num} of {len(task.cases)} may be used (the rest is test)")
    used, unused = _split_off(pool, wanted)
    used = by_patient(_flat(used))
    num_val = 0 if declared else _num_val(val, len(_flat(used)))
    validating, training = _split_off(used[::-1], num_val)
    if not training:
        raise DataError(
            f"{many(num_val, 'case')} to validate leave none of {len(_flat(used))} to train on; use a smaller --val"
        )
    left = _flat([*unused, *others])
    if chosen:  # in an order of their own: a longer list of what was chosen, of which as many are used, changes nothing
        taken = {case.id for case in _flat(used)}
        left = tuple(case for case in _flat(_without(rest, declared)) if case.id not in taken)
    return CaseSplit(_flat(training[::-1]), _flat([*validating, *declared]), left, _flat(held_out))


def cross_validation_splits(division: CaseSplit, folds: int) -> list[CaseSplit]:
    """Make divisions of which each validates on another part of the cases, for cross-validation.

    Patients are dealt out class after class, so that classes come in their own proportion in every fold.

    Args:
        division: whose training and validation cases are dealt out anew, in the order in which the seed drew them.
        folds: how many; the task's own folds where it declares just as many.
    Raises:
        DataError: fewer than two folds, or fewer patients than folds.
    """
    drawn = by_patient([*division.train, *division.val])
    patients = sorted(drawn, key=lambda group: group[0].values)
    if not 2 <= folds <= len(patients):
        raise DataError(f"{many(folds, 'fold')} wanted of {many(len(patients), 'patient')}; use 2 to {len(patients)}")
    declared = {group[0].fold for group in patients}
    own = len(declared) == folds and None not in declared
    order = sorted(fold for fold in declared if fold is not None)
    dealt = [order.index(group[0].fold or 0) if own else place % folds for place, group in enumerate(patients)]
    return [
        CaseSplit(
            _flat([group for group, there in zip(patients, dealt, strict=True) if there != fold]),
            _flat([group for group, there in zip(patients, dealt, strict=True) if there == fold]),
            division.unused,
            division.test,
        )
        for fold in range(folds)
    ]


def by_patient(cases: Sequence[Case]) -> Patients:
    """The cases of each patient, in their order."""
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient or case.id, []).append(case)
    return list(patients.values())


def _refuse_senseless(cases: int | None, fraction: float | None, test: float, *, rehearsal: bool) -> None:
    """Raise DataError where the numbers contradict one another."""
    if cases is not None and fraction is not None:
        raise DataError("cases and fraction both set how many labels to use; give one")
    if not 0 <= test < 1 or (fraction is not None and not 0 < fraction <= 1):
        raise DataError(f"test must be in [0, 1) and fraction in (0, 1], got {test} and {fraction}")
    if rehearsal and not test:
        raise DataError("a rehearsal tests on a share of the patients who are not test cases; give --test, such as 0.2")


def _tested_and_rest(task: Task, test: float, *, rehearsal: bool) -> tuple[Patients, Patients]:
    """The patients to test on and those of whom cases may be used; of a rehearsal, neither holds a test patient."""
    patients = by_patient(task.cases)
    held_out = [group for group in patients if group[0].split == "test"]
    if not held_out and test:
        held_out = _held_out(patients, task, test)
    rest = _without(patients, held_out)
    if rehearsal:
        held_out = _held_out(rest, task, test)
        rest = _without(rest, held_out)
    return held_out, rest


def _as_chosen(cases: Sequence[Case], chosen: Sequence[str]) -> tuple[Patients, Patients]:
    """The cases that were chosen, one after another, and the others."""
    named = {case.id: case for case in cases}
    if strange := [id_ for id_ in chosen if id_ not in named]:
        raise DataError(
            f"{many(len(strange), 'chosen case')}, such as {strange[0]}, may not be used here: a test case, or none "
            f"of the labelled ones, such as {next(iter(named), 'none')}"
        )
    order = dict.fromkeys(chosen)
    return [[named[id_]] for id_ in order], [[case] for id_, case in named.items() if id_ not in order]


def _held_out(patients: Patients, task: Task, share: float) -> Patients:
    """A share of the patients, at least one, that depends on nothing but their names."""
    return _stratified(patients, task, _by_name)[: max(1, round(len(patients) * share))]


def _without(patients: Patients, others: Patients) -> Patients:
    """The patients that are not among the others."""
    named = {group[0].patient or group[0].id for group in others}
    return [group for group in patients if (group[0].patient or group[0].id) not in named]


def _num_val(val: int | None, num: int) -> int:
    if val is not None and val < 0:
        raise DataError(f"val must be 0 or more cases, got {val}")
    return val if val is not None else 0 if num < FEW else max(1, num // VALIDATING)


def _split_off(patients: Patients, num: int) -> tuple[Patients, Patients]:
    """The first patients, until they have so many cases together, and the others."""
    taken = 0
    for place, group in enumerate(patients):
        if taken >= num:
            return patients[:place], patients[place:]
        taken += len(group)
    return patients, []


def _stratified(patients: Patients, task: Task, order: Callable[[Patients], Patients]) -> Patients:
    """Order patients so that any first few have the classes of all: one of each, then in proportion.

    Labels that do not exclude each other are too many together to be in proportion; chance sees to that.
    """
    target = task.target
    strata: dict[tuple[float, ...], Patients] = {}
    for group in patients:
        strata.setdefault(target.stratum(group[0].values), []).append(group)
    placed = []
    for place, key in enumerate(sorted(strata)):
        members = order(strata[key])
        for number, group in enumerate(members):
            # The first of each class comes first of all; exact fractions, so that ties never hang on rounding.
            placed.append((Fraction(number, len(members)), place, number, group))
    return _with_each_label([group for *_, group in sorted(placed, key=lambda each: each[:3])], target)


def _with_each_label(patients: Patients, target: Target) -> Patients:
    """The first patient with each label that is wanted once before all others, which stay in their order."""
    first: dict[int, int] = {}
    for place, group in enumerate(patients):
        for label in {label for case in group for label in target.each_once(case.values)}:
            first.setdefault(label, place)
    early = dict.fromkeys(first[k] for k in sorted(first))
    return [patients[place] for place in early] + [group for place, group in enumerate(patients) if place not in early]


def _by_name(patients: Patients) -> Patients:
    """Shuffle patients in an order that depends only on each patient's name."""
    return sorted(
        patients,
        key=lambda group: hashlib.sha256(bytes_of(group[0].patient or group[0].id)).digest(),
    )


def _drawn(patients: Patients, seed: int) -> Patients:
    """Shuffle patients by the seed, whatever order they came in."""
    named = _by_name(patients)
    return [named[place] for place in generator_for(seed, 0, "cases").permutation(len(named))]


def _flat(patients: Patients) -> tuple[Case, ...]:
    return tuple(case for group in patients for case in group)
