"""What is wrong with a source, as one line that says what to do."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelsgenesis.core.errors import DataError, GenesisError, MissingExtraError, refusal
from modelsgenesis.core.locations import name_of
from modelsgenesis.core.tables import write_table

DAMAGED = ("it cannot be read: the file is damaged", "copy or export it again")
DIED = ("the process that read it died", "is there enough memory? If so, copy or export it again")
NO_MEMORY = ("it does not fit into memory", "use a machine with more, or fewer --workers")
NOT_READ = "the file cannot be read"
QUOTED = re.compile(r"""(?<!\w)(['"`]).*['"`]""")
MOST_LETTERS = 200  # of what a library says
COLUMNS = ("path", "severity", "problem", "remedy")


@dataclass(frozen=True, order=True)
class Problem:
    """A line of `problems.csv`.

    Attributes:
        path: of the source, as found; this table is for the owner of the scans, not for sharing.
        problem: what is wrong.
        remedy: what to do.
        severity: "error": not in the store; "warning": in the store, repaired or worth a look.
    """

    path: Path
    problem: str
    remedy: str
    severity: Literal["error", "warning"] = "error"

    def to_row(self) -> dict[str, str]:
        """The problem as a row of the table."""
        return {"path": name_of(self.path), "severity": self.severity, "problem": self.problem, "remedy": self.remedy}


def in_its_words(error: Exception, path: Path) -> str:
    """What a library says of a file, without what it quotes: that is the file's own text, which may name a person."""
    said = str(error).strip().splitlines() or [""]
    words = QUOTED.sub("...", said[-1].replace(str(path), path.name).replace(path.name, "the file"))
    return words[:MOST_LETTERS] or type(error).__name__


def write_problems(table: Path, problems: Iterable[Problem]) -> None:
    """Write problems, each once, in the order of paths. The table names sources: it is for the owner of the scans."""
    write_table(table, COLUMNS, [problem.to_row() for problem in sorted(set(problems))])


def may_pass(problem: str) -> bool:
    """Whether another machine, or another time, may do what this problem says could not be done."""
    return problem in (DIED[0], NO_MEMORY[0]) or problem.startswith(NOT_READ)


def died(path: Path) -> Problem:
    """The problem of a source whose reading ended the process: for want of memory, or by a fault of a decoder."""
    return Problem(path, *DIED)


class UnreadableError(DataError):
    """A source that cannot be prepared; the others go on.

    Args:
        problem: what is wrong.
        remedy: what to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"

    def at(self, path: Path) -> Problem:
        """Make the problem of a source."""
        return Problem(path, self.problem, self.remedy)


@contextlib.contextmanager
def costs_one_source(damaged: tuple[str, str] = DAMAGED) -> Iterator[None]:
    """Turn whatever a library raises for one source into the line that it becomes, so that the others go on.

    What this package refuses itself passes as it is: a line of its own, or a disk that is full.

    Args:
        damaged: problem and remedy of what no other words fit.
    Raises:
        UnreadableError: in the place of any other error.
    """
    try:
        yield
    except (GenesisError, MissingExtraError):
        raise
    except MemoryError as error:
        raise UnreadableError(*NO_MEMORY) from error
    except OSError as error:
        if why := refusal(error):
            raise UnreadableError(*why.split("; ", 1)) from error
        raise UnreadableError(f"{NOT_READ} ({error.strerror or error})", "copy it again") from error
    except UnicodeEncodeError as error:
        what = "the name of the file or of its folder is not UTF-8, and the library that reads it takes no other"
        raise UnreadableError(what, "rename it") from error
    except Exception as error:
        raise UnreadableError(f"{damaged[0]} ({type(error).__name__})", damaged[1]) from error


def not_there(place: Path) -> UnreadableError:
    """The error of a table that names a file which is not there, as where its paths are written as Windows has them."""
    remedy = (
        "write / between folders, as every system reads it"
        if "\\" in str(place)
        else "correct its name, or copy the file"
    )
    return UnreadableError("it is named, but it is not there", remedy)
