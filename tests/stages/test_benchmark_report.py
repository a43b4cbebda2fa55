"""The report of a benchmark says what its numbers are, of made-up runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelsgenesis.stages._benchmark_tables import between, number, read_findings
from modelsgenesis.stages.report import report

Scores = Mapping[tuple[str, int], Sequence[float]]
SCRATCH: Scores = {("scratch", 3): (0.50, 0.52, 0.51), ("scratch", 12): (0.70, 0.71, 0.72)}
BETTER = {3: (0.60, 0.63, 0.61), 12: (0.74, 0.75, 0.77)}  # than scratch, and with 3 cases less good than that with 12


def told(folder: Path, scores: Scores, metric: str = "dice") -> str:
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
    text = told(tmp_path, {**SCRATCH, **arm("ours")})
    for one in read_findings(tmp_path)[0].comparisons:
        ps = (one.independent_t.p, one.paired_t.p, one.paired_t.holm)
        wanted = [between(one.percentile), *(number(p, 3) for p in ps)]
        assert " | ".join(wanted) in text
        assert " & ".join(wanted) in (tmp_path / "tables.tex").read_text(encoding="utf-8")


def test_longer_schedules_are_no_pre_training(tmp_path: Path) -> None:
    """However much they save, they are neither counted nor named as what it buys, and have a sentence of their own."""
    best = {3: (0.71, 0.73, 0.72), 12: (0.80, 0.81, 0.82)}
    text = told(tmp_path, {**SCRATCH, **arm("scratch:3x", best), **arm("ours")})
    assert "t: 1 of 2 savings of labels by pre-training are shown; the surest: ours saves" in text
    assert "t, without pre-training: 1 of 2 savings of labels by more updates are shown; the surest: scratch:3x" in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>1 of 2</b><span>savings of labels by pre-training shown</span>" in page
    alone = told(tmp_path / "alone", {**SCRATCH, **arm("scratch:3x", best)})
    assert "by pre-training" not in alone
    assert "without pre-training: 1 of 2" in alone


def test_first_budget_that_is_enough_is_said_as_such(tmp_path: Path) -> None:
    """An arm that starts above the reference needs its first budget, or fewer cases."""
    text = told(tmp_path, {**SCRATCH, **arm("ours", {3: (0.71, 0.73, 0.72), 12: (0.80, 0.81, 0.82)})})
    assert "| ours | 12 cases | 3 or fewer | at least 75% |" in text


def test_savings_are_held_against_the_reference_by_its_name(tmp_path: Path) -> None:
    """Where scratch is no arm, the first arm is the reference."""
    text = told(tmp_path, {**arm("one", {3: (0.50, 0.52, 0.51), 12: (0.70, 0.71, 0.72)}), **arm("two")})
    assert "| arm | one with | reached with |" in text
    assert "one with & reached with" in (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert "scratch with" not in text


def test_what_is_over_seeds_alone_is_said_to_be(tmp_path: Path) -> None:
    """In the lead, before both tables, in each claim, and in the captions of the paper's tables."""
    text = told(tmp_path, {**SCRATCH, **arm("ours")}, "auc")
    only = "over seeds, for these test cases only"
    assert f"%, {only}) where scratch has 12 cases" in text
    assert f"the 95 % interval ({only}) is on the better side in 2" in text
    assert text.count("Of AUC there is no interval over patients here") == 2
    assert all(only in line for line in text.splitlines() if "| saves" in line)
    assert f"intervals are {only}, and not corrected" in (tmp_path / "tables.tex").read_text(encoding="utf-8")
