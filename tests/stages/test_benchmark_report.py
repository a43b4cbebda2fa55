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
