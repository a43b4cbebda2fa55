"""What is learned on fixed vectors: a linear model, the nearest neighbours, the nearest class mean."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification

Head = Literal["linear", "knn", "few-shot"]
Numbers = NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # one over the L2 penalty of standardised features
USUAL = 1e-2  # where there are too few cases to choose
FOLDS = 5
FEW = 200  # features, up to which steps with second derivatives are the faster ones
NEIGHBOURS = 20
TEMPERATURE = 0.07  # of cosine similarities, as in DINO's nearest neighbours
LEAST_P = 1e-12


class Model(Protocol):
    """A fitted model of scikit-learn."""

    def predict(self, x: Numbers) -> Numbers:
        """Predict numbers or classes, (N, D) -> (N,)."""
        ...


def probe(
    head: Head, train: Numbers, values: Numbers, patients: Sequence[str], test: Numbers, target: TableTarget
) -> Numbers:
    """Learn a target from the vectors of training cases and predict it for test cases.

    Vectors are standardised by the training cases.

    Args:
        head: what is learned.
        train: (N, D).
        values: (N, values) as cases have them; NaN is unknown.
        patients: of each training case; no patient is on both sides of a choice.
        test: (M, D).
        target: to learn.
    Returns:
        (M, value columns): probabilities or numbers.
    Raises:
        DataError: the head does not learn such a target.
    """
    spread = train.std(axis=0)
    spread[spread < 1e-12] = 1.0
    train, test = (train - train.mean(axis=0)) / spread, (test - train.mean(axis=0)) / spread
    if head == "linear":
        train, test = _rotated(train, test)
    else:
        train, test = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), LEAST_P) for x in (train, test))
    names = np.asarray(patients)
    if isinstance(target, Classification):
        return _classes(head, train, values[:, 0].astype(int), names, test, len(target.labels))
    if isinstance(target, MultilabelClassification):
        columns = []
        for value in values.T:
            known = np.isfinite(value)
            there = (value[known] >= 0.5).astype(int)
            columns.append(_classes(head, train[known], there, names[known], test, 2)[:, 1])
        return np.stack(columns, axis=1)
    if target.kind != "regression":
        raise DataError(f"a probe learns classes, labels and numbers, and this is a {target.kind}")
    return np.stack([_numbers(head, train, value, names, test) for value in values.T], axis=1)


def _rotated(train: Numbers, test: Numbers) -> tuple[Numbers, Numbers]:
    """The vectors along the directions in which training cases differ: a model with an L2 penalty is the same there."""
    _, singular, directions = np.linalg.svd(train, full_matrices=False)
    kept = directions[singular > 1e-9 * max(singular.max(initial=0.0), 1e-9)].T
    kept = kept if kept.size else np.zeros((train.shape[1], 1))  # all training cases are alike
    return train @ kept, test @ kept


def _classes(
    head: Head, train: Numbers, classes: NDArray[Any], patients: NDArray[Any], test: Numbers, num: int
) -> Numbers:
    """Probabilities of `num` classes, (M, num); those without a training case have none."""
    p = np.zeros((len(test), num))
    there = np.unique(classes)
    if len(there) < 2:  # nothing to tell apart
        p[:, there] = 1.0
        return p if len(there) else p + 1 / num
    p[:, there] = HEADS[head](train, classes, patients, test)
    return p


def _linear(train: Numbers, classes: NDArray[Any], patients: NDArray[Any], test: Numbers) -> Numbers:
    def loss(model: Any, x: Numbers, truth: NDArray[Any]) -> float:
        p = model.predict_proba(x)[np.arange(len(truth)), np.searchsorted(model.classes_, truth)]
        return float(-np.log(np.maximum(p, LEAST_P)).mean())

    few = len(np.unique(classes)) == 2 and train.shape[1] <= FEW
    make = functools.partial(_logistic, solver="newton-cholesky" if few else "lbfgs")
    with warnings.catch_warnings():  # where a step of Newton's does not help, scikit-learn says so and goes on by lbfgs
        warnings.filterwarnings("ignore", "Line search of Newton solver")
        strength = _chosen(make, loss, train, classes, _folds(classes, patients))
        return np.asarray(make(strength).fit(train, classes).predict_proba(test))


def _logistic(strength: float, solver: str) -> Any:
    from sklearn.linear_model import LogisticRegression  # here, since it takes a second

    return LogisticRegression(C=strength, solver=solver, max_iter=5000)


def _ridge(strength: float) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1 / strength)


def _chosen(
    make: Callable[[float], Any],
    loss: Callable[[Any, Numbers, NDArray[Any]], float],
    train: Numbers,
    truth: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> float:
    """The strength with the least loss on the folds' held-out cases; of equals the strongest penalty."""
    if not folds:
        return USUAL
    losses = [
        np.mean([loss(make(strength).fit(train[own], truth[own]), train[held], truth[held]) for own, held in folds])
        for strength in STRENGTHS
    ]
    return STRENGTHS[int(np.argmin(losses))]


def _folds(classes: NDArray[Any] | None, patients: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Divide training cases by patient, with every class on both sides; none where there are too few."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    groups = [patients] if classes is None else [patients[classes == each] for each in np.unique(classes)]
    num = min(FOLDS, *(len(np.unique(each)) for each in groups), len(np.unique(patients)))
    if num < 2:
        return []
    rows = np.zeros(len(patients))
    if classes is None:
        return list(GroupKFold(num).split(rows, groups=patients))
    folds = StratifiedGroupKFold(num).split(rows, classes, groups=patients)
    whole = set(np.unique(classes).tolist())
    return [(own, held) for own, held in folds if set(classes[own].tolist()) == whole and len(held)]


def _similarity(distances: Numbers) -> Numbers:
    """How much neighbours count, by their cosine distances."""
    return np.asarray(np.exp(-distances / TEMPERATURE))


def _knn(train: Numbers, classes: NDArray[Any], patients: NDArray[Any], test: Numbers) -> Numbers:
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(NEIGHBOURS, len(train)), metric="cosine", weights=_similarity)
    return np.asarray(model.fit(train, classes).predict_proba(test))


def _few_shot(train: Numbers, classes: NDArray[Any], patients: NDArray[Any], test: Numbers) -> Numbers:
    """Probabilities by the cosine similarity to each class's mean."""
    means = np.stack([train[classes == each].mean(axis=0) for each in np.unique(classes)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), LEAST_P)
    logits = test @ means.T / TEMPERATURE
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


HEADS: dict[Head, Callable[[Numbers, NDArray[Any], NDArray[Any], Numbers], Numbers]] = {
    "linear": _linear, "knn": _knn, "few-shot": _few_shot,
}  # fmt: skip


def _numbers(head: Head, train: Numbers, truth: Numbers, patients: NDArray[Any], test: Numbers) -> Numbers:
    """Predict a number of test cases."""
    known = np.isfinite(truth)
    train, truth, patients = train[known], truth[known], patients[known]
    if head == "few-shot":
        raise DataError("the head few-shot is of classes; use linear or knn for numbers")
    if head == "knn":
        from sklearn.neighbors import KNeighborsRegressor

        model: Model = KNeighborsRegressor(min(NEIGHBOURS, len(train)), metric="cosine", weights=_similarity)
        return np.asarray(model.fit(train, truth).predict(test))  # type: ignore[attr-defined]

    def loss(model: Model, x: Numbers, numbers: Numbers) -> float:
        return float(np.square(model.predict(x) - numbers).mean())

    strength = _chosen(_ridge, loss, train, truth, _folds(None, patients))
    return np.asarray(_ridge(strength).fit(train, truth).predict(test))
