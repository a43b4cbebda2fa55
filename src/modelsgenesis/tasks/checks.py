"""What is wrong with a task's cases, found before a network is trained on them."""

import functools
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import listed, many
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem, died
from modelsgenesis.data.sources import Source, drop_duplicates, reading_processes
from modelsgenesis.tasks.findings import Finding, examine_case
from modelsgenesis.tasks.task import Task

WORTH_PROCESSES = 2**26  # bytes of images, below which processes take longer to start than reading takes
MANY = 12  # names in one sentence
UNEVEN = 1.5  # between the finest and the coarsest voxels along an axis, above which one spacing for all is better


@dataclass(frozen=True)
class Checked:
    """The findings and problems of a check.

    Attributes:
        findings: of the cases that can be read, in the order of the task.
        problems: of the task and its cases; those of severity "error" cost a case.
        usable: the cases without an error.
    """

    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    usable: tuple[Case, ...]

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The findings of the usable cases."""
        ids = {case.id for case in self.usable}
        return tuple(finding for finding in self.findings if finding.id in ids)


def check(task: Task, *, workers: int | None = None, progress: Callable[[int], object] = lambda done: None) -> Checked:
    """Read every labelled case and compare it with what the task declares.

    Found are: files that cannot be read, masks that lie elsewhere than their images, values that are not declared,
    masks that are empty, channels of different grids, one scan under two names, labels and classes that hardly occur,
    and what was found when the task was made: missing files, two cases of one name, patients in two folds.

    Args:
        task: to check.
        workers: processes; by default as `reading_processes` says, 0 reads in this process.
        progress: called with the number of cases done.
    """
    found: dict[str, tuple[Finding | None, list[Problem]]] = {}
    duplicates = _duplicates(task.cases)
    examine = functools.partial(examine_case, target=task.target)
    for case, result in work_through(examine, task.cases, _workers(task, workers)):
        found[case.id] = (None, [died(case.images[0].path)]) if result is None else result
        progress(len(found))
    problems, findings, usable = list(task.problems), [], []
    for case in task.cases:
        finding, own = found[case.id]
        own += [duplicates[case.id]] if case.id in duplicates else []
        problems += own
        if finding is not None:
            findings.append(finding)
        if finding is not None and not any(problem.severity == "error" for problem in own):
            usable.append(case)
    checked = Checked(tuple(findings), tuple(dict.fromkeys(problems)), tuple(usable))
    return replace(checked, problems=(*checked.problems, *_of_the_whole(task, checked.kept)))


def _workers(task: Task, workers: int | None) -> int:
    if workers is not None:
        return workers
    sources = [source for case in task.cases for source in (*case.images, *case.masks)]
    files = {file for source in sources for file in source.files}
    much = sum(os.path.getsize(file) for file in files if file.exists()) > WORTH_PROCESSES
    return reading_processes(sources, much=much)


def _duplicates(cases: Sequence[Case]) -> dict[str, Problem]:
    """The cases whose image another case has already, {id: problem}; rows of one array are not compared."""
    problems: dict[str, Problem] = {}
    images: dict[tuple[str, int | None], Case] = {}
    files: dict[str, tuple[Case, Source]] = {}
    for case in cases:
        source = case.images[0]
        if source.array or not all(os.access(file, os.R_OK) for file in source.files):
            continue
        place = f"{source.path}:{source.series}"
        first = images.setdefault((place, source.index), case)
        if source.box is None:
            files.setdefault(place, (case, replace(source, series=place)))
        if first is not case:
            what = f"two cases have this image: the other is {first.id}"
            problems[case.id] = Problem(source.path, what, "remove one of them")
    kept, found = drop_duplicates([source for _, source in files.values()])
    there = {source.series for source in kept}
    by_path = {problem.path: problem for problem in found}
    copies = {case.id: by_path[source.path] for case, source in files.values() if source.series not in there}
    return problems | copies


def _of_the_whole(task: Task, findings: Sequence[Finding]) -> Iterator[Problem]:
    """Find problems that only all cases together show."""
    yield from _rare_labels(task, findings)
    yield from _uneven_spacing(task, findings)
    yield from _mixed_modalities(task, findings)


def _rare_labels(task: Task, findings: Sequence[Finding]) -> Iterator[Problem]:
    counts = label_counts(task.target, findings)
    for few, remedy in (
        (0, "nothing can be learned of what is not there: add cases, or take it out of the task"),
        (1, "what is there once cannot be both learned and tested: add cases, or take it out of the task"),
    ):
        names = [name for name, count in zip(task.target.names, counts, strict=False) if count == few]
        if names and len(findings) > 1:
            what = f"{task.target.noun} that occur in {few} of {many(len(findings), 'case')}: {listed(names, MANY)}"
            yield Problem(task.place, what, remedy, "warning")


def label_counts(target: Target, findings: Iterable[Finding]) -> tuple[int, ...]:
    """Count in how many cases each label occurs."""
    counts = Counter(label for finding in findings for label in target.occurring(finding))
    return tuple(counts[label] for label in range(len(target.labels)))


def _uneven_spacing(task: Task, findings: Sequence[Finding]) -> Iterator[Problem]:
    if task.published is not None:  # it decides
        return
    if {len(finding.size) for finding in findings} != {3}:  # pictures are not resampled by their spacing
        return
    steps = np.array([finding.spacing_mm for finding in findings])
    if (steps.max(axis=0) > UNEVEN * steps.min(axis=0)).any():
        axis = int(np.argmax(steps.max(axis=0) / steps.min(axis=0)))
        what = f"voxels are from {steps[:, axis].min():.3g} to {steps[:, axis].max():.3g} mm along {'XYZ'[axis]}"
        median = " ".join(f"{step:.3g}" for step in np.median(steps, axis=0))
        yield Problem(task.place, what, f"finetune resamples all to one; the middle is --spacing {median}", "warning")


def _mixed_modalities(task: Task, findings: Sequence[Finding]) -> Iterator[Problem]:
    """CT has units of its own; whatever is read as CT here and not there is scaled in two ways."""
    groups: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        groups[finding.modality].append(finding.id)
    if "CT" in groups and len(groups) > 1:
        found = ", ".join(f"{name} in {len(ids)} (as {ids[0]})" for name, ids in sorted(groups.items()))
        yield Problem(task.place, f"modalities differ: {found}", "declare the modality, or train them apart", "warning")
