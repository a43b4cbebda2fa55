"""Tables as files: the one reader and the one writer of CSV."""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from modelsgenesis.core.errors import DataError, refusal
from modelsgenesis.core.files import check_regular, written_aside

LineEnd = Literal["\n", "\r\n"]

# What a spreadsheet takes for a formula; an apostrophe before it makes it text, and another one text of that.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
# What programs write into a cell that has no value, in lower case.
NO_VALUE = ("", "nan", "n/a", "#n/a", "<na>", "null")
SEPARATOR = re.compile(r"sep=(.)\r?\n")
NUMBERS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+|inf|nan)(e[+-]?\d+)?( [+-]?(\d+\.?\d*|\.\d+|inf|nan)(e[+-]?\d+)?)*", re.I)


class Table(NamedTuple):
    """The head and rows of a CSV.

    Attributes:
        rows: {column: text} of each row; a cell that is missing is empty.
        columns: Their names, in the file's order.
    """

    rows: list[dict[str, str]]
    columns: list[str]


def read_table(path: Path) -> Table:
    """Read a CSV of anybody's, gzipped or not, with commas, semicolons or tabs between its cells.

    Blanks at the ends of cells are cut off; a row of empty cells, as spreadsheets leave them below a table, is none.

    Raises:
        DataError: it is not there, or no CSV in UTF-8; two columns have one name; a row has more cells than the head,
            as after a comma that no quotes enclose.
    """
    exact = _read(path, anybodys=True)
    columns = [name.strip() for name in exact.columns]
    if twice := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise DataError(f"{path}: has two columns called {twice[0]!r}; rename or remove one of them")
    stripped = ({name.strip(): text.strip() for name, text in row.items()} for row in exact.rows)
    return Table([row for row in stripped if any(row.values())], columns)


def read_columns(path: Path) -> list[str]:
    """The names of the columns of a CSV, without its rows; none where it is no CSV."""
    try:
        with _opened(path) as file:
            return [_as_meant(name) for name in _reader(file, anybodys=True).fieldnames or []]
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
    """Write a CSV, whole or not at all; no cell of it is a formula to a spreadsheet.

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
        _write(file, columns, line_end)
        for row in rows:
            _write(file, _cells(columns, row), line_end)


def append_row(path: Path, columns: Sequence[str], row: Mapping[str, Any], *, line_end: LineEnd = "\n") -> None:
    """Add a row to a CSV that has its head."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        _write(file, _cells(columns, row), line_end)


def _cells(columns: Sequence[str], row: Mapping[str, Any]) -> list[Any]:
    """The cells of a row in the order of the columns.

    Raises:
        ValueError: the row has a column that the table has not.
    """
    if strange := [name for name in row if name not in columns]:
        raise ValueError(f"a row has the columns {strange}, and the table has not")
    return [row.get(name, "") for name in columns]


def _write(file: TextIO, cells: Sequence[Any], line_end: LineEnd) -> None:
    """Write a row; Python's writer leaves a lone carriage return bare, and every reader ends the row there."""
    bare = any(isinstance(cell, str) and "\r" in cell for cell in cells)
    writer = csv.writer(file, lineterminator=line_end, quoting=csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL)
    writer.writerow(map(_inert, cells))


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    text = isinstance(value, str) and FORMULA.match(value) and not NUMBERS.fullmatch(value)
    return f"'{value}" if text else value


def _as_meant(cell: str) -> str:
    """What `_inert` was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _opened(path: Path) -> TextIO:
    """Open a table, gzipped or not, with or without a byte order mark."""
    if check_regular(path).suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return open(path, newline="", encoding="utf-8-sig")


def _reader(file: TextIO, *, anybodys: bool) -> "csv.DictReader[str]":
    """A reader of rows of a table of ours, or of anybody's, whose head says what stands between its cells."""
    if not anybodys:
        return csv.DictReader(file, restval="")
    head = file.readline()
    if said := SEPARATOR.fullmatch(head):  # as Excel begins a file for itself
        return csv.DictReader(file, restval="", delimiter=said[1], skipinitialspace=True)
    file.seek(0)
    unquoted = re.sub('"[^"]*"', "", head)
    delimiter = next((each for each in ",;\t" if each in unquoted), ",")
    return csv.DictReader(file, restval="", delimiter=delimiter, skipinitialspace=True)


def _read(path: Path, *, anybodys: bool = False) -> Table:
    try:
        with _opened(path) as file:
            reader = _reader(file, anybodys=anybodys)
            columns = reader.fieldnames = [_as_meant(name) for name in reader.fieldnames or []]
            rows = []
            for row in reader:
                if anybodys and (more := [cell for cell in row.get(None) or [] if cell.strip()]):
                    what = f"line {reader.line_num} has more cells than the head, {more[0]!r} is beyond its last column"
                    raise DataError(
                        f"{path}: {what}; put a cell that holds a {reader.reader.dialect.delimiter} in quotes"
                    )
                rows.append({name: _as_meant(row[name] or "") for name in columns})
            return Table(rows, columns)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {refusal(error) or f'cannot be read as a CSV in UTF-8 ({error})'}") from error
