"""What a fine-tuning prints before it trains."""

from collections.abc import Iterator, Sequence

from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.store.case_cache import CachedCase
from modelsgenesis.finetuning.config import AXES, FineTuneConfig
from modelsgenesis.finetuning.initialization import Initialization
from modelsgenesis.finetuning.network import intensity_report
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.splitting import CaseSplit

MOST_NAMED = 5  # warnings
MOST_LABELS = 12  # in a line


def greeting(task: Task, start: Initialization, config: FineTuneConfig, division: CaseSplit) -> str:
    """Describe the task, its cases, what the network sees, and where it begins."""
    target, plan = task.target, config.plan
    counts = {
        "to train on": division.train, "validate": division.val, "unused": division.unused, "test": division.test
    }  # fmt: skip
    mirrored = "".join(AXES[axis] for axis in config.augmentation.mirror) or "none"
    lines = [
        f"{task.name}: {target.kind} of {', '.join(target.names)}",
        f"cases: {', '.join(f'{len(cases)} {role}' for role, cases in counts.items())}",
        *left_out(task),
        f"{seen(config)}, mirrored along {mirrored}; {many(plan.steps, 'step')} of {plan.batch_size}",
        f"start: {start.given}",
        *([f"slices: {start.slices}"] if start.slices else []),
        *([f"warning: {start.given} is not finished; its best network so far is taken"] if start.unfinished else []),
        f"intensity: {'; for the start, '.join(intensity_report(start, config).values())}",
    ]
    return "\n".join(lines)


def seen(config: FineTuneConfig) -> str:
    """Describe in words what the network sees of an image."""
    spacing, size = config.reading.spacing_mm, " x ".join(map(str, config.size))
    if len(config.size) == 2:
        return f"pictures {'shrunk or enlarged' if config.reading.fit else 'padded'} to fit {size} pixels"
    grid = f"resampled to {' x '.join(f'{step:g}' for step in spacing)} mm" if spacing else "at their own spacing"
    return f"patches of {size} voxels {grid}"


def left_out(task: Task) -> Iterator[str]:
    """Warnings of files that could not become a case, and of splits in the data that are not used."""
    if num := sum(problem.severity == "error" for problem in task.problems):
        yield f"left out: {num}, for reasons that genesis inspect {task.place} shows"
    warned = [f"warning: {one.problem}; {one.remedy}" for one in task.problems if one.severity == "warning"]
    yield from warned[:MOST_NAMED]
    if len(warned) > MOST_NAMED:
        yield f"warning: and {len(warned) - MOST_NAMED} more, that genesis inspect {task.place} shows"


def warnings_of(task_modality: str, target: Target, reading: Reading, cases: Sequence[CachedCase]) -> Iterator[str]:
    """Warnings for the user before the training begins.

    Args:
        task_modality: as the data declare it, or "".
        target: of the task.
        reading: how images are read.
        cases: to train on.
    """
    if isinstance(reading.intensity, Percentiles) and not task_modality:
        yield (
            "modality: unknown, so each image is scaled by its own percentiles; if these are CT, --modality CT "
            "reads them in Hounsfield units"
        )
    if not target.dense:  # a class without a case is refused by its learner
        return
    held = [sum(case.num_voxels[k] > 0 for case in cases) for k in range(len(target.labels))]
    if never := [name for name, num in zip(target.names, held, strict=True) if not num]:
        more = f" and {len(never) - MOST_LABELS} more" if len(never) > MOST_LABELS else ""
        named = ", ".join(never[:MOST_LABELS]) + more
        yield f"warning: no training case holds {named}, so that cannot be learned; use more cases, or leave it out"
    if empty := sum(not any(case.num_voxels) for case in cases):
        among = f"{empty} of {many(len(cases), 'training case')}"
        yield f"warning: the masks of {among} are empty; is nothing there to be found?"
