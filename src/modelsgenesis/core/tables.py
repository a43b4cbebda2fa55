"""Tables as files: the one reader and the one writer of CSV."""

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import check_regular, written_aside

LineEnd = Literal["\n", "\r\n"]


class Table(NamedTuple):
    """The head and rows of a CSV.

    Attributes:
        rows: {column: text} of each row; a cell that is missing is empty.
        columns: Their names, in the file's order.
    """

    rows: list[dict[str, str]]
    columns: list[str]


def read_table(path: Path) -> Table:
    """Read a CSV of anybody's, gzipped or not; blanks at the ends of its cells are cut off.

    Raises:
        DataError: it is not there, or no CSV in UTF-8.
    """
    exact = _read(path)
    return Table([{name: text.strip() for name, text in row.items()} for row in exact.rows], exact.columns)


def read_columns(path: Path) -> list[str]:
    """The names of the columns of a CSV, without its rows; none where it is no CSV."""
    try:
        with _opened(path) as file:
            return list(csv.DictReader(file).fieldnames or [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return []


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV of ours, {column: text}, to the letter.

    Raises:
        DataError: it is not there, or no CSV in UTF-8.
    """
    return _read(path).rows


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, line_end: LineEnd = "\n"
) -> None:
    """Write a CSV, whole or not at all.

    Args:
        path: of the file.
        columns: Its head; a row that lacks one has an empty cell there.
        rows: {column: value}, with no other columns; None is an empty cell.
        line_end: What ends a line.
    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    with (
        written_aside(path) as aside,
        open(aside, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns, lineterminator=line_end)
        writer.writeheader()
        writer.writerows(rows)


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, Any], *, line_end: LineEnd = "\n") -> None:
    """Add a row to a CSV that has its head."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, columns, lineterminator=line_end).writerow(row)


def _opened(path: Path) -> TextIO:
    """Open a table, gzipped or not, with or without a byte order mark."""
    if check_regular(path).suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return open(path, newline="", encoding="utf-8-sig")


def _read(path: Path) -> Table:
    try:
        with _opened(path) as file:
            reader = csv.DictReader(file, restval="")
            columns = list(reader.fieldnames or [])
            return Table([{name: row[name] or "" for name in columns} for row in reader], columns)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV in UTF-8 ({error})") from error
