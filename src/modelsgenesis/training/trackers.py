"""Where else the metrics of a run may go: Weights & Biases and MLflow, on this machine unless told otherwise.

Lightning Fabric has no loggers of these; its logger of CSV writes other columns than `log.csv`, which reports read.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from modelsgenesis.core.errors import MissingExtraError

TrackerName = Literal["csv", "tensorboard", "wandb", "mlflow"]

PROJECT = "modelsgenesis"
ALWAYS = ("csv", "tensorboard")  # which every run writes by itself


class Tracker(Protocol):
    """What takes a run's metrics."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a step, each by its name with its group, such as train/loss."""

    def close(self) -> None:
        """Write what is still to be written."""


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Refuse trackers that are not installed.

    Raises:
        MissingExtraError: one is not.
    """
    for name in names:
        if name not in ALWAYS and find_spec(name) is None:
            raise MissingExtraError(
                f"--log {name} needs {name}: pip install -c constraints.txt '.[{name}]', in the clone of modelsgenesis"
            )


def make_trackers(names: Sequence[TrackerName], folder: Path) -> list[Tracker]:
    """Make the trackers of a run; csv and tensorboard need none.

    Args:
        names: of them.
        folder: of the run, which holds what they write; a run that goes on is known again by it.
    Raises:
        MissingExtraError: one is not installed.
    """
    check_trackers(names)
    kinds: dict[str, Any] = {"wandb": WandbTracker, "mlflow": MlflowTracker}
    return [kinds[name](folder) for name in dict.fromkeys(names) if name not in ALWAYS]


class WandbTracker:
    """A run of Weights & Biases below FOLDER/wandb, offline unless WANDB_MODE says otherwise; `wandb sync` uploads it.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        import wandb

        settings = wandb.Settings(console="off", silent=True)
        self.run = wandb.init(
            project=PROJECT, name=folder.name, id=_id_of(folder), resume="allow", dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"), settings=settings,  # type: ignore[arg-type]
        )  # fmt: skip

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        self.run.log(dict(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


class MlflowTracker:
    """A run of MLflow in files of its own below FOLDER/mlflow, unless MLFLOW_TRACKING_URI names a server.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow 3 opens no files of its own
        self.client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or _store_in(folder / "mlflow"))
        known = self.client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self.client.create_experiment(PROJECT)
        there = self.client.search_runs([experiment], f"tags.folder = '{_id_of(folder)}'")
        tags = {"folder": _id_of(folder)}
        run = there[0] if there else self.client.create_run(experiment, run_name=folder.name, tags=tags)
        self.run_id: str = run.info.run_id
        self.client.update_run(self.run_id, status="RUNNING")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        for name, value in metrics.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def close(self) -> None:
        """Say that the run ended."""
        self.client.set_terminated(self.run_id)


def _store_in(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute().as_uri()


def _id_of(folder: Path) -> str:
    """The same for a run that goes on, another for one elsewhere."""
    return hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]


@contextlib.contextmanager
def closing(trackers: Sequence[Tracker]) -> Iterator[None]:
    """Close trackers, however a run ends."""
    with contextlib.ExitStack() as stack:
        for tracker in trackers:
            stack.callback(tracker.close)
        yield
