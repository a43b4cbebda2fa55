"""The learning rate as a pure function of the step and the validations so far: nothing to save, nothing to lose."""

import math
from collections.abc import Sequence

from modelsgenesis.training.plan import Plan


def learning_rate(plan: Plan, step: int, history: Sequence[float]) -> float:
    """Return the rate of step `step` (0 is the first), given the validation losses so far, oldest first."""
    warm = min(1.0, (step + 1) / (plan.warmup_steps + 1))
    if plan.schedule == "cosine":
        done = max(0, step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
        return plan.lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if plan.schedule == "plateau":
        return plan.lr * warm * 0.5 ** _plateaus(history, plan.halve_after)
    if plan.schedule == "halving":
        return plan.lr * warm * 0.5 ** (len(history) // plan.halve_after)
    return plan.lr * warm


def since_best(history: Sequence[float]) -> int:
    """Count the validations since the best one: 0 if it was the last, all if none gave a number."""
    numbers = [place for place, loss in enumerate(history) if not math.isnan(loss)]
    return len(history) - 1 - min(numbers, key=history.__getitem__) if numbers else len(history)


def _plateaus(history: Sequence[float], halve_after: int) -> int:
    """Count how often `halve_after` validations in a row were no better than the best before them."""
    best, waited, plateaus = math.inf, 0, 0
    for loss in history:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == halve_after:
            plateaus, waited = plateaus + 1, 0
    return plateaus
