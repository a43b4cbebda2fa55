"""The rows and pictures of an inspection."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from modelsgenesis.core.target import Target
from modelsgenesis.core.words import listed, many, nouns
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of
from modelsgenesis.data.problems import Problem
from modelsgenesis.figures.overlay import Overlay, overlay
from modelsgenesis.figures.windows import ct_display, ct_window
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.checks import Checked
from modelsgenesis.tasks.findings import Finding

Row = tuple[str, ...]
PROBLEM_HEAD = ("file", "", "problem", "remedy")
FEW = 4  # labels that fit into a cell one by one
AROUND_MM = 25.0  # of the labels, shown in pictures


def summary(task: Task, checked: Checked) -> list[Row]:
    """Summarise the cases in a few lines of (what, value)."""
    cases, found = task.cases, checked.kept
    voxel = nouns(2 if _flat(found) else 3).voxel
    rows: list[Row] = [
        ("task", f"{task.target.kind}: {listed(task.target.names, 12)}{task.target.remark}"),
        ("cases", f"{len(cases)} labelled, {len(checked.usable)} usable, {len(task.unlabelled)} without a label"),
        ("patients", str(len({case.patient for case in cases}))),
        ("channels", ", ".join(task.channels)),
        ("modality", counted(finding.modality for finding in found)),
        (f"size in {voxel}s", span([finding.size for finding in found], "{:.0f}")),
        ("spacing in mm", _spacing(found)),
    ]
    for number, name in enumerate(task.channels):
        ends = np.array([finding.ranges[number] for finding in found if len(finding.ranges) > number]).reshape(-1, 2)
        what = "values" if len(task.channels) == 1 else f"values of {name}"
        rows.append((what, f"from {ends[:, 0].min():.4g} to {ends[:, 1].max():.4g}" if len(ends) else ""))
    for what, given in (("folds", [case.fold for case in cases]), ("splits", [case.split for case in cases])):
        if any(each not in (None, "") for each in given):
            rows.append((what, counted("none" if each in (None, "") else str(each) for each in given)))
    return rows


def counted(names: Iterable[str]) -> str:
    """Names, each with how often it occurs."""
    return ", ".join(f"{name or 'unknown'} ({count})" for name, count in sorted(Counter(names).items()))


def _flat(found: Sequence[Finding]) -> bool:
    """Whether there are pictures, and nothing else."""
    return bool(found) and all(len(finding.size) == 2 for finding in found)


def _spacing(found: Sequence[Finding]) -> str:
    """Write the spacing in mm, where it is known; of volumes 1 mm is assumed otherwise."""
    known = [finding.spacing_mm for finding in found if finding.spaced or len(finding.size) == 3]
    unknown = f"unknown ({len(found) - len(known)})" if known else "unknown"
    return "; ".join(([span(known, "{:.3g}")] if known else []) + ([unknown] if len(known) < len(found) else []))


def span(triples: Sequence[tuple[float, ...]], form: str) -> str:
    """One triple if all are equal; otherwise their median and the ends along each axis."""
    if not triples:
        return ""
    if len({len(triple) for triple in triples}) > 1:
        return "some of two axes, some of three"
    table = np.array(triples, float)
    low, middle, high = (" x ".join(map(form.format, row)) for row in (table.min(0), np.median(table, 0), table.max(0)))
    return middle if low == high else f"{middle}, from {low} to {high}"


def case_head(task: Task) -> Row:
    """The columns of `case_rows`."""
    return "case", "size", "spacing (mm)", "modality", "values", task.target.column


def case_rows(task: Task, checked: Checked) -> list[Row]:
    """One row a case, in the order of the task; those that cannot be read have empty cells."""
    found = {finding.id: finding for finding in checked.findings}
    usable = {case.id for case in checked.usable}
    rows: list[Row] = []
    for case in task.cases:
        name = case.id if case.id in usable else f"{case.id} (left out)"
        finding = found.get(case.id)
        if finding is None:
            rows.append((name, "", "", "", "", ""))
            continue
        size = " x ".join(map(str, finding.size))
        spacing = _spacing([finding])
        ranges = "; ".join(f"{low:.4g} .. {high:.4g}" for low, high in finding.ranges)
        rows.append((name, size, spacing, finding.modality, ranges, task.target.in_words(finding)))
    return rows


def problem_rows(place: Path, problems: Sequence[Problem]) -> list[Row]:
    """One row a problem, errors first; files as seen from the place of the task."""
    return [
        (_below(problem.path, place), problem.severity, problem.problem, problem.remedy)
        for problem in sorted(problems, key=lambda each: (each.severity != "error", each))
    ]


def _below(path: Path, place: Path) -> str:
    root = place if place.is_dir() else place.parent
    if path == root:
        return path.resolve().name
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def last_line(checked: Checked) -> str:
    """The last line of the output: how many cases and problems there are."""
    errors = sum(problem.severity == "error" for problem in checked.problems)
    warnings = len(checked.problems) - errors
    if not errors and not warnings:
        return f"inspect: {many(len(checked.usable), 'case')}, no problems"
    costs = f"{many(errors, 'error')}, {many(warnings, 'warning')}"
    return f"inspect: {many(len(checked.usable), 'case')} can be used; {costs}"


def example_cases(task: Task, checked: Checked) -> list[tuple[Case, str]]:
    """Choose a few cases to look at, each with its caption."""
    cases = {case.id: case for case in checked.usable}
    return [(cases[one.id], f"{one.id}, {words}") for one, words in task.target.examples(checked.kept)]


def overlay_of(case: Case, caption: str, target: Target) -> Overlay:
    """Draw the labels of a case over its first channel."""
    reading = Reading(Percentiles())
    image = read_image(case.images[:1], reading)
    values = image.values[0]
    mask = target.pictured(case, image, reading)
    around = AROUND_MM if mask.any() else None
    return overlay(
        values, mask, spacing_mm=image.spacing_mm, caption=caption, around_mm=around, display=_display(case, image)
    )


def _display(case: Case, image: Image) -> tuple[float, float] | None:
    """The window of a CT in HU; None, for percentiles, of other images."""
    values = image.values[0]
    if (case.images[0].modality or guess_modality(sample_of(values))) != "CT":
        return None
    return ct_display(ct_window(values, (0.0, 1.0)), (0.0, 1.0))
