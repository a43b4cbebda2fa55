"""What every learner obeys."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.stream import as_tensor, collate
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.nets import UNet3D

ARMS = ("all", "none", "non_linear", "local_shuffling", "out_painting", "in_painting")
LEARNERS: dict[str, Callable[[], Learner]] = {
    **{f"genesis-{arm}": lambda arm=arm: Genesis(UNet3D(width=2), arm=arm) for arm in ARMS},  # type: ignore[misc]
    "genesis-faithful": lambda: Genesis(UNet3D(width=2), faithful=True),
    "genesis-2d": lambda: Genesis(UNet3D(width=2, axes=2)),
}


@pytest.fixture(params=LEARNERS)
def learner(request: pytest.FixtureRequest) -> Learner:
    """One of the learners, with the same weights each time."""
    torch.manual_seed(0)
    return LEARNERS[request.param]()


def sample(learner: Learner, index: int) -> dict[str, np.ndarray]:
    """A smooth random image."""
    size = (16,) * learner.backbone.axes
    ramp = np.linspace(0, 1, 16, dtype=np.float32)
    image = np.broadcast_to(ramp, size)[None] * generator_for(0, index, "ramp").random(dtype=np.float32)
    return {"image": np.ascontiguousarray(image)}


def batch(learner: Learner, num: int = 4, *, finished: bool = False) -> Batch:
    """Views of a few images, made whole by a worker, or drawn there and finished where the batch is."""
    make = learner.draws if finished else learner.views
    made = [make(sample(learner, index), generator_for(1, index)) for index in range(num)]
    views = [{name: as_tensor(v) if isinstance(v, np.ndarray) else v for name, v in view.items()} for view in made]
    return learner.finish(collate(views))


def test_finishing_draws_gives_the_views(learner: Learner) -> None:
    """What is drawn by a worker and done on the device is what the worker alone would have made, to 1e-6."""
    whole, finished = batch(learner), batch(learner, finished=True)
    assert whole.keys() == finished.keys()
    for name, view in whole.items():
        torch.testing.assert_close(finished[name], view, rtol=0, atol=1e-6)


def test_views_depend_on_the_generator_alone(learner: Learner) -> None:
    """Same sample, same generator, same views; the sample stays untouched."""
    image = sample(learner, 0)
    before = image["image"].copy()
    one, two = (learner.views(image, generator_for(5, 7)) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert np.array_equal(image["image"], before)


def test_losses_are_finite_and_fall(learner: Learner) -> None:
    """Forty steps on one batch lower the total by a quarter; every part is a finite scalar."""
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.01)
    views = batch(learner)
    totals = []
    for step in range(40):
        parts = learner(views, step / 40)
        assert all(part.dim() == 0 and torch.isfinite(part) for part in parts.values())
        parts["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        totals.append(parts["total"].item())
    assert totals[-1] < 0.75 * totals[0]


def test_restorations_have_the_shape_of_the_original(learner: Learner) -> None:
    """(B, C, *space)."""
    views = batch(learner, 2)
    assert learner.answer(views).shape == views["original"].shape
