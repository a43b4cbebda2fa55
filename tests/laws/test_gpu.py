"""What must hold on a GPU: the CPU's deformations, and a step of training that is a number."""

from pathlib import Path

import numpy as np
import pytest
import torch

from modelsgenesis.core.device import make_fabric
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Arm, Flip, apply_batch, genesis
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D
from modelsgenesis.training.loop import make_optimizer
from modelsgenesis.training.plan import Plan
from modelsgenesis.weights.files import load_network, save_network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
SHAPE = (1, 24, 24, 16)


def on_both(law: Flip | object, num: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """The same draws applied one by one on the CPU, and as a batch on the GPU."""
    images = torch.from_numpy(np.random.default_rng(0).random((num, *SHAPE), np.float32))
    draws = [law.draw(SHAPE, generator_for(0, index)) for index in range(num)]  # type: ignore[attr-defined]
    alone = [law.apply(image, drawn) for image, drawn in zip(images, draws, strict=True)]  # type: ignore[attr-defined]
    return torch.stack(alone), apply_batch(law, images.cuda(), draws).cpu()  # type: ignore[arg-type]


@pytest.mark.parametrize("arm", ["local_shuffling", "out_painting", "in_painting"])
def test_shuffles_and_masks_are_the_cpus_bit_for_bit(arm: Arm) -> None:
    """Positions and noise are integers until the last."""
    alone, there = on_both(genesis(arm=arm))
    assert torch.equal(there, alone)


def test_flips_are_the_cpus_bit_for_bit() -> None:
    """Nothing is computed."""
    alone, there = on_both(Flip(p=0.9))
    assert torch.equal(there, alone)


@pytest.mark.parametrize("arm", ["all", "non_linear"])
def test_map_is_the_cpus_to_a_millionth(arm: Arm) -> None:
    """Of the range, [0, 1]."""
    alone, there = on_both(genesis(arm=arm))
    torch.testing.assert_close(there, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_step_of_training_is_finite_and_changes_the_weights(precision: str, tmp_path: Path) -> None:
    """Loss, gradient and weights; and the network, saved there, predicts on the CPU."""
    torch.manual_seed(0)
    learner = Genesis(UNet3D(width=4))
    before = [parameter.detach().clone() for parameter in learner.parameters()]
    fabric = make_fabric(precision, accelerator="gpu")  # type: ignore[arg-type]
    model, optimizer = fabric.setup(learner, make_optimizer(learner, Plan(steps=1)))
    cubes = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    drawn = [learner.draws({"image": cube}, generator_for(0, k)) for k, cube in enumerate(cubes)]
    batch = {"original": torch.stack([torch.from_numpy(np.ascontiguousarray(one["original"])) for one in drawn])}
    batch = fabric.to_device(batch)
    batch["deformed"] = apply_batch(learner.deformation, batch["original"], [one["drawn"].draws[0] for one in drawn])
    loss = model(batch, 0.0)["total"]
    fabric.backward(loss)
    norm = fabric.clip_gradients(model, optimizer, max_norm=1.0)
    optimizer.step()
    assert torch.isfinite(loss)
    assert norm is not None
    assert torch.isfinite(norm)
    assert any(not torch.equal(a, b.detach().cpu()) for a, b in zip(before, learner.parameters(), strict=True))
    save_network(tmp_path / "model.safetensors", learner.backbone, {})
    assert torch.isfinite(load_network(tmp_path / "model.safetensors")(torch.rand(1, *SHAPE[:1], 24, 16, 16))).all()
