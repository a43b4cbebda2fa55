"""The one console: what is printed is text, whatever a file, a class or a case is called."""

import re
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # but for tabs and the ends of lines


class PlainConsole(Console):
    """A console for which `[/b]` and `:smile:` are letters, and which shows the sequences that steer a terminal."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **how: Any) -> Text:
        """Turn a string into text as the base class does, printed or in the cell of a table."""
        return super().render_str(printable(text), **how)


def make_console(*, quiet: bool = False) -> Console:
    """Make the console on which verbs report."""
    return PlainConsole(stderr=True, quiet=quiet)


def teller(verb: str, console: Console) -> Callable[[str], None]:
    """What tells the user something in a line, after the verb's name."""
    return lambda line: console.print(f"{verb}: {line}", soft_wrap=True, highlight=False, markup=False)


def printable(text: str) -> str:
    r"""Write control characters as escapes, such as \x1b: the name of a file may move a cursor or set a title."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
