"""The results in docs/results are what their own rows of runs say."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from modelsgenesis.benchmarking.findings import read_findings

RESULTS = Path(__file__).parents[2] / "docs" / "results"
COMPARED = [path.parent for path in sorted(RESULTS.glob("*/comparisons.csv"))]
COLUMNS = ["task", "arm", "cases", "seed", "metric", "value"]


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("folder", COMPARED, ids=lambda folder: folder.name)
def test_rows_of_runs_have_the_agreed_columns(folder: Path) -> None:
    """A row a run, each once."""
    rows = rows_of(folder / "runs.csv")
    assert list(rows[0])[: len(COLUMNS)] == COLUMNS
    assert {"scratch", "genesis"} <= {row["arm"] for row in rows}
    assert len({tuple(row[name] for name in COLUMNS[:5]) for row in rows}) == len(rows)


@pytest.mark.parametrize("folder", COMPARED, ids=lambda folder: folder.name)
def test_scores_in_the_text_are_those_of_the_runs(folder: Path) -> None:
    """Every mean and standard deviation of the tables."""
    rows, checked = rows_of(folder / "runs.csv"), 0
    if (folder / "baselines.csv").is_file():
        rows += rows_of(folder / "baselines.csv")
    for table in re.findall(r"(?:^\|.*\n)+", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE):
        head, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
        if head[0] != "arm" or "±" not in table:
            continue
        budgets = [re.search(r"\d+", cell).group() for cell in head[1:]]  # type: ignore[union-attr]
        for arm, *cells in lines:
            for budget, cell in zip(budgets, cells, strict=True):
                values = [float(row["value"]) for row in rows if (row["arm"], row["cases"]) == (arm, budget)]
                mean, sd = (float(number) for number in cell.replace("*", "").split("±"))
                assert (np.mean(values), np.std(values, ddof=1)) == pytest.approx((mean, sd), abs=6e-4), (arm, budget)
                checked += 1
    assert checked >= 9


@pytest.mark.parametrize("folder", COMPARED, ids=lambda folder: folder.name)
def test_comparisons_can_be_made_anew(folder: Path) -> None:
    """Differences, intervals and tests follow from runs.csv; those over patients from cases.csv, where it is there."""
    written = {(row["arm"], row["cases"]): row for row in rows_of(folder / "comparisons.csv")}
    anew = read_findings(folder)[0].comparisons
    assert {(one.arm, str(one.cases)) for one in anew} == set(written)
    for one in anew:
        row = written[one.arm, str(one.cases)]
        made = (one.difference.value, one.difference.low95, one.difference.high95, one.paired_t.p, one.paired_t.holm)
        names = ("difference", "low95", "high95", "paired_t_p", "paired_t_holm")
        assert made == pytest.approx([float(row[name]) for name in names], rel=1e-3, nan_ok=True)
        if (folder / "cases.csv").is_file():
            assert one.over_patients is not None
            assert one.over_patients.low95 == pytest.approx(float(row["over_patients_low95"]), rel=1e-3)


CHOSEN = RESULTS / "choose"


@pytest.mark.skipif(not (CHOSEN / "runs.csv").is_file(), reason="no result of choosing is here")
def test_scores_of_choosing_are_those_of_its_runs() -> None:
    """Every mean and standard deviation of the tables, a table a task; every arm of one has the runs of random."""
    rows, checked = rows_of(CHOSEN / "runs.csv"), set()
    assert list(rows[0]) == COLUMNS
    runs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in rows:
        runs.setdefault((row["task"], row["arm"]), set()).add((row["cases"], row["seed"]))
    assert all(of_arm == runs[task, "random"] for (task, _), of_arm in runs.items())
    for part in (CHOSEN / "README.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        task = part.split(":")[0]
        head, *lines = re.findall(r"^\| [a-z-]+ \|.*(?:cases|±).*$", part, re.MULTILINE)
        for arm, *cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if "±" in line):
            for budget, cell in zip(re.findall(r"\d+", head), cells, strict=True):
                key = (task, arm, budget)
                values = [float(row["value"]) for row in rows if (row["task"], row["arm"], row["cases"]) == key]
                mean, sd = (float(number) for number in cell.replace("*", "").split("±"))
                assert (np.mean(values), np.std(values, ddof=1)) == pytest.approx((mean, sd), abs=6e-4), key
                checked.add(key)
    assert checked == {(row["task"], row["arm"], row["cases"]) for row in rows}
