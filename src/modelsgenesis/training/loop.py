"""The only optimiser step in the package, for every method that pre-trains or fine-tunes."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from modelsgenesis.core.device import peers_told
from modelsgenesis.core.errors import TrainingError, blamed_on
from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.words import many
from modelsgenesis.data.sampling.stream import loading_told
from modelsgenesis.nets.exact_layers import keep_exact, kept_exact
from modelsgenesis.nets.memory_layout import choose_layout
from modelsgenesis.training.checkpoint import BROKEN, State, load_state, save_state
from modelsgenesis.training.checkpoint import FILE as RESUME
from modelsgenesis.training.logger import RunLogger
from modelsgenesis.training.optimizers import SGD, AdamW
from modelsgenesis.training.plan import Plan
from modelsgenesis.training.schedule import learning_rate, since_best
from modelsgenesis.training.signals import StopRequest
from modelsgenesis.training.trackers import make_trackers

LOG_EVERY = 10  # steps between lines of the log, and between looks at whether the loss is still a number
COLLAPSED = 0.05  # of the spread of the target: below it the prediction is one grey value
COLLAPSED_FOR = 3  # validations in a row, after the warm-up
YOUNG = 100  # steps after which at the earliest a network that is still grey has collapsed

Batches = Iterator[Batch]


@dataclass(frozen=True)
class Materials:
    """The data and callbacks that a run works on, given by the stage that starts it.

    Attributes:
        training: (first sample, backward passes) -> this process's batches.
        validation: this process's share of the held-out batches, the same at every call, and none where there are
            fewer than processes; None holds nothing out, and the run goes to its last step.
        keep_best: writes the network, given the step and its validation metrics; called when they were the best so far.
        after_validation: draws pictures and the like, given the step.
        noun: what a sample is called: a cube, or a crop of a picture.
    """

    training: Callable[[int, int], Batches]
    validation: Callable[[], Batches] | None
    keep_best: Callable[[int, dict[str, float]], None]
    after_validation: Callable[[int], None]
    noun: str = "cube"


@dataclass(frozen=True)
class Outcome:
    """The end of a run: `stopped` names the signal, or is None when the run is done."""

    state: State
    stopped: str | None


class Training:
    """One run: made from its plan and its folder, it goes on where the folder left off.

    Args:
        learner: what is trained; its parameters move to the device.
        plan: how.
        materials: on what.
        into: the run's folder.
        fabric: where; launched.
        seed: of everything random that a network does in training.
        console: for messages to the user.
    Raises:
        TrainingError: the checkpoint is broken, or the batch does not divide by the processes.
    """

    def __init__(
        self,
        learner: Learner,
        plan: Plan,
        materials: Materials,
        into: Path,
        *,
        fabric: Processes,
        seed: int,
        console: Console,
    ) -> None:
        plan.share(fabric.world_size)
        self.learner, self.plan, self.materials, self.into = learner, plan, materials, into
        self.fabric, self.seed, self.console = fabric, seed, console
        optimizer = make_optimizer(learner, plan)
        resumed = load_state(into)
        self.state = resumed[0] if resumed else State()
        if resumed:
            with blamed_on(into / RESUME, TrainingError, BROKEN):
                learner.load_state_dict(resumed[1])
        choose_layout(learner, fabric.device)
        if fabric.device.type == "cpu":
            keep_exact(learner)
        module: nn.Module = torch.compile(learner) if plan.compile else learner  # type: ignore[assignment]
        self.model, self.optimizer = fabric.setup(module, optimizer)
        with blamed_on(into / RESUME, TrainingError, BROKEN):
            if resumed:
                self.optimizer.load_state_dict(resumed[2])
            self.window = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.state.window.items()}
        self.since = time.perf_counter()  # of which time the window does not know yet

    @loading_told()
    @peers_told()
    def run(self) -> Outcome:
        """Train until the plan is done, patience is over or a signal comes.

        Raises:
            TrainingError: the loss is no number any more, no validation gave one, or the predictions collapsed to one
                grey value.
            DataError: the disk is full or the folder cannot be written; the last good checkpoint is whole.
        """
        plan, state = self.plan, self.state
        validate_every = plan.validate_every or plan.steps
        passes = (plan.steps - state.step) * plan.accumulate
        batches = self.materials.training(state.step * plan.batch_size, passes)
        self.learner.train()
        self.since = time.perf_counter()
        begun = state.step
        with StopRequest() as stop, self._logger() as logger:
            while state.step < plan.steps and not self._out_of_patience():
                self._step(batches)
                if state.step == begun + 1:
                    self._tell_precision()
                due = state.step % validate_every == 0 or state.step == plan.steps
                stopped = self._agree(stop.signal is not None)
                logged = due or state.step % LOG_EVERY == 0
                if logged or stopped:
                    self._count_time()
                if logged:
                    metrics = self._take_window()
                    held_out = self._validate(self.materials.validation()) if due and self.materials.validation else {}
                    if logger:
                        logger.write(state.step, {**metrics, **{f"val_{name}": held_out[name] for name in held_out}})
                    if held_out:
                        self._judge(held_out)
                if due or stopped:
                    self._save()
                if logged:
                    self.since = time.perf_counter()
                if stopped:
                    return Outcome(state, stop.signal or "a signal to another process")
        self._check_ranked()
        return Outcome(state, None)

    def _step(self, batches: Batches) -> None:
        """Do one step of the optimiser."""
        plan, state = self.plan, self.state
        progress = state.step / plan.steps
        rate = learning_rate(plan, state.step, state.history)
        torch.manual_seed(hash((self.seed, state.step, self.fabric.global_rank)) % 2**63)
        for group in self.optimizer.param_groups:
            group["lr"] = group["scale"] * rate if progress >= group["after"] else 0.0
        for accumulated in range(1, plan.accumulate + 1):
            started = time.perf_counter()
            batch = self.learner.finish(self.fabric.to_device(next(batches)))
            self._note({"waiting": torch.tensor(time.perf_counter() - started)})
            with self.fabric.no_backward_sync(self.model, enabled=accumulated < plan.accumulate):
                parts = self.model(batch, progress)
                self.fabric.backward(parts["total"] / plan.accumulate)
            self._note({name: part.detach() / plan.accumulate for name, part in parts.items()})
        if plan.clip_norm is not None:
            norm = self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=plan.clip_norm, error_if_nonfinite=False
            )
            self._note({"grad_norm": norm} if norm is not None else {})
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.learner.after_step(progress)
        state.step += 1
        self._note({"steps": torch.tensor(1.0)})

    def _count_time(self) -> None:
        """Add the time since the last count to the window, when the device has done all that it was told."""
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize(self.fabric.device)
        self._note({"seconds": torch.tensor(time.perf_counter() - self.since)})

    def _note(self, metrics: dict[str, Tensor]) -> None:
        """Add metrics to the sums since the last line of the log; on the device, so that nothing waits for it."""
        for name, value in metrics.items():
            before = self.window.get(name)
            self.window[name] = value.double() if before is None else before.to(value.device) + value.double()

    def _take_window(self) -> dict[str, float]:
        """Return the means since the last line of the log, over all processes.

        Raises:
            TrainingError: one of them is no number.
        """
        names = sorted(self.window)
        sums = torch.stack([self.window[name].to(self.fabric.device) for name in names])
        means = dict(zip(names, self._mean(sums).tolist(), strict=True))
        self.window = {}
        steps, seconds, waiting = means.pop("steps"), means.pop("seconds"), means.pop("waiting")
        if not math.isfinite(means["total"]):
            raise TrainingError(
                f"the loss is {means['total']} at step {self.state.step}: {self._advice()}; {self._what_is_kept()}"
            )
        self.state.time_s += seconds
        metrics = {"loss": means.pop("total") / steps, **{name: value / steps for name, value in means.items()}}
        rate = learning_rate(self.plan, self.state.step - 1, self.state.history)
        speed = {"cubes_per_s": steps * self.plan.batch_size / seconds, "waiting": waiting / seconds}
        return {"time_s": self.state.time_s, **speed, "lr": rate, **metrics}

    @torch.no_grad()
    def _validate(self, batches: Batches) -> dict[str, float]:
        """Return the metrics over the held-out cubes of all processes."""
        self.learner.eval()
        sums: dict[str, Tensor] = {}
        for batch in batches:
            batch = self.learner.finish(self.fabric.to_device(batch))
            size = len(next(iter(batch.values())))
            with self.fabric.autocast():  # not by the wrapper, whose processes would wait for each other
                parts = self.learner.losses(batch, self.state.step / self.plan.steps)
            for name, part in {**parts, "cubes": torch.ones_like(parts["total"])}.items():
                sums[name] = sums.get(name, 0.0) + part.double() * size
        self.learner.train()
        names = self._names_of_all(sums)
        none = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        shares = torch.stack([sums.get(name, none) for name in names])
        means = dict(zip(names, self._mean(shares).tolist(), strict=True))
        cubes = means.pop("cubes")
        return self.learner.metrics({name: value / cubes for name, value in means.items()})

    def _judge(self, metrics: dict[str, float]) -> None:
        """Remember a validation, keep the network if it is the best, and stop a run that has collapsed.

        Raises:
            TrainingError: the predictions have been one grey value for several validations.
        """
        state = self.state
        state.history.append(self.learner.selection_score(metrics))
        state.collapsed = state.collapsed + 1 if metrics.get("std_ratio", 1.0) < COLLAPSED else 0
        if self.fabric.is_global_zero:
            if since_best(state.history) == 0:
                self.materials.keep_best(state.step, metrics)
            self.materials.after_validation(state.step)
        if state.collapsed >= COLLAPSED_FOR and state.step > max(self.plan.warmup_steps, YOUNG):
            raise TrainingError(
                f"the restorations have been one grey value for {state.collapsed} validations (step {state.step}): "
                "lower the learning rate (--lr), lengthen the warm-up, or use AdamW; start in a new folder"
            )

    def _check_ranked(self) -> None:
        """Refuse to end a run that never had a best network.

        Raises:
            TrainingError: every validation was NaN.
        """
        num = len(self.state.history)
        if num and since_best(self.state.history) == num:
            raise TrainingError(
                f"none of the {many(num, 'validation')} gave a number (step {self.state.step}): {self._advice()}; "
                "start in a "
                "new folder"
            )

    def _advice(self) -> str:
        """What helps where numbers are none any more."""
        precision = str(self.fabric.strategy.precision.precision)
        exact = "" if precision == "32-true" else f", or compute in 32 bits (--precision 32-true, now {precision})"
        return f"lower the learning rate (--lr), lengthen the warm-up, clip the gradient (--clip-norm){exact}"

    def _what_is_kept(self) -> str:
        """Whether there is a checkpoint from before the loss broke."""
        return "the last good checkpoint is kept" if (self.into / RESUME).is_file() else "no checkpoint was made yet"

    def _tell_precision(self) -> None:
        """Name the layers that were found to be wrong in bf16, once they have all computed."""
        if (names := kept_exact(self.learner)) and self.fabric.is_global_zero:
            self.console.print(
                f"bf16 gives wrong gradients on this processor in {', '.join(names)}; they compute in 32 bits",
                highlight=False, soft_wrap=True,
            )  # fmt: skip

    def _save(self) -> None:
        """Write the checkpoint; every process waits for it."""
        if not all(math.isfinite(float(value)) for value in self.window.values()):
            raise TrainingError(
                f"the loss is no number at step {self.state.step}: {self._advice()}; {self._what_is_kept()}"
            )
        self.state.window = {name: float(value) for name, value in self.window.items()}
        if self.fabric.is_global_zero:
            save_state(self.into, self.state, self.learner.state_dict(), self.optimizer.state_dict())
        self.fabric.barrier()

    def _agree(self, stopped: bool) -> bool:
        """Return whether any process has received a request to stop."""
        if self.fabric.world_size == 1:
            return stopped
        return bool(self._mean(torch.tensor(float(stopped), device=self.fabric.device)) > 0)

    def _names_of_all(self, names: Iterable[str]) -> list[str]:
        """The names that some process has, in one order; a process without a held-out cube has none of its own."""
        if self.fabric.world_size == 1:
            return sorted(names)
        everyones: list[list[str]] = [[] for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather_object(everyones, list(names))
        return sorted({name for own in everyones for name in own})

    def _mean(self, values: Tensor) -> Tensor:
        reduced = self.fabric.all_reduce(values, reduce_op="mean")
        if not isinstance(reduced, Tensor):
            raise TypeError(f"all_reduce of a tensor gave {type(reduced).__name__}")
        return reduced

    def _out_of_patience(self) -> bool:
        return self.plan.patience is not None and since_best(self.state.history) >= self.plan.patience

    def _logger(self) -> "contextlib.AbstractContextManager[RunLogger | None]":
        if not self.fabric.is_global_zero:
            return contextlib.nullcontext()
        return RunLogger(
            self.into,
            self.plan.steps,
            start=self.state.step,
            console=self.console,
            noun=self.materials.noun,
            trackers=make_trackers(self.plan.log, self.into),
        )


def make_optimizer(learner: Learner, plan: Plan) -> torch.optim.Optimizer:
    """AdamW or SGD over the learner's groups; norms and biases, which have one axis, get no weight decay."""
    groups = []
    for group in learner.groups():
        trained = [parameter for parameter in group.parameters if parameter.requires_grad]
        pace = {"scale": group.scale, "after": group.after}
        groups += [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": plan.weight_decay, **pace},
            {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0, **pace},
        ]
    groups = [group for group in groups if group["params"]]
    if plan.optimizer == "adamw":
        return AdamW(groups, lr=plan.lr, fused=True)
    return SGD(groups, lr=plan.lr, momentum=plan.momentum, fused=True)
