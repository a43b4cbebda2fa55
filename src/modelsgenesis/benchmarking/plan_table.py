"""What a benchmark is going to do, and how long that takes, as a table."""

from collections.abc import Iterable, Mapping

from rich.table import Table

from modelsgenesis.benchmarking.trial import ALL, Trial
from modelsgenesis.core.words import many


def plan_table(task: str, trials: Iterable[Trial], seconds_a_step: Mapping[str, float], workers: int) -> Table:
    """Tabulate the runs of each arm and budget, and how long they will take.

    Args:
        task: its name.
        trials: all runs, and the rehearsals.
        seconds_a_step: of each arm.
        workers: how many runs go on at once; 0 is one.
    """
    kinds: dict[tuple[str, int | None], list[Trial]] = {}
    for trial in trials:
        words = f"{trial.arm}, rehearsals" if trial.options.rehearsal else trial.arm
        kinds.setdefault((words, trial.cases), []).append(trial)
    at_once, num = max(1, workers), sum(map(len, kinds.values()))
    table = Table(title=f"{task}: {many(num, 'run')}, {at_once} at once")
    for head in ("arm", "cases", "seeds", "updates each", "hours"):
        table.add_column(head, justify="left" if head == "arm" else "right")
    total = 0.0
    for (words, budget), some in kinds.items():
        updates = some[0].options.steps or 0
        hours = len(some) * updates * seconds_a_step[some[0].arm] / 3600
        total += hours
        table.add_row(words, str(budget or ALL), str(len(some)), f"{updates:,}", f"{hours:.2f}")
    table.caption = f"{total / at_once:.1f} hours of training, and the predictions; what is done is not done again"
    return table
