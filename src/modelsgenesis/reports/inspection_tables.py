"""The rows and pictures of an inspection."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from modelsgenesis.core.target import Target
from modelsgenesis.core.words import listed, many
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Image, Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.intensity_statistics import guess_modality, sample_of
from modelsgenesis.data.masks import read_mask
from modelsgenesis.data.problems import Problem
from modelsgenesis.figures.overlay import Overlay, overlay
from modelsgenesis.figures.windows import ct_display, ct_window
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.checks import Checked, label_counts
from modelsgenesis.tasks.findings import Finding

Row = tuple[str, ...]
PROBLEM_HEAD = ("file", "", "problem", "remedy")
FEW = 4  # labels that fit into a cell one by one
AROUND_MM = 25.0  # of the labels, shown in pictures


def summary(task: Task, checked: Checked) -> list[Row]:
    """What there is, in a few lines: (what, value)."""
    cases, found = task.cases, checked.kept
    rows: list[Row] = [
        (
            "task",
            f"{task.target.kind}: {listed(task.target.names, 12)}" + (_OVERLAP if _overlaps(task.target) else ""),
        ),
        ("cases", f"{len(cases)} labelled, {len(checked.usable)} usable, {len(task.unlabelled)} without a label"),
        ("patients", str(len({case.patient for case in cases}))),
        ("channels", ", ".join(task.channels)),
        ("modality", _counted(finding.modality for finding in found)),
        ("size in voxels", _span([finding.size for finding in found], "{:.0f}")),
        ("spacing in mm", _spacing(found)),
    ]
    for number, name in enumerate(task.channels):
        ends = np.array([finding.ranges[number] for finding in found if len(finding.ranges) > number]).reshape(-1, 2)
        what = "values" if len(task.channels) == 1 else f"values of {name}"
        rows.append((what, f"from {ends[:, 0].min():.4g} to {ends[:, 1].max():.4g}" if len(ends) else ""))
    for what, given in (("folds", [case.fold for case in cases]), ("splits", [case.split for case in cases])):
        if any(each not in (None, "") for each in given):
            rows.append((what, _counted("none" if each in (None, "") else str(each) for each in given)))
    return rows


_OVERLAP = "; they may overlap"


def _overlaps(target: Target) -> bool:
    return target.kind != "regression" and not target.exclusive


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name or 'unknown'} ({count})" for name, count in sorted(Counter(names).items()))


def _spacing(found: Sequence[Finding]) -> str:
    """In mm; that of pictures is not known."""
    flat = all(len(finding.size) == 2 for finding in found)
    return "unknown" if flat and found else _span([finding.spacing_mm for finding in found], "{:.3g}")


def _span(triples: Sequence[tuple[float, ...]], form: str) -> str:
    """One triple if all are equal; otherwise their median and the ends along each axis."""
    if not triples:
        return ""
    if len({len(triple) for triple in triples}) > 1:
        return "some of two axes, some of three"
    table = np.array(triples, float)
    low, middle, high = (" x ".join(map(form.format, row)) for row in (table.min(0), np.median(table, 0), table.max(0)))
    return middle if low == high else f"{middle}, from {low} to {high}"


def label_head(task: Task) -> Row:
    """The columns of `label_rows`."""
    if task.target.kind == "segmentation":
        return "label", "value", "cases", "smallest (ml)", "median (ml)", "largest (ml)"
    if task.target.kind == "classification":
        return "class", "cases", "share"
    return "number", "least", "median", "most"


def label_rows(task: Task, checked: Checked) -> list[Row]:
    """One row a label, class or number."""
    found, target = checked.kept, task.target
    if target.kind == "regression":
        numbers = np.array([finding.values for finding in found]).reshape(-1, len(target.labels))
        return [
            (name, *(f"{value:.4g}" for value in (column.min(), np.median(column), column.max())))
            for name, column in zip(target.names, numbers.T, strict=True)
            if len(column)
        ]
    counts = label_counts(target, found)
    if target.kind == "classification":
        every = max(len(found), 1)
        return [(name, str(n), f"{n / every:.0%}") for name, n in zip(target.names, counts, strict=True)]
    rows = []
    for k, label in enumerate(target.labels):
        there = sorted(volumes_ml(finding)[k] for finding in found if finding.voxels and finding.voxels[k])
        ends = (there[0], float(np.median(there)), there[-1]) if there else ()
        rows.append((label.name, ", ".join(map(str, label.values)), str(counts[k]), *map(_ml, ends)))
    return [row + ("",) * (6 - len(row)) for row in rows]


def volumes_ml(finding: Finding) -> list[float]:
    """The volume of each label in millilitres."""
    return [voxels * float(np.prod(finding.spacing_mm)) / 1000 for voxels in finding.voxels]


def _ml(volume: float) -> str:
    return f"{volume:.3g}" if volume < 999.5 else f"{volume:,.0f}"


def case_head(task: Task) -> Row:
    """The columns of `case_rows`."""
    last = {"segmentation": "labels (ml)", "classification": "class", "regression": "number"}[task.target.kind]
    return "case", "size", "spacing (mm)", "modality", "values", last


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
        rows.append((name, size, spacing, finding.modality, ranges, said(finding, task.target)))
    return rows


def said(finding: Finding, target: Target, unit: str = "") -> str:
    """What a case is labelled, in words; volumes in ml, with a unit if it is given."""
    if target.kind == "regression":
        return ", ".join(f"{value:g}" for value in finding.values)
    if target.kind == "classification" and target.exclusive:
        return target.names[int(finding.values[0])]
    if target.kind == "classification":
        return ", ".join(name for name, value in zip(target.names, finding.values, strict=True) if value) or "none"
    there = [(name, ml) for name, ml in zip(target.names, volumes_ml(finding), strict=False) if ml]
    if len(there) > FEW:
        return f"{len(there)} of {len(target.labels)} labels"
    return ", ".join(f"{name}: {_ml(ml)}{unit}" for name, ml in there) or "none"


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
    """How it ended."""
    errors = sum(problem.severity == "error" for problem in checked.problems)
    warnings = len(checked.problems) - errors
    if not errors and not warnings:
        return f"inspect: {many(len(checked.usable), 'case')}, no problems"
    costs = f"{many(errors, 'error')}, {many(warnings, 'warning')}"
    return f"inspect: {many(len(checked.usable), 'case')} can be used; {costs}"


def telling_cases(task: Task, checked: Checked) -> list[tuple[Case, str]]:
    """A few cases to look at, each with its caption: one of each class, or the first and the extremes."""
    cases, found = {case.id: case for case in checked.usable}, checked.kept
    if task.target.kind == "classification":
        first = {said(finding, task.target): finding for finding in reversed(found)}
        return [(cases[one.id], f"{one.id}, {words}") for words, one in sorted(first.items())[:FEW]]
    chosen: dict[str, tuple[Finding, str]] = {}
    for finding, why in _extremes(found, task.target):
        chosen.setdefault(finding.id, (finding, why))
    return [(cases[id_], f"{id_}, {why} ({said(one, task.target, ' ml')})") for id_, (one, why) in chosen.items()]


def _extremes(found: Sequence[Finding], target: Target) -> list[tuple[Finding, str]]:
    """The first, least, greatest and middle case, by the volume of all labels or by the first number."""
    if target.kind == "segmentation":
        ranked = sorted((one for one in found if any(one.voxels)), key=lambda one: sum(volumes_ml(one)))
        least, most = "least labelled", "most labelled"
    else:
        ranked = sorted(found, key=lambda one: one.values[0])
        least, most = "least number", "greatest number"
    ranked = ranked or list(found)
    middle = ranked[len(ranked) // 2]
    return [(found[0], "the first"), (ranked[0], least), (ranked[-1], most), (middle, "in the middle")]


def overlay_of(case: Case, caption: str, target: Target) -> Overlay:
    """The first channel of a case with its labels."""
    reading = Reading(Percentiles())
    image = read_image(case.images[:1], reading)
    values = image.values[0]
    if target.kind == "segmentation":
        mask = read_mask(case, target, image, reading)
    else:
        mask = np.zeros((1, *image.size), np.uint8)
    around = AROUND_MM if mask.any() else None
    return overlay(
        values, mask, spacing_mm=image.spacing_mm, caption=caption, around_mm=around, display=_display(case, image)
    )


def _display(case: Case, image: Image) -> tuple[float, float] | None:
    """The window of a CT, in HU; None, percentiles, for the rest."""
    values = image.values[0]
    if (case.images[0].modality or guess_modality(sample_of(values))) != "CT":
        return None
    return ct_display(ct_window(values, (0.0, 1.0)), (0.0, 1.0))
