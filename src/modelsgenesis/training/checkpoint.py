"""What a run must remember to go on as if it had never stopped."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from modelsgenesis.core.errors import TrainingError, blamed_on
from modelsgenesis.core.files import check_regular, written_aside

FILE = "resume.pt"
BROKEN = "a broken checkpoint; delete it to start the run anew"


@dataclass
class State:
    """Progress of a run; the weights and the optimiser's moments are saved beside it.

    Attributes:
        step: optimiser steps done.
        history: validation losses, oldest first.
        collapsed: validations in a row whose predictions were one grey value.
        window: sums of the training metrics since the last line of the log.
        time_s: seconds spent training, over all parts of an interrupted run.
    """

    step: int = 0
    history: list[float] = field(default_factory=list)
    collapsed: int = 0
    window: dict[str, float] = field(default_factory=dict)
    time_s: float = 0.0


def save_state(folder: Path, state: State, learner: dict[str, Any], optimizer: dict[str, Any]) -> None:
    """Write the checkpoint whole or not at all.

    Raises:
        DataError: the disk is full or the folder cannot be written; the checkpoint before is still whole.
    """
    content = {"state": vars(state), "learner": learner, "optimizer": optimizer}
    with written_aside(folder / FILE) as aside, open(aside, "wb") as file:
        torch.save(content, file)


def load_state(folder: Path) -> tuple[State, dict[str, Any], dict[str, Any]] | None:
    """Read the checkpoint, or None when the run has none yet.

    Raises:
        TrainingError: the file is broken.
    """
    if not (folder / FILE).is_file():
        return None
    with blamed_on(folder / FILE, TrainingError, BROKEN):
        content = torch.load(check_regular(folder / FILE), map_location="cpu", weights_only=True)
        state = State(**content["state"])
        if not (isinstance(state.step, int) and state.step >= 0):
            raise ValueError(f"it is of step {state.step!r}")
        return state, dict(content["learner"]), dict(content["optimizer"])
