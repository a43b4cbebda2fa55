"""Tables as files: what is written is read again, and a table of anybody's is read kindly."""

import csv
from pathlib import Path

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import append_row, read_columns, read_rows, read_table, write_table


def test_rows_written_are_rows_read(tmp_path: Path) -> None:
    """To the letter, with commas, quotes, line ends and blanks."""
    rows = [{"a": "1,5", "b": ' say "x"\n'}, {"a": "", "b": "é"}]
    write_table(tmp_path / "t.csv", ["a", "b"], rows)
    append_row(tmp_path / "t.csv", ["a", "b"], {"b": "last"})
    assert read_rows(tmp_path / "t.csv") == [*rows, {"a": "", "b": "last"}]


def test_line_ends_are_those_given(tmp_path: Path) -> None:
    """Files that began with one go on with it."""
    write_table(tmp_path / "t.csv", ["a"], [{"a": 1}], line_end="\r\n")
    append_row(tmp_path / "t.csv", ["a"], {"a": None}, line_end="\r\n")
    assert (tmp_path / "t.csv").read_bytes() == b'a\r\n1\r\n""\r\n'


def test_table_of_anybody_is_read_kindly(tmp_path: Path) -> None:
    """With a byte order mark, blanks around cells and columns, short rows, and empty cells beyond or below."""
    (tmp_path / "t.csv").write_bytes('\ufeffa, b\n 1 \n2,  "3, 4",\n\n,\n , ,\n'.encode())
    assert read_table(tmp_path / "t.csv") == ([{"a": "1", "b": ""}, {"a": "2", "b": "3, 4"}], ["a", "b"])
    assert read_columns(tmp_path / "t.csv") == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    ["a;b\r\n1;2,5\r\n", "a\tb\n1\t2,5\n", "sep=;\r\na;b\r\n1;2,5\r\n", 'sep=,\na,b\n1,"2,5"\n', 'a,b\n1,"2,5"\n'],
)
def test_semicolons_and_tabs_are_told_by_the_head(tmp_path: Path, text: str) -> None:
    """As spreadsheets write them where a comma stands in numbers."""
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read_table(tmp_path / "t.csv") == ([{"a": "1", "b": "2,5"}], ["a", "b"])
    assert read_columns(tmp_path / "t.csv") == ["a", "b"]


def test_separators_in_the_quotes_of_a_head_are_none(tmp_path: Path) -> None:
    """A column may be called by a list, in quotes or where there are commas too, as we write it."""
    for head, row in (('a,"b;c;d"', "1,2"), ("a,b;c;d", "1,2"), ('"a";"b,c"', "1;2")):
        (tmp_path / "t.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
        assert list(read_table(tmp_path / "t.csv").rows[0].values()) == ["1", "2"]


def test_cells_beyond_the_head_and_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """A decimal comma without quotes would make 3,5 a 3; of two columns of one name, one would be lost."""
    (tmp_path / "t.csv").write_text("image,label\na,3\nb,3,5\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 3 has more cells than the head, '5' .* holds a , in quotes"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("image,label, label\na,0,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="has two columns called 'label'"):
        read_table(tmp_path / "t.csv")


def test_no_table_is_one_line_that_says_so(tmp_path: Path) -> None:
    """Neither a missing file nor one of other letters is a traceback."""
    (tmp_path / "t.csv").write_bytes(b"a\n\xff\n")
    for name in ("t.csv", "none.csv"):
        with pytest.raises(DataError, match=f"{name}: cannot be read as a CSV in UTF-8"):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\tx", "\rx", "'=1", "''-a", "=\n"])
def test_no_cell_or_column_is_a_formula(tmp_path: Path, name: str) -> None:
    """To a spreadsheet each is text that begins with an apostrophe; to us it is what was written."""
    path = tmp_path / "t.csv"
    write_table(path, ["a", name], [{"a": name, name: name}])
    append_row(path, ["a", name], {"a": name})
    with path.open(newline="") as file:
        assert {cell for row in csv.reader(file) for cell in row} == {"a", "", f"'{name}"}
    assert read_rows(path) == [{"a": name, name: name}, {"a": name, name: ""}]
    assert read_columns(path) == ["a", name]


@pytest.mark.parametrize("number", ["-1.5", "+3", "-inf", "-1e-05", "-.5", "-12.5 3.0 -4e2"])
def test_numbers_stay_numbers(tmp_path: Path, number: str) -> None:
    """Alone or several in a cell, as text or not."""
    write_table(tmp_path / "t.csv", ["a", "b"], [{"a": number, "b": -1.5}])
    assert (tmp_path / "t.csv").read_text() == f"a,b\n{number},-1.5\n"
