"""Ways to choose cases are compared fairly: nested rounds, the same start, random among them."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.balls import blob, write_image
from tests.benchmarking.test_probe import IDS, NUM, made, scores, write_vectors
from tests.benchmarking.test_suite import TINY
from tests.radiographs import write_picture

import modelsgenesis as mg
from modelsgenesis.benchmarking.choices import Choices, strategies_of
from modelsgenesis.benchmarking.trial import Trial
from modelsgenesis.core.errors import DataError, GenesisError
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.reports.benchmark_words import HOW_CHOSEN
from modelsgenesis.tasks import folder

__all__ = ["made"]
WAYS = ("random", "typiclust", "uncertainty")
few = functools.partial(mg.probe, seeds=3, cases=("6", "12"))


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
def benched(balls: Path) -> Path:
    """A tiny benchmark of two ways to choose two and four of them."""
    mg.benchmark(balls, balls / "bench", **again(balls))
    return balls


def again(folder: Path) -> dict[str, object]:
    """The options of that benchmark."""
    return {
        **TINY,
        "seeds": 1,
        "choose": ("random", "uncertainty"),
        "cases": ("2", "4"),
    }


def chosen(bench: Path, arm: str, cases: int, seed: int) -> set[str]:
    """The training cases of a run, as the run itself says."""
    rows = read_rows(bench / "runs" / arm / f"cases-{cases}" / f"seed-{seed}" / "run" / "cases.csv")
    return {row["id"] for row in rows if row["role"] == "train"}


@pytest.mark.slow
def test_networks_are_taught_on_what_was_chosen_in_rounds(benched: Path) -> None:
    """As many as the budget, the smaller set within the larger, and a way that asks begins like random."""
    bench = benched / "bench"
    for arm in ("random", "uncertainty"):
        two, four = chosen(bench, arm, 2, 0), chosen(bench, arm, 4, 0)
        assert (len(two), len(four)) == (2, 4)
        assert two < four
        rows = read_rows(bench / "choices" / arm / "seed-0.csv")
        assert [row["cases"] for row in rows] == ["2", "2", "4", "4"]
        assert {row["id"] for row in rows[:2]} == two
        assert chosen(bench, "uncertainty", 2, 0) == chosen(bench, "random", 2, 0)
    words = [row["why"] for row in read_rows(bench / "choices" / "uncertainty" / "seed-0.csv")]
    assert words[0] == "drawn by the seed"
    assert words[2].startswith("entropy of the answer")
    tested = {path.read_bytes() for path in bench.glob("runs/*/*/*/run/test.csv")}
    assert len({len(text.splitlines()) for text in tested}) == 1


@pytest.mark.slow
def test_report_holds_every_way_against_random(benched: Path) -> None:
    """Paired by seed, in words that fit, and nothing is done again by the same command."""
    bench = benched / "bench"
    rows = read_rows(bench / "comparisons.csv")
    assert {(row["arm"], row["reference"]) for row in rows} == {("uncertainty", "random")}
    text = (bench / "report.md").read_text(encoding="utf-8")
    assert HOW_CHOSEN.split(":")[0] in text
    assert "by choosing" in text
    assert "by pre-training" not in text
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*.safetensors")}
    mg.benchmark(benched, bench, **again(benched))
    assert {path: path.stat().st_mtime_ns for path in bench.rglob("*.safetensors")} == before


@pytest.mark.slow
def test_chosen_table_alone_makes_the_same_run(benched: Path, tmp_path: Path) -> None:
    """finetune --chosen takes the table, and trains the network of the benchmark, to the byte."""
    bench = benched / "bench"
    run = mg.finetune(
        benched, tmp_path / "run", chosen=bench / "choices" / "uncertainty" / "seed-0.csv", cases=4, seed=0, val=0,
        **{name: TINY[name] for name in ("steps", "batch_size", "size", "precision", "test")}, quiet=True,
    )  # fmt: skip
    other = bench / "runs" / "uncertainty" / "cases-4" / "seed-0" / "run"
    trained = {row["id"] for row in read_rows(run / "cases.csv") if row["role"] == "train"}
    assert trained == chosen(bench, "uncertainty", 4, 0)
    assert (run / "model.safetensors").stat().st_size == (other / "model.safetensors").stat().st_size
    write_table(tmp_path / "none.csv", ("image",), [])
    with pytest.raises(DataError, match="needs a column id and a row a case"):
        mg.finetune(benched, tmp_path / "other", chosen=tmp_path / "none.csv")


def test_what_was_chosen_is_not_chosen_again(balls: Path, tmp_path: Path) -> None:
    """A line is due to the user where something was, which may have taken a minute."""
    cases = tuple(folder(balls).cases)
    choices = Choices.of(strategies_of(["random", "uncertainty"], ["2"]), cases, None, "cpu")
    two = Trial("random", 2, 0, balls, tmp_path, "scratch", None, tmp_path, "dice")
    assert [choices.choose(trial, tmp_path) for trial in (two, two, replace(two, cases=3))] == [True, False, True]
    assert len(read_rows(tmp_path / "choices" / "random" / "seed-0.csv")) == 3


def test_what_cannot_be_compared_is_refused(balls: Path, tmp_path: Path) -> None:
    """No random choice, all cases, two starts, several rates, no vectors."""
    ask = functools.partial(mg.benchmark, balls, tmp_path / "out")
    for options, words in (
        ({"choose": ("typiclust",)}, "--choose compares with random"),
        ({"choose": ("random", "uncertainty"), "cases": ("2", "all")}, "all are no choice"),
        ({"choose": ("random", "uncertainty"), "from_": ("scratch", "scratch:2x")}, "from one start"),
        ({"choose": ("random", "uncertainty"), "lr": (1e-3, 1e-4)}, "one --lr"),
        ({"choose": ("random", "k-centre")}, "there is none of ball"),
    ):
        with pytest.raises(DataError, match=words):
            ask(**{**TINY, "cases": ("2",), **options})
    with pytest.raises(GenesisError, match="no 'best' in choosing"):
        ask(**{**TINY, "cases": ("2",), "choose": ("random", "best")})


def test_probe_finds_that_typical_cases_of_every_kind_are_better_than_any(tmp_path: Path) -> None:
    """Where one case in six is ill, four by chance often hold none; TypiClust's four hold both kinds."""
    rng = np.random.default_rng(0)
    ill = np.arange(NUM) % 6 == 0
    vectors = rng.normal(0, 0.3, (NUM, 4)) + 6 * ill[:, None]
    write_vectors(tmp_path / "vectors", tmp_path, vectors, "raw")
    rows = [{"id": id_, "label": "ill" if yes else "well"} for id_, yes in zip(IDS, ill, strict=True)]
    write_table(tmp_path / "labels.csv", ["id", "label"], rows)
    for id_ in IDS:
        write_picture(tmp_path / f"{id_}.png", np.zeros((8, 8), np.uint8))
    ask = functools.partial(few, tmp_path / "vectors", tmp_path / "labels.csv", test=0.3, seeds=8, cases=("4", "8"))
    out = ask(tmp_path / "out", choose=WAYS)
    assert scores(out, "typiclust", "4") == [1.0] * 8
    assert np.mean(scores(out, "random", "4")) < 0.9
    assert scores(out, "uncertainty", "4") == scores(out, "random", "4")
    rows = read_rows(out / "choices" / "typiclust" / "seed-3.csv")
    assert [row["cases"] for row in rows] == ["4"] * 4 + ["8"] * 4
    assert len({row["id"] for row in rows}) == 8
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "Each arm against random" in page
    assert HOW_CHOSEN.split(":")[0] in page
    assert (ask(tmp_path / "again", choose=WAYS) / "runs.csv").read_bytes() == (out / "runs.csv").read_bytes()


def test_probe_refuses_what_it_has_not(made: Path, tmp_path: Path) -> None:
    """Patches, a second start, a second head."""
    ask = functools.partial(few, made / "planted", made / "labels.csv", tmp_path / "out")
    with pytest.raises(DataError, match="spread asks about patches, and a probe has one answer a case"):
        ask(choose=("random", "spread"))
    with pytest.raises(DataError, match="leave --with out, and name one --head"):
        ask(choose=("random", "typiclust"), head=("linear", "knn"))
