"""What is wrong with a source, as one line that says what to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelsgenesis.core.errors import DataError

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
        return {"path": str(self.path), "severity": self.severity, "problem": self.problem, "remedy": self.remedy}


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
