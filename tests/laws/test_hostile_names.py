"""Classes, cases and files called after markup, formulas and terminal sequences are names, to every verb."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from tests.balls import blob, write_image

from modelsgenesis.cli import main
from modelsgenesis.nets import UNet3D
from modelsgenesis.weights.files import save_network

CLASSES = ("[/b]", "=1+1<script>alert(1)</script>")
FILES = ("=a[/b]<i>{}.nii.gz", "-b\x1b]0;owned\x07:smile:{}.nii.gz")
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
        ["inspect", "data.csv", "--page", "inspected.html"],
        ["finetune", "data.csv", "run", *start],
        ["predict", "run", "run/test.csv", "predicted"],
        ["evaluate", "predicted", "run/test.csv", "scores", "--resamples", "10"],
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
        assert not re.search(r"<script>|<i>", page.read_text(encoding="utf-8")), page
    assert len(list(tmp_path.rglob("*.html"))) >= 5
    tables = [path for path in tmp_path.rglob("*.csv") if path != data]
    assert len(tables) >= 15
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if FORMULA.match(cell)] == [], path
    assert np.isin([f"'{CLASSES[1]}"], [cell for path in tables for row in csv.reader(path.open()) for cell in row])
