"""The learning rate depends on the step and the validations so far, and on nothing else."""

import math

import pytest

from modelsgenesis.core.errors import TrainingError
from modelsgenesis.training.plan import Plan
from modelsgenesis.training.schedule import learning_rate, since_best


def rates(plan: Plan) -> list[float]:
    """The rate of every step, without validations."""
    return [learning_rate(plan, step, []) for step in range(plan.steps)]


def test_cosine_rises_then_falls_to_nothing() -> None:
    """Linear over the warm-up, the peak once, near 0 at the end."""
    curve = rates(Plan(steps=100, lr=1.0, warmup_steps=10))
    assert curve[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert max(curve) == curve[10] == 1.0
    assert curve[10:] == sorted(curve[10:], reverse=True)
    assert curve[-1] < 0.001


def test_halving_counts_validations() -> None:
    """Half after every `halve_after` validations, however they went."""
    plan = Plan(steps=10, lr=1.0, warmup_steps=0, schedule="halving", halve_after=2)
    assert [learning_rate(plan, 5, [1.0] * count) for count in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_plateau_halves_only_without_progress() -> None:
    """Better validations reset the waiting."""
    plan = Plan(steps=10, lr=1.0, warmup_steps=0, schedule="plateau", halve_after=2)
    assert learning_rate(plan, 5, [5, 4, 3, 2, 1]) == 1.0
    assert learning_rate(plan, 5, [1, 2, 3]) == 0.5
    assert learning_rate(plan, 5, [1, 2, 0.5, 2]) == 1.0
    assert learning_rate(plan, 5, [1, 2, 3, 4, 5]) == 0.25


def test_constant_stays() -> None:
    """After the warm-up nothing changes."""
    assert set(rates(Plan(steps=9, lr=0.5, warmup_steps=0, schedule="constant"))) == {0.5}


def test_since_best_counts_from_the_first_best() -> None:
    """Equal is not better."""
    assert [since_best(history) for history in ([], [1.0], [1.0, 1.0], [3, 1, 2, 2])] == [0, 0, 1, 2]


def test_what_is_no_number_is_never_the_best() -> None:
    """A validation of NaN counts as waited for; the next number is the best, however bad."""
    nan = math.nan
    histories = ([nan], [nan, nan], [nan, 9.0], [1.0, nan], [nan, 1.0, 2.0])
    assert [since_best(history) for history in histories] == [1, 2, 0, 1, 1]
    plan = Plan(steps=10, lr=1.0, warmup_steps=0, schedule="plateau", halve_after=2)
    assert learning_rate(plan, 5, [nan, 2, 1, nan, 0.5]) == 1.0
    assert learning_rate(plan, 5, [nan, nan, 1]) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"batch_size": 0},
        {"validate_every": 0},
        {"warmup_steps": -1},
        {"workers": -1},
        {"patience": 0},
    ],
)
def test_senseless_numbers_are_refused(wrong: dict[str, float]) -> None:
    """The error names the setting and the number."""
    (name,) = wrong
    with pytest.raises(TrainingError, match=rf"{name} must be"):
        Plan(**{"steps": 10, **wrong})  # type: ignore[arg-type]


def test_batch_that_does_not_divide_names_one_that_does() -> None:
    """Six cubes cannot be shared by four processes."""
    with pytest.raises(TrainingError, match="use --batch-size 8"):
        Plan(steps=1, batch_size=6).share(4)
