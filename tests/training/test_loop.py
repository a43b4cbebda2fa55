"""The loop learns, stops safely, goes on exactly, and does not hide failure."""

import copy
import dataclasses
import functools
import gc
import io
import itertools
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.training.materials import Waves, make_training, weights

from modelsgenesis.core.device import Precision
from modelsgenesis.core.errors import DataError, TrainingError
from modelsgenesis.core.learner import Batch
from modelsgenesis.data.sampling.cubes import Cube
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.exact_layers import kept_exact
from modelsgenesis.nets.memory_layout import choose_layout, put_channels_last
from modelsgenesis.nets.norms import Norm
from modelsgenesis.training.checkpoint import load_state
from modelsgenesis.training.logger import RunLogger, read_log
from modelsgenesis.training.plan import Plan
from modelsgenesis.training.signals import SIGNALS

PLAN = Plan(steps=40, batch_size=4, lr=5e-3, warmup_steps=5, validate_every=20, val_cubes=8, precision="32-true")


class StopsAt(Genesis):
    """A learner that is signalled at one step, as a user or a cluster would."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        super().__init__(UNet3D(width=2))
        self.step, self.number = step, number
        self.seen = 0

    def after_step(self, progress: float) -> None:
        """Raise the signal once."""
        self.seen += 1
        if self.seen == self.step:
            os.kill(os.getpid(), self.number)


class Broken(Genesis):
    """A learner whose loss is no number from some step on."""

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Not a number in the second half."""
        parts = super().losses(batch, progress)
        return {**parts, "total": parts["total"] * float("nan")} if progress > 0.5 else parts


class Grey(Genesis):
    """A learner that predicts one grey value."""

    def predict(self, batch: Batch) -> torch.Tensor:
        """Half grey everywhere."""
        return super().predict(batch) * 0 + 0.5


class Unranked(Genesis):
    """A learner whose first validations give no number to rank networks by."""

    def __init__(self, num: int) -> None:
        super().__init__(UNet3D(width=2))
        self.left = num

    def selection_score(self, metrics: dict[str, float]) -> float:
        """Not a number at first."""
        self.left -= 1
        return super().selection_score(metrics) if self.left < 0 else math.nan


class Draws(Genesis):
    """A learner that remembers what random number each training step drew."""

    def __init__(self) -> None:
        super().__init__(UNet3D(width=2))
        self.drawn: list[float] = []

    def losses(self, batch: Batch, progress: float) -> Batch:
        """Draw where dropout would."""
        if self.training:
            self.drawn.append(float(torch.rand(())))
        return super().losses(batch, progress)


def test_network_learns_to_restore(tmp_path: Path) -> None:
    """Forty steps lower the held-out error, and the log and the best network say so."""
    training = make_training(tmp_path, PLAN)
    outcome = training.run()
    assert outcome.stopped is None
    assert outcome.state.history[-1] < outcome.state.history[0]
    rows = read_log(tmp_path / "log.csv")
    assert [row["step"] for row in rows] == ["10", "20", "30", "40"]
    assert float(rows[-1]["val_total"]) == pytest.approx(outcome.state.history[-1], rel=1e-4)
    assert rows[0]["val_total"] == ""
    assert torch.load(tmp_path / "best.pt")["step"] == 40


class Whole(NamedTuple):
    """What a run that was never stopped gives."""

    history: list[float]
    weights: torch.Tensor
    log: list[list[str]]


def tellings(folder: Path) -> list[list[str]]:
    """What a run's log says but for times."""
    same = ("step", "loss", "val_total", "lr", "grad_norm")
    return [[row[name] for name in same] for row in read_log(folder / "log.csv")]


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Precision], Whole]:
    """A run of a precision that is never stopped, made once."""

    @functools.cache
    def make(precision: Precision) -> Whole:
        folder = tmp_path_factory.mktemp("whole")
        whole = make_training(folder, dataclasses.replace(PLAN, precision=precision))
        whole.run()
        return Whole(list(whole.state.history), weights(whole), tellings(folder))

    return make


@pytest.mark.parametrize(
    ("number", "step", "precision"),
    [
        *((signal.SIGTERM, step, "32-true") for step in (1, 13, 20, 39)),
        (signal.SIGUSR1, 13, "32-true"),
        (signal.SIGINT, 13, "32-true"),
        (signal.SIGTERM, 13, "auto"),
    ],
)
def test_stopped_run_ends_with_the_same_weights(
    tmp_path: Path, number: signal.Signals, step: int, precision: Precision, whole_runs: Callable[[Precision], Whole]
) -> None:
    """A signal at any step saves; the run that goes on ends bit for bit as one that was never stopped."""
    plan = dataclasses.replace(PLAN, precision=precision)
    whole = whole_runs(precision)
    torch.manual_seed(0)
    outcome = make_training(tmp_path, plan, learner=StopsAt(step, number)).run()
    assert (outcome.stopped, outcome.state.step) == (number.name, step)
    with open(tmp_path / "log.csv", "a", encoding="utf-8") as file:
        file.write("3")  # a full disk takes part of a line, of step 39 it may be
    rest = make_training(tmp_path, plan)
    final = rest.run()
    assert final.state.history == whole.history
    assert torch.equal(weights(rest), whole.weights)
    assert tellings(tmp_path) == whole.log


def test_a_log_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A limit of the files' length stands for a full disk; TensorBoard's thread prints no traceback meanwhile."""
    before, hook = resource.getrlimit(resource.RLIMIT_FSIZE), threading.excepthook
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with (  # noqa: PT012
            pytest.raises(DataError, match="could not be written"),
            RunLogger(tmp_path, 1000, start=0, console=Console(quiet=True)) as logger,
        ):
            for step in range(1000):
                logger.write(step, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook


def test_a_run_off_the_main_thread_trains(tmp_path: Path) -> None:
    """Python lets the main thread alone handle signals; elsewhere a run trains without, and leaves handlers alone."""
    before = [signal.getsignal(number) for number in SIGNALS]
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(make_training(tmp_path, Plan(**{**vars(PLAN), "steps": 2})).run).result()
    assert (outcome.state.step, outcome.stopped) == (2, None)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_accumulated_passes_give_the_step_of_the_whole_batch(tmp_path: Path) -> None:
    """Two passes of two cubes are one of four where the norm does not mix cubes; tolerance 1e-5."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    few = Plan(**{**vars(PLAN), "steps": 3})
    one = make_training(tmp_path / "one", few, norm="group")
    two = make_training(tmp_path / "two", Plan(**{**vars(few), "accumulate": 2}), norm="group")
    one.run()
    two.run()
    assert torch.allclose(weights(one), weights(two), atol=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "auto"])
def test_workers_do_not_change_the_weights(tmp_path: Path, precision: Precision) -> None:
    """Cubes depend on seed and number alone, so loader processes only read ahead."""
    runs = []
    for workers in (0, 2):
        (tmp_path / str(workers)).mkdir()
        plan = dataclasses.replace(PLAN, steps=6, workers=workers, precision=precision)
        runs.append(make_training(tmp_path / str(workers), plan))
        runs[-1].run()
    assert torch.equal(weights(runs[0]), weights(runs[1]))


class Fails(Waves):
    """Samples whose first does what a worker process dies of, or raises."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self.fail = fail

    def sample(self, rng: np.random.Generator) -> Cube:
        """Fail in a worker."""
        if torch.utils.data.get_worker_info() is not None:
            self.fail()
        return super().sample(rng)


def kill_itself() -> None:
    """As the system does for want of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def exit_at_once() -> None:
    """As a library may."""
    os._exit(3)


def raise_of_damage() -> None:
    """As a store does."""
    raise DataError("scan1.b2nd: is damaged; delete it")


@pytest.mark.parametrize(
    ("fail", "kind", "said"),
    [
        (kill_itself, TrainingError, "^a worker process that loads samples was killed; is there enough memory"),
        (exit_at_once, TrainingError, "^a worker process that loads samples was killed; is there enough memory"),
        (raise_of_damage, DataError, r"^scan1\.b2nd: is damaged; delete it$"),
    ],
)
def test_failure_of_a_loader_is_one_line(
    fail: Callable[[], None], kind: type[Exception], said: str, tmp_path: Path
) -> None:
    """With the remedy, at once, and no worker is left."""
    plan = dataclasses.replace(PLAN, workers=2)
    with pytest.raises(kind, match=said) as caught:
        make_training(tmp_path, plan, waves=Fails(fail)).run()
    assert "\n" not in str(caught.value)
    del caught  # whose traceback holds the loader
    gc.collect()
    assert not multiprocessing.active_children()


def test_too_little_shared_memory_is_one_line_with_two_remedies(tmp_path: Path) -> None:
    """A limit on the size of files stands for a small /dev/shm: the worker can share nothing that is larger."""
    plan = dataclasses.replace(PLAN, workers=1)
    training = make_training(tmp_path, plan)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"^[^\n]*/dev/shm, which is full; .*--workers 0.*--shm-size=8g\)$"):
            training.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_to_all_processes_of_a_run_stops_it_and_leaves_none(tmp_path: Path, number: signal.Signals) -> None:
    """A cluster signals workers too; one that died of it would end the run with an error, and lose its last steps."""

    class SignalsAll(StopsAt):
        def after_step(self, progress: float) -> None:
            """Signal the workers first."""
            self.seen += 1
            if self.seen == self.step:
                for child in multiprocessing.active_children():
                    os.kill(child.pid or 0, self.number)
                time.sleep(0.2)
                os.kill(os.getpid(), self.number)

    training = make_training(tmp_path, dataclasses.replace(PLAN, workers=2), learner=SignalsAll(7, number))
    outcome = training.run()
    assert (outcome.stopped, outcome.state.step) == (number.name, 7)
    del training
    gc.collect()
    assert not multiprocessing.active_children()


def test_channels_last_changes_how_weights_lie_and_not_what_they_predict() -> None:
    """Every convolution lies channels last, and predictions and gradients are those of channels first."""
    torch.manual_seed(0)
    first, x = UNet3D(width=4, norm="instance").double(), torch.rand(2, 1, 16, 16, 16, dtype=torch.float64)
    last = copy.deepcopy(first)
    put_channels_last(last)
    wide = [parameter for parameter in last.parameters() if parameter.dim() == 5 and min(parameter.shape[:2]) > 1]
    assert wide
    assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in wide)
    predictions = [network(x) for network in (first, last)]
    torch.testing.assert_close(predictions[1], predictions[0])
    for prediction in predictions:
        prediction.square().mean().backward()
    for here, there in zip(first.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(there.grad, here.grad)


def test_networks_of_two_axes_lie_channels_first() -> None:
    """With channels last PyTorch's kernels for a CPU corrupt memory, in 32 bits."""
    flat = UNet3D(width=4, axes=2)
    choose_layout(flat, torch.device("cpu"))
    assert all(parameter.is_contiguous() for parameter in flat.parameters())


@pytest.mark.parametrize(("norm", "turned"), [("batch", True), ("instance", False)])
def test_layout_for_a_gpu_depends_on_the_norm_and_changes_no_prediction(norm: Norm, turned: bool) -> None:
    """With batch norm even images of one channel come channels last; the strides alone say so."""
    torch.manual_seed(0)
    first, x = UNet3D(width=4, norm=norm).double(), torch.rand(2, 1, 16, 16, 16, dtype=torch.float64)
    laid_out = copy.deepcopy(first)
    choose_layout(laid_out, torch.device("cuda"))
    strides: list[tuple[int, ...]] = []
    laid_out.down[0][0].register_forward_hook(lambda _, inputs, __: strides.append(inputs[0].stride()))  # type: ignore[index]
    torch.testing.assert_close(laid_out(x), first(x))
    assert [stride[1] == 1 for stride in strides] == [turned]


def test_time_of_a_step_holds_all_its_backward_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for cubes is a part of the time and so at most 1, also where gradients are accumulated."""
    ticks = itertools.count()
    clock = types.SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr("modelsgenesis.training.loop.time", clock)
    make_training(tmp_path, dataclasses.replace(PLAN, steps=10, accumulate=4)).run()
    (row,) = read_log(tmp_path / "log.csv")
    assert 0 < float(row["waiting"]) <= 1


def test_loss_that_is_no_number_stops_the_run_with_advice(tmp_path: Path) -> None:
    """The last good checkpoint stays, from before the loss broke."""
    with pytest.raises(TrainingError, match=r"the loss is nan at step 30: lower the learning rate"):
        make_training(tmp_path, PLAN, learner=Broken(UNet3D(width=2))).run()
    kept = load_state(tmp_path)
    assert kept is not None
    assert kept[0].step == 20


def test_advice_names_the_precision_and_promises_no_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    """Before the first validation nothing is kept; of a run in bf16, 32 bits are the first thing to try."""
    plan = dataclasses.replace(PLAN, precision="bf16-mixed", validate_every=40)
    with pytest.raises(TrainingError, match=r"--precision 32-true, now bf16-mixed.; no checkpoint was made yet"):
        make_training(tmp_path, plan, learner=Broken(UNet3D(width=2))).run()
    assert load_state(tmp_path) is None


def test_layers_that_compute_in_32_bits_are_named_once(tmp_path: Path) -> None:
    """Cubes of 16 are two voxels long at the bottom of the network, where bf16 would train on noise."""
    console = Console(file=io.StringIO(), width=200)
    plan = dataclasses.replace(PLAN, steps=4, precision="bf16-mixed")
    training = make_training(tmp_path, plan, console=console)
    training.run()
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("they compute in 32 bits") == 1
    assert all(name in said for name in kept_exact(training.learner))
    assert "bf16 gives wrong gradients on this processor in backbone.down.3.0, backbone.down.3.3; they" in said


def test_collapse_to_one_grey_value_stops_the_run_with_advice(tmp_path: Path) -> None:
    """Three validations in a row without contrast are a collapse."""
    plan = dataclasses.replace(PLAN, steps=200, validate_every=50)
    with pytest.raises(TrainingError, match=r"one grey value for 3 validations .step 150.: lower the learning rate"):
        make_training(tmp_path, plan, learner=Grey(UNet3D(width=2))).run()


def test_a_network_that_has_hardly_begun_has_not_collapsed(tmp_path: Path) -> None:
    """A short run is grey at first; it goes on to its end."""
    plan = dataclasses.replace(PLAN, validate_every=5)
    assert make_training(tmp_path, plan, learner=Grey(UNet3D(width=2))).run().state.step == 40


def test_collapse_is_counted_on_over_a_stop(tmp_path: Path) -> None:
    """Two validations before the stop and one after it are three in a row."""
    plan = dataclasses.replace(PLAN, steps=100, validate_every=50)
    make_training(tmp_path, plan, learner=Grey(UNet3D(width=2))).run()
    with pytest.raises(TrainingError, match=r"one grey value for 3 validations .step 150.: lower the learning rate"):
        make_training(tmp_path, dataclasses.replace(plan, steps=200), learner=Grey(UNet3D(width=2))).run()


def test_what_a_network_draws_is_another_at_every_step_and_the_same_after_a_stop(tmp_path: Path) -> None:
    """Dropout draws by seed and step: never twice the same, and those of a resumed run are the uninterrupted one's."""
    drawn = []
    for name, stops in (("whole", [6]), ("parts", [3, 6])):
        (tmp_path / name).mkdir()
        drawn.append([])
        for steps in stops:
            learner = Draws()
            make_training(tmp_path / name, Plan(**{**vars(PLAN), "steps": steps}), learner=learner).run()
            drawn[-1] += learner.drawn
    whole, parts = drawn
    assert len(set(whole)) == 6
    assert parts == whole


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    """With no learning the first validation stays the best, and the run ends after its patience."""
    plan = Plan(**{**vars(PLAN), "lr": 1e-12, "validate_every": 5, "patience": 1})
    outcome = make_training(tmp_path, plan, norm="group").run()
    assert outcome.stopped is None
    assert outcome.state.step == 10


def test_validation_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    """The first validation that gives a number is better, and its network is kept."""
    outcome = make_training(tmp_path, PLAN, learner=Unranked(1)).run()
    assert [math.isnan(loss) for loss in outcome.state.history] == [True, False]
    assert torch.load(tmp_path / "best.pt")["step"] == 40


def test_run_without_a_validation_that_is_a_number_fails_with_advice(tmp_path: Path) -> None:
    """No network is kept as the best, and going on from the folder says the same."""
    few = Plan(**{**vars(PLAN), "steps": 4, "validate_every": 2})
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"none of the 2 validations gave a number .step 4.: lower the learn"):
            make_training(tmp_path, few, learner=Unranked(2)).run()
    assert not (tmp_path / "best.pt").exists()


def test_full_disk_is_named_and_leaves_the_last_checkpoint_whole(tmp_path: Path) -> None:
    """A write beyond the allowed size fails as on a full disk; the older checkpoint still loads."""
    make_training(tmp_path, Plan(**{**vars(PLAN), "steps": 20})).run()
    before = (tmp_path / "resume.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    training = make_training(tmp_path, PLAN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"resume\.pt: could not be written"):
            training.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "resume.pt").read_bytes() == before
    kept = load_state(tmp_path)
    assert kept is not None
    assert kept[0].step == 20


def test_broken_checkpoint_is_named(tmp_path: Path) -> None:
    """A checkpoint cut off by hand says what to do."""
    make_training(tmp_path, Plan(**{**vars(PLAN), "steps": 2})).run()
    whole = (tmp_path / "resume.pt").read_bytes()
    for length in (0, 10, len(whole) // 2):
        (tmp_path / "resume.pt").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match="a broken checkpoint"):
            make_training(tmp_path, PLAN)
