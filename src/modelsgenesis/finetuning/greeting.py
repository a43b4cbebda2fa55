"""What a fine-tuning tells its user before it trains."""

from collections.abc import Iterator

from modelsgenesis.finetuning.config import AXES, FineTuneConfig
from modelsgenesis.finetuning.initialization import Initialization
from modelsgenesis.tasks import Task
from modelsgenesis.tasks.splitting import CaseSplit

MOST_NAMED = 5  # warnings


def greeting(task: Task, start: Initialization, config: FineTuneConfig, division: CaseSplit) -> str:
    """What is learned, from which cases, what the network sees, and where it begins."""
    target, plan = task.target, config.plan
    counts = {
        "to train on": division.train, "validate": division.val, "unused": division.unused, "test": division.test
    }  # fmt: skip
    mirrored = "".join(AXES[axis] for axis in config.augmentation.mirror) or "none"
    lines = [
        f"{task.name}: {target.kind} of {', '.join(target.names)}",
        f"cases: {', '.join(f'{len(cases)} {role}' for role, cases in counts.items())}",
        *left_out(task),
        f"{seen(config)}, mirrored along {mirrored}; {plan.steps} steps of {plan.batch_size}",
        f"start: {start.given}",
    ]
    return "\n".join(lines)


def seen(config: FineTuneConfig) -> str:
    """What the network sees of an image, in words."""
    spacing, size = config.reading.spacing_mm, " x ".join(map(str, config.size))
    if len(config.size) == 2:
        return f"pictures {'shrunk or enlarged' if config.reading.fit else 'padded'} to fit {size} pixels"
    grid = f"resampled to {' x '.join(f'{step:g}' for step in spacing)} mm" if spacing else "at their own spacing"
    return f"patches of {size} voxels {grid}"


def left_out(task: Task) -> Iterator[str]:
    """Lines where the data hold what could not become a case, or what they say of themselves is not followed."""
    if num := sum(problem.severity == "error" for problem in task.problems):
        yield f"left out: {num}, for reasons that genesis inspect {task.place} tells"
    warned = [f"warning: {one.problem}; {one.remedy}" for one in task.problems if one.severity == "warning"]
    yield from warned[:MOST_NAMED]
    if len(warned) > MOST_NAMED:
        yield f"warning: and {len(warned) - MOST_NAMED} more, that genesis inspect {task.place} tells"
