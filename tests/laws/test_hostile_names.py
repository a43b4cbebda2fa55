"""Classes, cases and files called after markup, formulas and terminal sequences are names, to every verb."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.balls import blob, write_image
from tests.data.scan_files import edit, write_ct, write_slice

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.problems import in_its_words
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights.files import save_network

CLASSES = ("[/b]", "=1+1<script>alert(1)</script>")
FILES = ("=a[red]<i>{}.nii.gz", "-b\x1b]0;owned\x07:smile:{}.nii.gz")
TINY = ["--steps", "1", "--batch-size", "2", "--size", "16", "16", "16", "--precision", "32-true"]
FORMULA = re.compile(r"[=+\-@\t\r](?!\d|\.\d|inf|nan)")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A table of ten scans and their classes."""
    with (tmp_path / "data.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "label", "patient"])
        for number in range(10):
            name = FILES[number % 2].format(number)
            write_image(tmp_path / "plain.nii.gz", blob(number)[0])
            (tmp_path / "scans").mkdir(exist_ok=True)
            (tmp_path / "plain.nii.gz").rename(tmp_path / "scans" / name)
            rows.writerow([f"scans/{name}", CLASSES[number // 2 % 2], f"@{number}"])
    return tmp_path / "data.csv"


def test_hostile_names_are_names_to_every_verb(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No verb ends with a traceback, steers the terminal, runs a script in a page, or writes a formula to a table."""
    monkeypatch.chdir(tmp_path)
    save_network(tmp_path / "start.safetensors", UNet3D(width=1))
    start = ["--from", "start.safetensors", *TINY, "--test", "0.3"]
    bench = ["--from", "[/i]=start.safetensors", "--allow", "[/i]", "--cases", "all", "--seeds", "1", *TINY]
    lines = [
        ["prepare", "scans", "store", "--workers", "0"],
        ["inspect", "data.csv", "--into", "inspected.html"],
        ["finetune", "data.csv", "run", *start],
        ["predict", "run", "run/test.csv", "predicted"],
        ["evaluate", "predicted", "run/test.csv", "scores", "--resamples", "10"],
        ["view", "scans"],
        ["view", "predicted"],
        ["view", "scores"],
        ["report", "run"],
        ["export", "run", "exported"],
        ["embed", "start.safetensors", "scans", "embedded"],
        [
            "probe",
            "embedded",
            "data.csv",
            "probed",
            "--test",
            "0.3",
            "--seeds",
            "1",
            "--cases",
            "all",
            "--allow",
            "embedded",
        ],
        ["benchmark", "data.csv", "[i]bench", *bench, "--test", "0.3"],
        ["inspect", "store"],
    ]
    for line in lines:
        assert main(line) == 0, (line, capfd.readouterr().err)
    out, err = capfd.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert CLASSES[0] in out + err
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r"<script>alert|<i>", page.read_text(encoding="utf-8")), page
    assert len(list(tmp_path.rglob("*.html"))) >= 8
    tables = [path for path in tmp_path.rglob("*.csv") if path != data]
    assert len(tables) >= 15
    written = set()
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if FORMULA.match(cell)] == [], path
        written.update(cells)
    assert f"'{CLASSES[1]}" in written


SECRET = "DOE JANE"


def put_in(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    """Put bytes of a header in the place of others."""

    def change(data: bytearray) -> None:
        data[:] = data.replace(old, new)

    return change


HEADERS: dict[str, Callable[[Path], object]] = {
    "modality.dcm": lambda path: write_slice(path, np.zeros((4, 4)), (0, 0, 0), Modality=SECRET, Rows=None),
    "spacing.nrrd": lambda path: edit(write_ct(path), put_in(b"(0,2,0)", b"(DOE,JANE,x)")),
    "field.nrrd": lambda path: edit(write_ct(path), put_in(b"encoding: ", b"encoding: DOE JANE ")),
    "type.mha": lambda path: edit(write_ct(path), put_in(b"MET_SHORT", b"DOE JANE")),
    "frames.dcm": lambda path: write_slice(path, np.zeros((4, 4)), (0, 0, 0), PhotometricInterpretation=SECRET),
    "readers.xml": lambda path: path.write_text("<LidcReadMessage>DOE JANE</DOE JANE>"),
    "picture.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET.encode()),
}


def test_no_text_of_a_header_reaches_the_problems(tmp_path: Path) -> None:
    """Whatever library quotes it: the table has our words, and the path of the file."""
    write_ct(tmp_path / "scans" / "good.nii.gz")
    for name, make in HEADERS.items():
        make(tmp_path / "scans" / name)
    assert all(SECRET.split()[0].encode() in (tmp_path / "scans" / name).read_bytes() for name in HEADERS)
    store = mg.prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True)
    rows = read_rows(store / "problems.csv")
    assert len(rows) >= len(HEADERS) - 1
    assert not [row for row in rows if re.search("doe|jane", " ".join(row.values()), re.IGNORECASE)]


@pytest.mark.parametrize("said", ["no number: 'Doe Jane'", 'in "Doe Jane", line 3', "a 'Doe' b\"Jane\""])
def test_what_a_library_quotes_is_left_out(said: str, tmp_path: Path) -> None:
    """The rest of its words stays; an apostrophe quotes nothing."""
    words = in_its_words(ValueError(f"it can't be read: {said}"), tmp_path / "x.nrrd")
    assert words.startswith("it can't be read: ")
    assert not re.search("Doe|Jane", words)
