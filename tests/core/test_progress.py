"""Lines on how far a command is, where there is no terminal."""

import io

from rich.console import Console

from modelsgenesis.core.progress import with_progress


def shown(number: int, *, quiet: bool = False) -> tuple[list[int], str]:
    """What comes through, and what is printed."""
    file = io.StringIO()
    console = Console(file=file, quiet=quiet, force_terminal=False, width=100)
    results = with_progress(
        range(number), number, console, verb="evaluate", unit="case", wrong="not compared",
        is_wrong=lambda result: result % 10 == 0,
    )  # fmt: skip
    return list(results), file.getvalue()


def test_all_come_through_and_a_line_tells_of_every_fifty() -> None:
    """In their order, with how many are wrong so far."""
    through, text = shown(120)
    assert through == list(range(120))
    assert text.splitlines() == [
        "evaluate: 50 of 120 cases, 5 not compared",
        "evaluate: 100 of 120 cases, 10 not compared",
    ]


def test_few_or_quiet_ones_are_passed_on_in_silence() -> None:
    """No line, and nothing is lost."""
    assert shown(49) == (list(range(49)), "")
    assert shown(60, quiet=True) == (list(range(60)), "")
