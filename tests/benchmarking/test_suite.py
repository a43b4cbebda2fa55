"""genesis benchmark: fair by construction, resumable, and honest in its report."""

import csv
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.balls import blob, write_image

import modelsgenesis as mg
from modelsgenesis.benchmarking.arms import Arm, arms_of, budgets_of
from modelsgenesis.benchmarking.findings import read_findings
from modelsgenesis.benchmarking.run_record import read_ran, time_rows
from modelsgenesis.benchmarking.statistics.bootstrap_runs import bootstrap_runs
from modelsgenesis.benchmarking.trial import Trial, read_result
from modelsgenesis.commands.benchmark import benchmark
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.finetune import finetune
from modelsgenesis.commands.report import report
from modelsgenesis.core.errors import DataError, GenesisError, TrainingError
from modelsgenesis.core.files import read_json, sha256, write_json
from modelsgenesis.core.labels import Label
from modelsgenesis.core.lease import held
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import read_provenance
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.store.slicing import Slicing
from modelsgenesis.evaluation.table_predictions import metrics_of, score_predictions
from modelsgenesis.nets import UNet3D
from modelsgenesis.reports.benchmark_cases import rows_of_cases, shortened
from modelsgenesis.reports.benchmark_files import latex, tex
from modelsgenesis.reports.benchmark_page import commands
from modelsgenesis.reports.benchmark_tables import score_table
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.targets.regression import Regression
from modelsgenesis.weights.files import read_notes, save_network
from modelsgenesis.weights.registry import resolve

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
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


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
    """The same cases in every arm, the same test patients in every run, three times the updates where wanted."""
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


def test_each_arm_takes_the_rate_that_was_best_without_the_test_cases(balls: Path, start: Path, tmp_path: Path) -> None:
    """A rate that teaches nothing is not chosen; no test case is in any rehearsal; run again, all is kept."""
    options = {**TINY, "lr": (1e-9, 0.03), "steps": 20, "seeds": 1, "like": str(start)}
    into = benchmark(balls, tmp_path / "bench", from_=("scratch", "scratch:2x"), cases=("2", "all"), **options)
    rates = rows_of(into / "rates.csv")
    assert [(row["arm"], row["lr"], row["chosen"]) for row in rates] == [
        (arm, lr, chosen) for arm in ("scratch", "scratch:2x") for lr, chosen in (("1e-09", "no"), ("0.03", "yes"))
    ]
    roles = [
        {(place.parts[-6:][0] == "rehearsals", row["role"], row["id"]) for row in rows_of(place)}
        for place in into.rglob("run/cases.csv")
    ]
    test = {name for some in roles for rehearsed, role, name in some if role == "test" and not rehearsed}
    assert test
    for rehearsed, _, name in set().union(*roles):
        assert not (rehearsed and name in test)
    for place in (into / "runs").rglob("run/provenance.json"):
        assert read_json(place)["arguments"]["given_options"]["lr"] == 0.03
    assert "best for it in a rehearsal" in (into / "report.html").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in into.rglob("model.safetensors")}
    benchmark(balls, into, from_=("scratch", "scratch:2x"), cases=("2", "all"), **options)
    assert before == {path: path.stat().st_mtime_ns for path in into.rglob("model.safetensors")}
    with pytest.raises(TrainingError, match="lr"):
        benchmark(balls, into, from_=("scratch",), cases=("2", "all"), **{**options, "lr": (1e-3,)})


def test_a_rehearsal_needs_a_share(balls: Path, tmp_path: Path) -> None:
    """Without a share to test on there is nothing to choose by."""
    with pytest.raises(DataError, match="give --test"):
        finetune(balls, tmp_path / "run", rehearsal=True)


def test_run_again_it_does_nothing(done: Path, balls: Path, start: Path) -> None:
    """What is done stays, byte for byte, and what only serves to go on is not there before or after."""
    assert not [*done.rglob("resume.pt"), *done.rglob("cases")]
    before = {path: path.read_bytes() for path in (done / "runs").rglob("model.safetensors")}
    arms = ("scratch", "scratch:2x", f"ours={start}")
    benchmark(balls, done, from_=arms, cases=("2", "all"), allow=("ours",), **TINY)
    assert before == {path: path.read_bytes() for path in (done / "runs").rglob("model.safetensors")}
    assert not [*done.rglob("resume.pt"), *done.rglob("cases")]


def test_it_grows_arm_by_arm_and_seed_by_seed(balls: Path, start: Path, tmp_path: Path) -> None:
    """What another command did stays in the tables; runs that were taken away do not, nor do mixed settings."""
    tiny, ours = {**TINY, "seeds": 1, "cases": ("2",)}, {"from_": (f"ours={start}",), "allow": ("ours",)}
    into = benchmark(balls, tmp_path / "out", from_=("scratch",), like=str(start), **tiny)
    first = rows_of(into / "runs.csv")
    benchmark(balls, into, **ours, **tiny)
    assert [row["arm"] for row in rows_of(into / "runs.csv")] == ["ours", "scratch"]
    assert first[0] in rows_of(into / "runs.csv")
    shutil.rmtree(into / "runs" / "scratch")
    benchmark(balls, into, **ours, **{**tiny, "seeds": 2})
    assert [(row["arm"], row["seed"]) for row in rows_of(into / "runs.csv")] == [("ours", "0"), ("ours", "1")]
    assert {row["arm"] for row in rows_of(into / "cases.csv")} == {"ours"}
    with pytest.raises(TrainingError, match="steps is 2 there, 3 now"):
        benchmark(balls, into, **ours, **{**tiny, "steps": 3})


def test_processes_change_nothing(balls: Path, start: Path, tmp_path: Path) -> None:
    """Two runs at once give the weights of one after another, bit for bit, also where arms read images differently."""
    save_network(tmp_path / "narrow.safetensors", UNet3D(width=2), {"reading": describe(Reading(Percentiles(10, 60)))})
    arms = ("scratch", f"narrow={tmp_path / 'narrow.safetensors'}")
    tiny = {**TINY, "seeds": 1, "cases": ("2", "all"), "allow": ("narrow",), "like": str(start)}
    one = benchmark(balls, tmp_path / "one", from_=arms, **tiny)
    two = benchmark(balls, tmp_path / "two", from_=arms, workers=2, **tiny)
    assert len({str(read_notes(path)["reading"]) for path in one.rglob("model.safetensors")}) == 2
    weights = [path.relative_to(one) for path in one.rglob("model.safetensors")]
    assert len(weights) == 4
    for place in weights:
        ours, theirs = load_file(one / place), load_file(two / place)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (one / "cases.csv").read_bytes() == (two / "cases.csv").read_bytes()


def test_stopped_before_it_is_scored_a_run_goes_on(
    done: Path, balls: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between prediction and scores, the same command scores it as if nothing had been."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    tiny = {**TINY, "from_": ("scratch",), "cases": ("2",), "like": str(start)}
    with monkeypatch.context() as patched:
        patched.setattr("modelsgenesis.benchmarking.trial.evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            benchmark(balls, tmp_path / "out", **tiny)
    into = benchmark(balls, tmp_path / "out", **tiny)
    of_all = [row for row in rows_of(done / "cases.csv") if (row["arm"], row["cases"]) == ("scratch", "2")]
    assert rows_of(into / "cases.csv") == of_all


def test_labels_that_some_cases_lack_are_left_out_of_their_means(tmp_path: Path, start: Path) -> None:
    """A label neither there nor found is undefined in that case; a case of none counts in no comparison of patients."""
    for number in range(8):
        image, mask = blob(number)
        write_image(tmp_path / "balls" / "images" / f"ball{number}.nii.gz", image)
        write_image(tmp_path / "balls" / "labels" / f"ball{number}.nii.gz", mask * np.uint8(number % 2))
    arms = ("scratch", f"ours={start}")
    into = benchmark(tmp_path / "balls", tmp_path / "out", from_=arms, cases=("all",), allow=("ours",), **TINY)
    for run in rows_of(into / "runs.csv"):
        scores = into / "runs" / run["arm"] / "cases-all" / f"seed-{run['seed']}" / "scores" / "cases.csv"
        by_case: dict[str, list[float]] = {}
        for row in rows_of(scores):
            by_case.setdefault(row["id"], []).extend([float(row["dice"])] if row["dice"] else [])
        means = [np.mean(values) for values in by_case.values() if values]
        assert float(run["value"]) == pytest.approx(np.mean(means), abs=1e-5)


def test_budgets_are_by_default_those_there_are_cases_for(
    balls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six may be used: 3 and all of the usual six budgets; one that is named must be possible."""
    benchmark(balls, tmp_path / "out", like="any", dry_run=True, **TINY)
    plan = capsys.readouterr().err
    assert "4 runs" in plan
    with pytest.raises(DataError, match="12 labelled cases wanted; 6 may be used"):
        benchmark(balls, tmp_path / "out", like="any", cases=("3", "12"), dry_run=True, **TINY)


def test_a_case_without_a_score_is_no_score_of_zero(tmp_path: Path) -> None:
    """Of three cases one has one label of two, one has none; the run's value is the mean of the cases' means."""
    trial = Trial("a", None, 0, tmp_path, tmp_path, "scratch", None, tmp_path, "dice")
    (tmp_path / "scores").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").write_text("step,time_s\n1,5\n", encoding="utf-8")
    lines = [{"label": "mean", "metric": "dice", "value": 0.65}]
    write_json(tmp_path / "scores" / "summary.json", {"lines": lines})
    rows = ["a,p,x,0.9", "a,p,y,0.5", "b,q,x,0.8", "b,q,y,", "c,r,x,", "c,r,y,"]
    (tmp_path / "scores" / "cases.csv").write_text("\n".join(["id,patient,label,dice", *rows]) + "\n", encoding="utf-8")
    result = read_result(trial)
    assert result.value == pytest.approx(0.75)
    assert result.by_case[:2] == (("a", "p", pytest.approx(0.7)), ("b", "q", pytest.approx(0.8)))
    assert math.isnan(result.by_case[2][2])
    write_json(tmp_path / "scores" / "summary.json", {"lines": [{"label": "mean", "metric": "auc", "value": None}]})
    assert "auc is undefined on these test cases" in read_result(replace(trial, metric="auc")).why


def test_cases_are_read_before_any_run_begins(balls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that begin at once would otherwise write the same files."""

    def begin(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modelsgenesis.benchmarking.suite.MEASURED", 1)  # or timing a step would read them all
    monkeypatch.setattr("modelsgenesis.benchmarking.suite.work_through", begin)
    with pytest.raises(KeyboardInterrupt):
        benchmark(balls, tmp_path / "out", cases=("2", "all"), like="any", **TINY)
    read = {path.name.partition(".")[0] for path in (tmp_path / "out" / "cases").glob("*/*.b2nd")}
    assert len(read) == 6


def test_report_says_what_is_not_shown(done: Path, tmp_path: Path) -> None:
    """Two steps of training show nothing, and page and Markdown say so, and what the intervals are not."""
    page = report(done, tmp_path / "page.html").read_text(encoding="utf-8")
    text = (done / "report.md").read_text(encoding="utf-8")
    for words in (page, text):
        assert "no saving of labels by pre-training is shown" in words
        assert "the audit found" in words.lower()
        assert "no provenance says what it was pre-trained on" in words
        assert "not corrected for the number of lines: of 4 lines without any effect, 0.1 would be claimed" in words
        assert "2 seeds (0, 1)" in words
        assert "the mean over 2 test cases of 2 patients" in words
    assert "not shown" in page
    assert {row["arm"] for row in rows_of(done / "comparisons.csv")} == {"scratch:2x", "ours"}
    assert all(row["claim"] == "not shown" for row in rows_of(done / "savings.csv"))
    assert "ours & $" in (done / "tables.tex").read_text(encoding="utf-8")


def test_report_pictures_the_worst_and_the_best_cases(done: Path) -> None:
    """The fewest and the most labels, each a sheet in the page and beside the Markdown; the worst one is that."""
    page = report(done).read_text(encoding="utf-8")
    assert page.count("<img") == 4
    assert 'src="data:' in page
    assert 'src="figures' not in page
    text = (done / "report.md").read_text(encoding="utf-8")
    for name in ("learning.png", "pairs.png", "cases-fewest.webp", "cases-most.webp"):
        assert f"(figures/{name})" in text
        with Image.open(done / "figures" / name) as opened:
            assert opened.width > 400
    found = read_findings(done)[0]
    rows, labels, _ = rows_of_cases(done, found, 2)
    assert labels == ("1", "2")
    means = {case: np.mean([one.value for one in found.by_case if (one.case, one.cases) == (case, 2)])
             for case in {one.case for one in found.by_case}}  # fmt: skip
    worst, best = sorted(means, key=lambda case: means[case])
    assert [row.caption.split("   ")[0] for row in rows] == [f"worst: {worst}", f"best: {best}"]
    own = {one.arm: one.value for one in found.by_case if (one.case, one.cases, one.seed) == (worst, 2, 0)}
    assert rows[0].titles == tuple(f"{arm}   {own[arm]:.3f}" for arm in ("scratch", "scratch:2x", "ours"))


def test_report_says_what_ran_where_and_how_long(done: Path) -> None:
    """Updates and seconds by arm and budget, the machine and torch, and that nobody knows of the start."""
    report(done)
    text = (done / "report.md").read_text(encoding="utf-8")
    ran = read_ran(done, rows_of(done / "runs.csv"))
    assert {(one.arm, one.updates) for one in ran} == {("scratch", 2), ("scratch:2x", 4), ("ours", 2)}
    assert [(row[0], row[1], row[2], row[3]) for row in time_rows(ran)][:2] == [
        ("ours", "2", "2", "2"), ("scratch", "2", "2", "2"),
    ]  # fmt: skip
    assert f"torch {torch.__version__}" in text
    assert "precision 32-true" in text
    assert "12 runs, " in text
    assert re.search(r"\| ours \| \S*given.safetensors \| not written down", text)


def test_report_of_tables_alone_says_what_is_missing(done: Path, tmp_path: Path) -> None:
    """Results are often kept without their runs; times are then those of the table."""
    shutil.copy(done / "runs.csv", tmp_path)
    page = report(tmp_path).read_text(encoding="utf-8")
    assert "the folder of a run is not here (runs/scratch/" in page
    assert "not written down" in page
    assert "not finished, so it has no provenance" in page


def test_report_says_where_labels_are_not_what_is_lacking(tmp_path: Path) -> None:
    """A saving on a flat curve is one of updates, and the report says so; on a curve that gets better it does not."""
    flat, rising = (0.751, 0.748, 0.753), (0.811, 0.808, 0.813)
    for name, metric, last, is_flat in [
        ("flat", "dice", flat, True), ("level", "auc", (0.75, 0.75, 0.75), True),
        ("rising", "dice", rising, False), ("worse", "mae", rising, True),
    ]:  # fmt: skip
        runs = {("scratch", 3): (0.75, 0.75, 0.75), ("scratch", 12): last}
        runs |= {("ours", 3): (0.90, 0.91, 0.90), ("ours", 12): (0.92, 0.91, 0.92)}
        rows = [
            f"t,{arm},{cases},{seed},{metric},{value}"
            for (arm, cases), values in runs.items()
            for seed, value in enumerate(values)
        ]
        (tmp_path / name).mkdir()
        (tmp_path / name / "runs.csv").write_text("\n".join(["task,arm,cases,seed,metric,value", *rows]) + "\n")
        report(tmp_path / name)
        text = (tmp_path / name / "report.md").read_text(encoding="utf-8")
        assert ("From 3 to 12 labelled cases scratch itself is not shown to get better" in text) is is_flat


def test_published_scores_stand_beside_ours(done: Path, tmp_path: Path) -> None:
    """Each beside the arm of its name, with its source; those of another metric are left out."""
    shutil.copy(done / "runs.csv", tmp_path)
    rows = [
        {"start": "Scratch", "mean": 0.9, "sd": 0.01, "source": "table 1"},
        {"start": "elsewhere", "mean": 0.8, "sd": None, "source": "table 2"},
    ]
    write_json(tmp_path / "published.json", {"task": "balls", "metric": "dice", "rows": rows})
    report(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    scratch = {row[0]: row[-1] for row in score_table(read_findings(tmp_path)[0])[0]}["scratch"]
    assert f"| Scratch | 0.900 ± 0.010 | {scratch} | table 1 |" in text
    assert "| elsewhere | 0.800 | - | table 2 |" in text
    assert "0.900 \\pm 0.010" in (tmp_path / "tables.tex").read_text(encoding="utf-8")
    write_json(tmp_path / "published.json", {"task": "balls", "metric": "iou", "rows": rows})
    report(tmp_path)
    assert "Published" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_tables_of_numbers_are_those_of_the_statistics(done: Path) -> None:
    """What is undefined is empty in the CSV, and numbers are numbers."""
    report(done)
    found = read_findings(done)[0]
    for row, one in zip(rows_of(done / "comparisons.csv"), found.comparisons, strict=True):
        assert float(row["difference"]) == pytest.approx(one.difference.value, rel=1e-5)
        assert float(row["low95"] or "nan") == pytest.approx(one.difference.low95, rel=1e-5, nan_ok=True)
        assert float(row["bootstrap_low95"] or "nan") == pytest.approx(one.percentile.low95, rel=1e-5, nan_ok=True)
        assert float(row["bootstrap_high95"] or "nan") == pytest.approx(one.percentile.high95, rel=1e-5, nan_ok=True)
        assert (row["paired_t_p"] == "") == (row["low95"] == "") == math.isnan(one.paired_t.p)
    for row, saved in zip(rows_of(done / "savings.csv"), found.savings, strict=True):
        assert float(row["low95"]) == pytest.approx(saved.saving.low95, rel=1e-5)
        assert float(row["bootstrap_low95"]) == pytest.approx(saved.percentile.low95, rel=1e-5)
        assert float(row["bootstrap_high95"]) == pytest.approx(saved.percentile.high95, rel=1e-5)
    assert {row["arm"] for row in rows_of(done / "scores.csv")} == {"scratch", "scratch:2x", "ours"}


@pytest.mark.parametrize(
    ("label", "title", "better"),
    [("class", r"true: [ab]\nscratch: [ab] [01]\.\d\d", "more"), ("volume", r"true: volume \S+\nscratch: \S+", "less")],
)
def test_predictions_are_pictured_with_the_truth(
    balls: Path, start: Path, tmp_path: Path, label: str, title: str, better: str
) -> None:
    """The middle slices of the cases predicted worst and best; one arm alone is compared with nothing.

    The scores of the predictions are those of the runs, though two patients are too few to draw from for AUC.
    """
    with open(tmp_path / "cases.csv", "w", encoding="utf-8", newline="") as file:
        rows = [[balls / "images" / f"ball{k}.nii.gz", "ab"[k % 2], f"{k + 0.5}"] for k in range(8)]
        csv.writer(file).writerows([["image", "class", "volume"], *rows])
    options = {**TINY, "seeds": 1, "label": label, "like": str(start)}
    into = benchmark(tmp_path / "cases.csv", tmp_path / "out", cases=("all",), **options)
    found = read_findings(into)[0]
    sheet, labels, caption = rows_of_cases(into, found, 6)
    assert not labels
    assert caption.startswith("The middle slice of each case, what is true")
    assert [row.caption for row in sheet] == ["worst predictions", "best predictions"]
    assert all(re.fullmatch(rf"\S*ball\d\n{title}", row.titles[0]) for row in sheet)
    text = (into / "report.md").read_text(encoding="utf-8")
    assert "One arm alone" in text
    assert f"of 2 test cases of 2 patients together; {better} is better" in text
    assert "figures/cases-fewest.webp" in text
    if label == "volume":
        assert bootstrap_runs(into, found.table).whole == pytest.approx(found.table.values, rel=1e-4)
    else:
        with pytest.raises(DataError, match="too many draws of so few patients have no case of a kind"):
            bootstrap_runs(into, found.table)
    assert shortened("a" * 32) == "a" * 32
    assert shortened("path_" * 10 + "case") == "…h_" + "path_" * 5 + "case"


def test_missing_runs_are_counted(done: Path, tmp_path: Path) -> None:
    """A benchmark under way: means of fewer seeds say so, here and in the paper's table."""
    rows = rows_of(done / "runs.csv")
    kept = [row for row in rows if (row["arm"], row["cases"], row["seed"]) != ("ours", "6", "1")]
    with open(tmp_path / "runs.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    page = report(tmp_path).read_text(encoding="utf-8")
    assert ", 1 of 2</td>" in page
    assert "as far as they are run" in page
    assert tex("0.500 ± 0.100, 2 of 3") == r"$0.500 \pm 0.100$, 2 of 3"


def test_command_of_a_benchmark_names_each_start_once(done: Path, balls: Path, start: Path) -> None:
    """Starts are inputs of the folder, and options of the command, and are listed as options alone."""
    line = commands(done, command)[-1]
    assert line.startswith(f"genesis benchmark {balls} {done} --from scratch scratch:2x ours={start} ")


def test_tables_can_be_recomputed_from_the_rows(done: Path) -> None:
    """Mean and sd in the LaTeX table are those of runs.csv."""
    found = read_findings(done)[0]
    values = [float(row["value"]) for row in rows_of(done / "runs.csv") if (row["arm"], row["cases"]) == ("ours", "2")]
    assert f"${np.mean(values):.3f} \\pm {np.std(values, ddof=1):.3f}$" in latex(found)


def test_failed_runs_are_named_and_the_others_reported(done: Path, balls: Path, start: Path, tmp_path: Path) -> None:
    """One folder that holds another run does not cost the report of the rest."""
    into = shutil.copytree(done, tmp_path / "out")
    for name in ("report.html", "made.json"):
        (into / name).unlink()
    shutil.rmtree(into / "runs/ours/cases-2/seed-1")
    shutil.copytree(into / "runs/ours/cases-2/seed-0", into / "runs/ours/cases-2/seed-1")
    arms = ("scratch", "scratch:2x", f"ours={start}")
    with pytest.raises(DataError, match=r"1 of 12 runs failed; .*seed-1.*report.html shows the others"):
        benchmark(balls, into, from_=arms, cases=("2", "all"), allow=("ours",), **TINY)
    assert len(rows_of(into / "runs.csv")) == 11
    assert (into / "report.html").is_file()
    assert not (into / "made.json").exists()


def test_start_that_nobody_can_vouch_for_is_refused(balls: Path, start: Path, tmp_path: Path) -> None:
    """Unless it is allowed by name; nothing is trained before, and the table of the audit is all there is."""
    with pytest.raises(DataError, match=r"no provenance says what it was pre-trained on.*--allow given"):
        benchmark(balls, tmp_path / "out", from_=("scratch", str(start)), cases=("2",), **TINY)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["audit.csv"]


def test_metric_that_cannot_be_compared_is_refused_at_once(balls: Path, tmp_path: Path) -> None:
    """One that evaluate does not give, or whose best is neither much nor little, before anything is trained or kept."""
    for metric, message in {
        "auc": "take one of: dice, iou",
        "difference_ml": "neither more nor less is better",
    }.items():
        with pytest.raises(DataError, match=message):
            benchmark(balls, tmp_path / "out", cases=("2",), like="any", metric=metric, **TINY)
    assert not (tmp_path / "out").exists()
    (tmp_path / "cases.csv").write_text(
        "image,class,patient\n"
        + "".join(f"{balls / 'images' / f'ball{k}.nii.gz'},{'ab'[k % 2]},{k}\n" for k in range(8))
    )
    options = {**TINY, "label": "class", "like": "any", "metric": "auc_patient"}
    with pytest.raises(DataError, match="there is no metric auc_patient of these cases of classification"):
        benchmark(tmp_path / "cases.csv", tmp_path / "out", cases=("2",), **options)


@pytest.mark.parametrize("patients", ["ppqq", "pqrs"])
@pytest.mark.parametrize(
    ("kind", "names"),
    [(Classification, "ab"), (Classification, "abc"), (MultilabelClassification, "ab"), (Regression, "a")],
)
def test_metrics_that_may_be_asked_for_are_those_that_are_given(
    kind: type[TableTarget], names: str, patients: str
) -> None:
    """Of any task of numbers, with and without several cases a patient."""
    target = kind(tuple(map(Label, names)))
    predicted = np.random.default_rng(0).dirichlet(np.ones(len(names)), 4)
    truth = np.array([[0.0], [1.0], [0.0], [1.0]]) if kind is not MultilabelClassification else np.eye(2)[[0, 1, 0, 1]]
    lines = score_predictions(predicted, truth, list(patients), target, missing=0, resamples=1, seed=0)
    assert {line.metric for line in lines} == set(metrics_of(target, list(patients)))


def test_audit_is_kept_beside_the_runs(done: Path) -> None:
    """With what was allowed."""
    assert [(row["arm"], row["allowed"]) for row in rows_of(done / "audit.csv")] == [("ours", "yes")]


def test_weights_of_the_package_are_a_start_by_their_name(tmp_path: Path) -> None:
    """Scratch is of their kind, and the provenance knows the very file."""
    balls = tmp_path / "balls"
    for number in range(4):
        image, mask = blob(number)
        hu = np.interp(image, (image.min(), image.max()), (-1000, 400))
        write_image(balls / "images" / f"ball{number}.nii.gz", hu.astype(np.float32))
        write_image(balls / "labels" / f"ball{number}.nii.gz", mask)
    arms, tiny = ("scratch", "genesis-small-ct"), {**TINY, "seeds": 1}
    out = benchmark(balls, tmp_path / "out", from_=arms, cases=("2",), **tiny)
    folders = [out / "runs" / arm / "cases-2" / "seed-0" / "run" for arm in arms]
    assert load_file(folders[0] / "last.safetensors").keys() == load_file(folders[1] / "last.safetensors").keys()
    file = resolve("genesis-small-ct")
    assert read_json(folders[1] / "made.json")["inputs"][str(file)] == sha256(file)
    assert read_json(out / "made.json")["inputs"][str(file)] == sha256(file)
    assert rows_of(out / "audit.csv") == []


def test_dry_run_trains_nothing(balls: Path, tmp_path: Path) -> None:
    """The plan is printed; only cases are read."""
    benchmark(balls, tmp_path / "out", cases=("2",), like="any", dry_run=True, **TINY)
    assert not (tmp_path / "out" / "runs").exists()


def test_words_for_arms_and_budgets() -> None:
    """As they are written on the command line; what makes no sense is refused."""
    assert arms_of(["genesis:3x=runs/a"]) == [Arm("genesis:3x", "runs/a", 3)]
    assert arms_of(["scratch", "scratch:3x", "runs/a", "b=runs/c"]) == [
        Arm("scratch", "scratch"), Arm("scratch:3x", "scratch", 3), Arm("a", "runs/a"), Arm("b", "runs/c"),
    ]  # fmt: skip
    with pytest.raises(GenesisError, match="names of their own"):
        arms_of(["a/run", "b/run"])
    with pytest.raises(GenesisError, match="write scratch:3x"):
        arms_of(["scratch:threex"])
    assert budgets_of(["all", "6", "3"], 10) == [3, 6, None]
    with pytest.raises(DataError, match="10 labelled cases wanted; 10 may be used, which is all"):
        budgets_of(["10"], 10)
    with pytest.raises(DataError, match="a budget is a number of cases, or all"):
        budgets_of(["few"], 10)


def test_arms_of_other_dimensions() -> None:
    """Scratch by a named network, a way to take volumes, and any whole multiple of the updates."""
    words = ["a=like:small-2d", "b:4x=like:small", "c=axial:w.pth", "d=like:coronal:runs/x", "e=inflated:runs/y"]
    assert arms_of(words) == [
        Arm("a", "scratch", like="small-2d"),
        Arm("b:4x", "scratch", 4, like="small"),
        Arm("c", "w.pth", slices="axial"),
        Arm("d", "scratch", like="runs/x", slices="coronal"),
        Arm("e", "runs/y", slices="inflated"),
    ]
    with pytest.raises(GenesisError, match="write NAME=like:small"):
        arms_of(["like:small"])


def test_networks_of_two_and_three_dimensions_share_a_task(balls: Path, start: Path, tmp_path: Path) -> None:
    """3D, 2D and 2.5D, scratch and pre-trained: the same cases, boxes and scores, in one table and one report."""
    for name, neighbours in (("flat", 0), ("flat25", 1), ("other", 0)):
        notes = {"slicing": describe(Slicing("axial", neighbours=neighbours))}
        save_network(tmp_path / f"{name}.safetensors", UNet3D(2 * neighbours + 1, width=2, axes=2), notes)
    flat, flat25 = tmp_path / "flat.safetensors", tmp_path / "flat25.safetensors"
    arms = (
        f"scratch3d=like:{start}", f"scratch2d:2x=like:{flat}", f"genesis3d={start}", f"genesis2d={flat}",
        f"genesis25d={flat25}", f"inflated=inflated:{tmp_path / 'other.safetensors'}",
    )  # fmt: skip
    tiny = {**TINY, "seeds": 1, "cases": ("2",), "size": (16, 16, 8)}
    into = benchmark(
        balls, tmp_path / "out", from_=arms, allow=("genesis3d", "genesis2d", "genesis25d", "inflated"), **tiny
    )
    rows = {row["arm"]: row for row in rows_of(into / "runs.csv")}
    assert len(rows) == 6
    assert all(float(row["time_s"]) >= 0 and 0 <= float(row["value"]) <= 1 for row in rows.values())
    runs = {name: into / "runs" / name.replace(":", "-") / "cases-2" / "seed-0" / "run" for name in rows}
    assert len({(run / "cases.csv").read_bytes() for run in runs.values()}) == 1
    networks = {name: mg.load(run) for name, run in runs.items()}
    assert {name: type(network).__name__ for name, network in networks.items()} == {
        "scratch3d": "UNet3D", "scratch2d:2x": "SliceWise", "genesis3d": "UNet3D", "genesis2d": "SliceWise",
        "genesis25d": "SliceWise", "inflated": "UNet3D",
    }  # fmt: skip
    assert networks["genesis25d"].neighbours == 1
    assert int(rows_of(runs["scratch2d:2x"] / "log.csv")[-1]["step"]) == 4
    assert {tuple(read_notes(run / "model.safetensors")["patch"]) for run in runs.values()} == {(16, 16, 8)}
    page = (into / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in rows)
    made = command("again", read_provenance(into, "benchmark"))
    assert made.startswith(f"genesis benchmark {balls} again --from scratch3d=like:{start} ")


def test_two_never_fill_one_folder(balls: Path, tmp_path: Path) -> None:
    """The tables of two at once would be of neither."""
    with held(tmp_path / "out", "benchmark"), pytest.raises(DataError, match="another genesis benchmark works on"):
        benchmark(balls, tmp_path / "out", from_=("scratch", "scratch:2x"), cases=("2",), **TINY)
