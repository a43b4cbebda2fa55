"""The log of a run: log.csv, TensorBoard events and, on a terminal, a bar."""

import math
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import reason
from modelsgenesis.core.tables import append_row, read_rows, write_table
from modelsgenesis.training.trackers import Tracker, closing

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FILE = "log.csv"
STEP = re.compile("[0-9]{1,15}")
LINE_END: Literal["\r\n"] = "\r\n"


class RunLogger:
    """Writes a run's metrics, from the first process only.

    Args:
        folder: of the run.
        steps: the last step, for the bar.
        start: steps already done; later lines of an interrupted run are cut away, since they will come again.
        console: for the user; a bar on a terminal, a line a validation elsewhere.
        noun: what a sample is called.
        trackers: that take the metrics too, and are closed with it.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        *,
        start: int,
        console: Console,
        noun: str = "cube",
        trackers: Sequence[Tracker] = (),
    ) -> None:
        self.path = folder / FILE
        self.columns = _cut_after(self.path, start)
        self.folder, self.start = folder / "tensorboard", start
        self.events: SummaryWriter | None = None  # made at the first line, so that the first step need not wait
        self.console, self.noun, self.trackers = console, noun, trackers
        bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*bar, console=console, disable=not console.is_terminal)
        self.task = self.progress.add_task("training", total=steps, completed=start)

    def __enter__(self) -> Self:
        self.progress.start()
        self.of_threads, threading.excepthook = threading.excepthook, _leave_to_caller
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        try:
            with closing(self.trackers):
                if self.events is not None:
                    self.events.close()
        except OSError as refused:
            raise DataError(f"{self.folder}: could not be written ({reason(refused)})") from refused
        finally:
            threading.excepthook = self.of_threads

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Add a line; metrics that are not of this step (a validation's) are left empty.

        Raises:
            DataError: the disk is full or the folder cannot be written.
        """
        row = {"step": step, **{name: f"{value:.6g}" for name, value in metrics.items()}}
        try:
            if self.columns is None or not row.keys() <= set(self.columns):
                self._add_columns([*(self.columns or []), *(name for name in row if name not in (self.columns or []))])
            append_row(self.path, self.columns or [], row, line_end=LINE_END)
            events = self._events()
            for name, value in metrics.items():
                events.add_scalar(_tag(name), value, step)
            for tracker in self.trackers:
                tracker.write(step, {_tag(name): value for name, value in metrics.items()})
        except OSError as error:
            raise DataError(f"{self.path}: could not be written ({reason(error)})") from error
        self._show(step, metrics)

    def _events(self) -> "SummaryWriter":
        if self.events is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            self.events = SummaryWriter(str(self.folder), purge_step=self.start + 1)
        return self.events

    def _add_columns(self, columns: list[str]) -> None:
        """Write the file again with more columns; happens at the first line and the first validation."""
        rows = read_log(self.path)
        write_table(self.path, columns, rows, line_end=LINE_END)
        self.columns = columns

    def _show(self, step: int, metrics: dict[str, float]) -> None:
        loss, speed = metrics.get("loss", math.nan), metrics.get("cubes_per_s", math.nan)
        so_far = f"loss {loss:.4f}, {speed:.1f} {self.noun}s/s"
        self.progress.update(self.task, completed=step, description=so_far, refresh=False)
        if "val_total" in metrics:
            parts = ", ".join(f"{name} {metrics[name]:.4f}" for name in metrics if name.startswith("val_"))
            self.console.print(f"step {step}: {so_far}, {parts}", highlight=False, soft_wrap=True)


def _leave_to_caller(error: threading.ExceptHookArgs) -> None:
    """Print no traceback of TensorBoard's thread when the disk is full: whoever writes next, or closes, is told."""
    if not issubclass(error.exc_type, OSError):
        threading.__excepthook__(error)


def read_log(path: Path) -> list[dict[str, str]]:
    """Read the lines of a log but one that was cut short; there are none when the file does not exist yet."""
    if not path.is_file():
        return []
    rows = read_rows(path)
    whole = rows if path.read_bytes().endswith(b"\n") else rows[:-1]  # a full disk takes part of a line
    return [row for row in whole if STEP.fullmatch(row.get("step") or "")]


def _cut_after(path: Path, step: int) -> list[str] | None:
    """Cut away the lines after a step and return the columns, or None when there is no log."""
    rows = read_log(path)
    if not rows:
        return None
    columns = list(rows[0])
    write_table(path, columns, [row for row in rows if int(row["step"]) <= step], line_end=LINE_END)
    return columns


def _tag(name: str) -> str:
    return f"validation/{name[4:]}" if name.startswith("val_") else f"train/{name}"
