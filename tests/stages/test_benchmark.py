"""genesis benchmark: fair by construction, resumable, and honest in its report."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.stages.balls import blob, write_image

from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.nets import UNet3D
from modelsgenesis.stages._benchmark_report import latex, read_findings
from modelsgenesis.stages.benchmark import Arm, arms_of, benchmark, budgets_of
from modelsgenesis.stages.report import report
from modelsgenesis.weights.files import save_network

TINY = {"steps": 2, "batch_size": 2, "size": (16, 16, 16), "precision": "32-true", "test": 0.25, "seeds": 2}


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cases of a ball."""
    folder = tmp_path_factory.mktemp("balls")
    for number in range(8):
        image, mask = blob(number)
        write_image(folder / "images" / f"ball{number}.nii.gz", image)
        write_image(folder / "labels" / f"ball{number}.nii.gz", mask)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of nobody knows what."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("start") / "given.safetensors"
    save_network(path, UNet3D(width=2))
    return path


@pytest.fixture(scope="module")
def done(balls: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny benchmark: three arms, two budgets, two seeds."""
    into = tmp_path_factory.mktemp("bench") / "out"
    arms = ("scratch", "scratch:2x", f"ours={start}")
    return benchmark(balls, into, from_=arms, cases=("2", "all"), allow=("ours",), **TINY)


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_run_is_there_and_scored(done: Path) -> None:
    """Arms times budgets times seeds, with the columns that anyone can recompute the tables from."""
    rows = rows_of(done / "runs.csv")
    assert {(row["arm"], row["cases"], row["seed"]) for row in rows} == {
        (arm, cases, seed) for arm in ("scratch", "scratch:2x", "ours") for cases in ("2", "6") for seed in ("0", "1")
    }
    assert {row["metric"] for row in rows} == {"dice"}
    assert all(0 <= float(row["value"]) <= 1 for row in rows)
    assert len(rows_of(done / "cases.csv")) == len(rows) * 2


def test_arms_differ_in_nothing_but_the_start(done: Path) -> None:
    """The same cases in every arm, the same test patients in every run, three times the updates where asked."""
    runs = {place.parent: rows_of(place) for place in (done / "runs").rglob("run/cases.csv")}
    roles = {
        str(run.relative_to(done / "runs")): {
            role: {r["id"] for r in rows if r["role"] == role} for role in ("train", "test")
        }
        for run, rows in runs.items()
    }
    for place, found in roles.items():
        twin = place.replace("ours", "scratch").replace("scratch-2x", "scratch")
        assert found == roles[twin]
    assert len({frozenset(found["test"]) for found in roles.values()}) == 1
    steps = {
        arm: rows_of(done / "runs" / arm / "cases-2" / "seed-0" / "run" / "log.csv")
        for arm in ("scratch", "scratch-2x")
    }
    assert [int(log[-1]["step"]) for log in steps.values()] == [2, 4]


def test_run_again_it_does_nothing_and_grows(done: Path, balls: Path, start: Path) -> None:
    """What is done stays, byte for byte; a further seed adds its runs."""
    before = {path: path.read_bytes() for path in (done / "runs").rglob("model.safetensors")}
    arms = ("scratch", "scratch:2x", f"ours={start}")
    benchmark(balls, done, from_=arms, cases=("2", "all"), allow=("ours",), **TINY)
    assert before == {path: path.read_bytes() for path in (done / "runs").rglob("model.safetensors")}


def test_processes_change_nothing(done: Path, balls: Path, start: Path, tmp_path: Path) -> None:
    """Two runs at once give the weights of one after another, bit for bit."""
    into = benchmark(balls, tmp_path / "out", from_=("scratch",), cases=("2",), workers=2, like=str(start), **TINY)
    for seed in range(2):
        place = f"runs/scratch/cases-2/seed-{seed}/run/model.safetensors"
        ours, theirs = load_file(into / place), load_file(done / place)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_report_says_what_is_not_shown(done: Path, tmp_path: Path) -> None:
    """Page, Markdown, CSV and LaTeX; two steps of training show nothing, and the report says so."""
    page = report(done, tmp_path / "page.html").read_text()
    assert "not shown" in page
    assert "the audit found" in page
    text = (done / "report.md").read_text()
    assert "No arm is shown to need fewer labels" in text
    assert "genesis benchmark" in text
    assert {row["arm"] for row in rows_of(done / "comparisons.csv")} == {"scratch:2x", "ours"}
    assert all(row["claim"] == "not shown" for row in rows_of(done / "savings.csv"))
    assert "ours & $" in (done / "tables.tex").read_text()


def test_tables_can_be_recomputed_from_the_rows(done: Path) -> None:
    """Mean and sd in the LaTeX table are those of runs.csv."""
    found = read_findings(done)[0]
    values = [float(row["value"]) for row in rows_of(done / "runs.csv") if (row["arm"], row["cases"]) == ("ours", "2")]
    assert f"${np.mean(values):.3f} \\pm {np.std(values, ddof=1):.3f}$" in latex(found)


def test_start_that_nobody_can_vouch_for_is_refused(balls: Path, start: Path, tmp_path: Path) -> None:
    """Unless it is allowed by name; nothing is trained before."""
    with pytest.raises(DataError, match=r"no certificate says what it was pre-trained on.*--allow given"):
        benchmark(balls, tmp_path / "out", from_=("scratch", str(start)), cases=("2",), **TINY)
    assert not (tmp_path / "out").exists()


def test_dry_run_trains_nothing(balls: Path, tmp_path: Path) -> None:
    """The plan is printed; only cases are read."""
    benchmark(balls, tmp_path / "out", cases=("2",), like="any", dry_run=True, **TINY)
    assert not (tmp_path / "out" / "runs").exists()


def test_words_for_arms_and_budgets() -> None:
    """As they are written on the command line; what makes no sense is refused."""
    assert arms_of(["scratch", "scratch:3x", "runs/a", "b=runs/c"]) == [
        Arm("scratch", "scratch"), Arm("scratch:3x", "scratch", 3), Arm("a", "runs/a"), Arm("b", "runs/c"),
    ]  # fmt: skip
    with pytest.raises(GenesisError, match="names of their own"):
        arms_of(["a/run", "b/run"])
    with pytest.raises(GenesisError, match="say scratch:3x"):
        arms_of(["scratch:threex"])
    assert budgets_of(["all", "6", "3"], 10) == [3, 6, None]
    with pytest.raises(DataError, match="10 labelled cases asked for; 10 may be used, which all says"):
        budgets_of(["10"], 10)
    with pytest.raises(DataError, match="a budget is a number of cases, or all"):
        budgets_of(["few"], 10)
