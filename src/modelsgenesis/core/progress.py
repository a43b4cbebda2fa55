"""How far a command is among many items: a bar on a terminal, a line now and then elsewhere."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modelsgenesis.core.words import many

Result = TypeVar("Result")

LINE_EVERY = 50  # items, where there is no terminal to draw a bar on


def with_progress(
    results: Iterable[Result],
    total: int,
    console: Console,
    *,
    verb: str,
    unit: str,
    wrong: str,
    is_wrong: Callable[[Result], bool],
) -> Iterator[Result]:
    """Pass results on as they come, and show how many there are.

    Args:
        results: of the items, one each.
        total: how many there will be.
        console: that shows it; a quiet one shows nothing.
        verb: the command's.
        unit: what an item is called, such as "scan".
        wrong: what became of an item whose result is wrong, such as "not prepared".
        is_wrong: whether a result is.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[wrong]}"),
    )
    num_wrong = 0
    with Progress(*columns, console=console, disable=console.quiet or not console.is_terminal) as progress:
        bar = progress.add_task(verb, total=total, wrong="")
        for count, result in enumerate(results, start=1):
            num_wrong += is_wrong(result)
            progress.update(bar, advance=1, wrong=f"{num_wrong} {wrong}" if num_wrong else "")
            if not console.is_terminal and count % LINE_EVERY == 0:
                console.print(f"{verb}: {count} of {many(total, unit)}, {num_wrong} {wrong}", highlight=False)
            yield result
