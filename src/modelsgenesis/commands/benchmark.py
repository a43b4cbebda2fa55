"""The verb benchmark: `genesis benchmark DATA OUT`."""

import functools
from pathlib import Path

from modelsgenesis.benchmarking import suite as room
from modelsgenesis.benchmarking.options import BenchmarkOptions
from modelsgenesis.commands.command_line import command
from modelsgenesis.core.options import verb
from modelsgenesis.reports.benchmark_page import write_report


@verb(BenchmarkOptions)
def benchmark(data: str | Path, into: str | Path, options: BenchmarkOptions) -> Path:
    """Ask what pre-training buys on a task: every start, with few and many labels, again and again.

    For a number of cases and a seed every arm is trained on the same cases, for as many updates, and scored on the same
    patients, who are never used for a choice. Run again, it goes on where it stopped, and further arms, budgets and
    seeds may be added: what was done before stays in the tables.

    Args:
        data: The labelled cases, as finetune takes them.
        into: The folder of the runs, audit.csv, runs.csv, and the report.
    Returns:
        `into`.
    Raises:
        DataError: too few cases, test cases that an arm was pre-trained on, or a metric that evaluate does not give or
            that does not say which arm is better.
        GenesisError: arms without names of their own.
        TrainingError: the folder holds a benchmark with other settings.
    """
    report = functools.partial(write_report, command=command)
    return room.benchmark(Path(data), Path(into), options, write_report=report)
