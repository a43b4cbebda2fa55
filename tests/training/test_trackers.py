"""Runs that log to Weights & Biases and MLflow: offline, into the run's folder, read back by other means."""

from pathlib import Path

import pytest

from modelsgenesis.core.errors import MissingExtraError
from modelsgenesis.training import trackers
from modelsgenesis.training.plan import Plan
from modelsgenesis.training.trackers import check_trackers, closing, make_trackers


def log_twice(name: trackers.TrackerName, folder: Path) -> None:
    """A run that is stopped after step 10 and goes on to step 20."""
    folder.mkdir(exist_ok=True)
    for step, loss in ((10, 0.5), (20, 0.25)):
        made = make_trackers((name, "csv", "tensorboard"), folder)
        assert len(made) == 1
        with closing(made):
            made[0].write(step, {"train/loss": loss})


def test_mlflow_has_one_run_with_both_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by MLflow's client from its own files; nothing is written elsewhere."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: the extra mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    log_twice("mlflow", tmp_path / "run-7")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "run-7" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("modelsgenesis")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run-7"
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in history] == [(10, 0.5), (20, 0.25)]
    assert [path.name for path in tmp_path.iterdir()] == ["run-7"]


@pytest.mark.filterwarnings("ignore")
def test_wandb_stays_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two offline sessions of one run, below the run's folder, whose files hold the metric."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: the extra wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.chdir(tmp_path)
    log_twice("wandb", tmp_path / "run-7")
    sessions = sorted((tmp_path / "run-7" / "wandb").glob("offline-run-*"))
    assert len({path.name.rsplit("-", 1)[1] for path in sessions}) == 1  # one id, so that a sync makes one run of them
    written = [next(path.glob("*.wandb")).read_bytes() for path in sessions]
    assert any(b"train/loss" in each for each in written)
    assert [path.name for path in tmp_path.iterdir()] == ["run-7"]


def test_tracker_that_is_not_installed_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it; what every run writes needs nothing."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"--log wandb needs wandb: pip install -c constraints.txt '\.\[wandb\]'"
    ):
        Plan(steps=1, log=("wandb",))
    check_trackers(("csv", "tensorboard"))
    assert make_trackers((), Path()) == []


def test_trackers_are_closed_however_a_run_ends() -> None:
    """Also where the first one cannot be."""
    closed = []

    class One:
        def __init__(self, name: str) -> None:
            self.name = name

        def write(self, step: int, metrics: object) -> None:
            """Take nothing."""

        def close(self) -> None:
            """Remember, and fail if first."""
            closed.append(self.name)
            if self.name == "b":
                raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), closing([One("a"), One("b")]):
        pass
    assert closed == ["b", "a"]
