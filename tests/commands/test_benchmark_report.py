"""The report of a benchmark says what its numbers are, of made-up runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from modelsgenesis.benchmarking.findings import read_findings
from modelsgenesis.commands.report import report
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import number
from modelsgenesis.metrics.classification import label_scores
from modelsgenesis.reports.benchmark_files import tex
from modelsgenesis.reports.benchmark_tables import between

Scores = Mapping[tuple[str, int], Sequence[float]]
RowsOf = Callable[[str, int, int], list[str]]
SCRATCH: Scores = {("scratch", 3): (0.50, 0.52, 0.51), ("scratch", 12): (0.70, 0.71, 0.72)}
BETTER = {3: (0.60, 0.63, 0.61), 12: (0.74, 0.75, 0.77)}  # than scratch, and with 3 cases less good than that with 12


def report_of(folder: Path, scores: Scores, metric: str = "dice") -> str:
    """The report in Markdown of runs with these scores, seed by seed."""
    rows = [
        f"t,{arm},{cases},{seed},{metric},{value}"
        for (arm, cases), values in scores.items()
        for seed, value in enumerate(values)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "runs.csv").write_text("\n".join(["task,arm,cases,seed,metric,value", *rows]) + "\n", encoding="utf-8")
    report(folder)
    return (folder / "report.md").read_text(encoding="utf-8")


def arm(name: str, scores: Mapping[int, Sequence[float]] = BETTER) -> Scores:
    """The scores of an arm."""
    return {(name, cases): values for cases, values in scores.items()}


def test_differences_stand_with_their_bootstrap_and_the_paired_test_after_holm(tmp_path: Path) -> None:
    """In the Markdown, and in the paper's table."""
    text = report_of(tmp_path, {**SCRATCH, **arm("ours")})
    for one in read_findings(tmp_path)[0].comparisons:
        ps = (one.independent_t.p, one.paired_t.p, one.paired_t.holm)
        wanted = [between(one.percentile), *(number(p, 3) for p in ps)]
        assert " | ".join(wanted) in text
        assert " & ".join(wanted) in (tmp_path / "tables.tex").read_text(encoding="utf-8")


def test_longer_schedules_are_no_pre_training(tmp_path: Path) -> None:
    """However much they save, they are neither counted nor named as what it buys, and have a sentence of their own."""
    best = {3: (0.71, 0.74, 0.72), 12: (0.80, 0.82, 0.82)}
    text = report_of(tmp_path, {**SCRATCH, **arm("scratch:3x", best), **arm("ours")})
    assert "t: 1 of 2 savings of labels by pre-training are shown; the surest: ours saves" in text
    assert "t, without pre-training: 1 of 2 savings of labels by more updates are shown; the surest: scratch:3x" in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>1 of 2</b><span>savings of labels by pre-training shown</span>" in page
    both = report_of(tmp_path / "both", {**SCRATCH, **arm("ours"), **arm("scratch:3x", best), **arm("ours:3x", best)})
    assert "t: 1 of 2 savings of labels by pre-training are shown; the surest: ours saves" in both
    assert "t, with more updates too: 1 of 2 savings of labels by both are shown; the surest: ours:3x" in both
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    assert "<b>1 of 2</b><span>savings of labels by pre-training shown</span>" in page
    alone = report_of(tmp_path / "alone", {**SCRATCH, **arm("scratch:3x", best)})
    assert "by pre-training" not in alone
    assert "without pre-training: 1 of 2" in alone


@pytest.mark.parametrize(("metric", "better", "shown"), [("dice", 2, "1 of 2"), ("hd95_mm", 0, "no saving")])
def test_less_of_a_distance_is_better(tmp_path: Path, metric: str, better: int, shown: str) -> None:
    """The same rise is a gain of Dice, and a loss in mm: in the words, the counts and the savings."""
    text = report_of(tmp_path, {**SCRATCH, **arm("ours", {3: (0.71, 0.74, 0.72), 12: (0.80, 0.82, 0.82)})}, metric)
    assert f"on the better side in {better} and on the worse side in {2 - better}" in text
    assert f"t: {shown}" in text
    assert f"{'more' if better else 'less'} is better" in text
    fall = {("scratch", 3): (0.71, 0.74, 0.72), ("scratch", 12): (0.50, 0.53, 0.51)}
    turned = report_of(
        tmp_path / "turned", {**fall, **arm("ours", {3: (0.40, 0.42, 0.41), 12: (0.30, 0.31, 0.33)})}, "hd95_mm"
    )
    assert "on the better side in 2 and on the worse side in 0" in turned
    assert "t: 1 of 2 savings of labels by pre-training are shown; the surest: ours saves at least 75%" in turned


def test_report_of_a_metric_without_a_better_side_is_refused(tmp_path: Path) -> None:
    """A difference of volumes is best at 0, and nobody knows of a metric of another program."""
    for metric, message in {
        "difference_ml": "neither more nor less",
        "dize": "nobody knows whether more of dize",
    }.items():
        with pytest.raises(DataError, match=message):
            report_of(tmp_path, {**SCRATCH, **arm("ours")}, metric)


def test_names_are_text_to_latex_whatever_they_hold(tmp_path: Path) -> None:
    """No sign of a name is a command, nor at the start of a row, where a bracket or star would belong to the last."""
    assert tex(r"a_b%c&d#e$f{g}") == r"a\_b\%c\&d\#e\$f\{g\}"
    assert tex(r"C:\n~x^2") == r"C:\textbackslash{}n\textasciitilde{}x\textasciicircum{}2"
    assert tex("[a]*<b>|c\n\nd") == "{[}a{]}{*}$<$b$>$$|$c  d"
    assert tex("x_1 ± 2, R², Spearman's ρ") == r"x\_1 $\pm$ 2, R$^2$, Spearman's $\rho$"
    assert tex("0.500 ± 0.100") == r"$0.500 \pm 0.100$"
    assert tex("0.500 ± 0.100, 2 of 3") == r"$0.500 \pm 0.100$, 2 of 3"
    report_of(tmp_path, {**SCRATCH, **arm(r"[x]~\best ± {1}")})
    written = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert written.count(r"{[}x{]}\textasciitilde{}\textbackslash{}best $\pm$ \{1\} & ") == 5


def test_first_budget_that_is_enough_is_said_as_such(tmp_path: Path) -> None:
    """An arm that starts above the reference needs its first budget, or fewer cases."""
    text = report_of(tmp_path, {**SCRATCH, **arm("ours", {3: (0.71, 0.74, 0.72), 12: (0.80, 0.82, 0.82)})})
    assert "| ours | 12 cases | 3 or fewer | at least 75% |" in text


def test_savings_are_held_against_the_reference_by_its_name(tmp_path: Path) -> None:
    """Where scratch is no arm, the first arm is the reference."""
    text = report_of(tmp_path, {**arm("one", {3: (0.50, 0.52, 0.51), 12: (0.70, 0.71, 0.72)}), **arm("two")})
    assert "| arm | one with | reached with |" in text
    assert "one with & reached with" in (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert "scratch with" not in text


def test_what_is_over_seeds_alone_is_said_to_be(tmp_path: Path) -> None:
    """In the lead, before both tables, in each claim, and in the captions of the paper's tables."""
    text = report_of(tmp_path, {**SCRATCH, **arm("ours")}, "auc")
    only = "over seeds, for these test cases only"
    assert f"%, {only}) where scratch has 12 cases" in text
    assert f"the 95 % interval ({only}) is on the better side in 2" in text
    assert text.count("Of AUC there is no interval over patients here: the predictions of a run are not here") == 2
    assert all(only in line for line in text.splitlines() if "| saves" in line)
    assert f"intervals are {only}, and not corrected" in (tmp_path / "tables.tex").read_text(encoding="utf-8")


def write_predictions(folder: Path, scores: Scores, columns: Sequence[str], rows_of: RowsOf) -> None:
    """The scored predictions of every run for 40 cases of 20 patients."""
    for (name, cases), values in scores.items():
        for seed in range(len(values)):
            place = folder / "runs" / name / f"cases-{cases}" / f"seed-{seed}" / "scores"
            place.mkdir(parents=True)
            rows = [f"c{k:02d},p{k // 2:02d},compared,{row}" for k, row in enumerate(rows_of(name, cases, seed))]
            text = "\n".join([",".join(["id", "patient", "status", *columns]), *rows])
            (place / "cases.csv").write_text(text, encoding="utf-8")


def predicted(name: str, cases: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and rounded probabilities; the arm separates the classes better."""
    rng = np.random.default_rng([len(name), cases, seed])
    there = np.arange(40) % 4 > 1
    lead = (1.0 if name == "scratch" else 2.0) * np.log(cases) / np.log(12)
    return there, np.round(1 / (1 + np.exp(-rng.standard_normal(40) - lead * there)), 2)


def class_rows(name: str, cases: int, seed: int) -> list[str]:
    """As genesis evaluate writes them."""
    truth, p = predicted(name, cases, seed)
    return [f"{'b' if there else 'a'},{1 - one:.6f},{one:.6f}" for there, one in zip(truth, p, strict=True)]


def test_auc_is_over_patients_where_the_predictions_are_here(tmp_path: Path) -> None:
    """With the very AUC of the runs, and never narrower; without one run's predictions it is over seeds alone again."""
    every = [(name, cases) for name in ("scratch", "ours") for cases in (3, 12)]
    scores = {key: [roc_auc(*predicted(*key, seed)) for seed in range(3)] for key in every}
    write_predictions(tmp_path, scores, ("truth", "p_a", "p_b"), class_rows)
    text = report_of(tmp_path, scores, "auc")
    assert "no interval over patients" not in text
    assert "the 95 % interval (over seeds and patients) is on the better side" in text
    found = read_findings(tmp_path)[0]
    for one in found.comparisons:
        assert one.patients == 20
        assert one.over_patients is not None
        assert one.over_patients.value == pytest.approx(one.difference.value, abs=1e-6)
        assert one.over_patients.low95 < one.difference.low95 + 1e-6
    assert {one.patients for one in found.savings} == {20}
    (tmp_path / "runs" / "ours" / "cases-3" / "seed-1" / "scores" / "cases.csv").unlink()
    text = report_of(tmp_path, scores, "auc")
    assert "here: the predictions of a run are not here (runs/ours/cases-3/seed-1/scores/cases.csv). Every" in text


def test_auc_of_two_classes_is_the_second_s(tmp_path: Path) -> None:
    """As evaluate has it: written with few digits, the first class's probabilities may all be one."""

    def rows_of(name: str, cases: int, seed: int) -> list[str]:
        truth, p = predicted(name, cases, seed)
        return [f"{'b' if there else 'a'},1.0,{one * 1e-6:.9f}" for there, one in zip(truth, p, strict=True)]

    every = [(name, cases) for name in ("scratch", "ours") for cases in (3, 12)]
    scores = {key: [roc_auc(*predicted(*key, seed)) for seed in range(3)] for key in every}
    write_predictions(tmp_path, scores, ("truth", "p_a", "p_b"), rows_of)
    assert "(over seeds and patients)" in report_of(tmp_path, scores, "auc")


def test_predictions_of_another_score_are_not_believed(tmp_path: Path) -> None:
    """Nor those of other cases: what the runs scored, they scored on something else."""
    scores = dict.fromkeys((("scratch", 3), ("ours", 3)), (0.5, 0.6))
    write_predictions(tmp_path, scores, ("truth", "p_a", "p_b"), class_rows)
    assert "have another score than the run. Every" in report_of(tmp_path, scores, "auc")
    path = tmp_path / "runs" / "ours" / "cases-3" / "seed-1" / "scores" / "cases.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("c00,", "c99,"), encoding="utf-8")
    right = {key: [roc_auc(*predicted(*key, seed)) for seed in range(2)] for key in scores}
    assert "seed-1 predicted other cases than the other runs. Every" in report_of(tmp_path, right, "auc")


def test_errors_of_numbers_are_over_patients_too(tmp_path: Path) -> None:
    """The mean absolute error of the first number is a mean over cases."""

    def rows_of(name: str, cases: int, seed: int) -> list[str]:
        return [f"{error:.6f},7" for error in predicted(name, cases, seed)[1] - (name == "scratch")]

    every = [(name, cases) for name in ("scratch", "ours") for cases in (3, 12)]
    scores = {
        key: [np.mean([abs(float(row.split(",")[0])) for row in rows_of(*key, seed)]) for seed in range(3)]
        for key in every
    }
    write_predictions(tmp_path, scores, ("error volume", "error age"), rows_of)
    assert "(over seeds and patients)" in report_of(tmp_path, scores, "mae")


def roc_auc(there: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
    """Of one run."""
    return label_scores(p, there)["auc"]
