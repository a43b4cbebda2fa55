"""A process alone computes what Fabric computes, and optimisers without the compiler what torch's compute."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from tests.training.materials import make_training, weights
from torch import nn
from torch.nn.utils import parameters_to_vector

from modelsgenesis.core.device import Precision, make_fabric
from modelsgenesis.core.single_process import Alone
from modelsgenesis.training import optimizers
from modelsgenesis.training.logger import read_log
from modelsgenesis.training.plan import Optimizer, Plan

CLOCK = {"time_s", "cubes_per_s", "waiting"}


def figures(folder: Path) -> list[dict[str, str]]:
    """A log without what the clock says."""
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in read_log(folder / "log.csv")]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_run_alone_is_fabrics_bit_for_bit(
    tmp_path: Path, optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, validations, gradients' norms and weights, with accumulated passes and a clipped gradient."""
    plan = Plan(steps=6, batch_size=4, accumulate=2, optimizer=optimizer, validate_every=3, precision="32-true")
    alone = make_training(tmp_path / "alone", plan)
    assert isinstance(alone.fabric, Alone)
    fabric: Any = Fabric(accelerator="cpu", devices=1, precision="32-true")
    monkeypatch.setattr("tests.training.materials.make_fabric", lambda *_, **__: fabric)
    other = make_training(tmp_path / "fabric", plan)
    for training in (alone, other):
        training.into.mkdir()
        training.run()
    assert torch.equal(weights(alone), weights(other))
    assert figures(tmp_path / "alone") == figures(tmp_path / "fabric")


class Mixing(nn.Module):
    """Layers whose bf16 is the same every time, which a CPU's convolutions of few channels are not."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, batch: dict[str, torch.Tensor], progress: float) -> dict[str, torch.Tensor]:
        """An error, and in which precision its parts were computed."""
        prediction = self.layers(batch["seen"])
        error = (prediction - batch["seen"]).square().mean() * (1 + progress)
        return {
            "total": error,
            "bits": torch.tensor(prediction.element_size()),
            "asked": torch.tensor(batch["seen"].itemsize),
        }


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precision_is_fabrics_bit_for_bit(precision: Precision) -> None:
    """Inputs, layers and losses are of the same kinds, and steps with a clipped gradient of the same numbers."""
    fabric: Any = Fabric(accelerator="cpu", devices=1, precision=precision)
    found = []
    for processes in (Alone(torch.device("cpu"), precision), fabric):
        torch.manual_seed(0)
        network = Mixing()
        model, optimizer = processes.setup(network, torch.optim.SGD(network.parameters(), lr=0.1, fused=True))
        for step in range(4):
            parts = model(processes.to_device({"seen": torch.rand(4, 8)}), step / 4)
            processes.backward(parts["total"])
            norm = processes.clip_gradients(model, optimizer, max_norm=0.1, error_if_nonfinite=False)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            found.append((parts["total"].item(), int(parts["bits"]), int(parts["asked"]), norm.item()))
        found.append(parameters_to_vector(network.parameters()).tolist())
        assert parts["total"].dtype == torch.float32
    assert found[:5] == found[5:]
    assert found[0][1:3] == ((4, 4) if precision == "32-true" else (2, 2))


def test_many_processes_are_fabrics() -> None:
    """Whoever asks for two gets Fabric, which starts them."""
    assert isinstance(make_fabric("32-true", accelerator="cpu", devices=2), Fabric)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_optimisers_are_torchs_bit_for_bit(name: str) -> None:
    """The same weights after five steps, from one state to the other and back."""
    networks = [nn.Linear(5, 3) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    makers = [getattr(optimizers, name), getattr(torch.optim, name)]
    ours, theirs = (
        maker(network.parameters(), lr=0.1, weight_decay=0.01, fused=True, **momentum)
        for maker, network in zip(makers, networks, strict=True)
    )
    for step in range(5):
        x = torch.full((2, 5), float(step))
        for network, optimizer in zip(networks, (ours, theirs), strict=True):
            network(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        if step == 2:  # as a run that was stopped
            ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
            theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True))


def test_step_needs_no_gradient_of_its_own() -> None:
    """It changes weights that require one, and is recorded by nobody."""
    network = nn.Linear(2, 1)
    optimizer = optimizers.AdamW(network.parameters(), fused=True)
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(network.weight, before)
    assert network.weight.grad_fn is None
