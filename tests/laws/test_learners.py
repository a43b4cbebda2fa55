"""What every learner obeys."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from modelsgenesis.core.learner import Batch, Learner
from modelsgenesis.core.naming import find_class, members
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.stream import as_tensor, collate
from modelsgenesis.methods.genesis import Genesis
from modelsgenesis.methods.peac import PEAC
from modelsgenesis.methods.popar import POPAR
from modelsgenesis.nets import UNet3D

ARMS = ("none", "non_linear", "local_shuffling", "out_painting", "in_painting", "without_non_linear")

OF_SETS = {"heads": {"one": 3, "other.set": 2}, "exclusive": ["other.set"], "projector": 16}
SIDES = {"popar": 16, "peac": 24}  # of images of methods that have to know them
OF_CELLS: dict[str, dict[str, int]] = {
    "popar": {"cell": 8},
    "peac": {"cell": 8, "spare": 1, "expander": 8, "local_expander": 8},
}


def make(method: str, axes: int = 3, channels: int = 1, **settings: object) -> Callable[[], Learner]:
    """How to make a learner of a small network."""

    def made() -> Learner:
        network = UNet3D(in_channels=channels, out_channels=channels, width=2, axes=axes)
        own: dict[str, object] = {"size": (SIDES[method],) * axes, **OF_CELLS[method]} if method in OF_CELLS else {}
        if method == "ark":
            own = {"size": (16,) * axes, **OF_SETS}
        learner: Learner = find_class("methods", method, Learner)(network, **own, **settings)
        return learner

    return made


LEARNERS: dict[str, Callable[[], Learner]] = {
    **{method: make(method) for method in members("methods")},
    **{f"{method}-2d-2-channels": make(method, 2, 2) for method in members("methods")},
    **{f"genesis-{arm}": make("genesis", arm=arm) for arm in ARMS},
    "genesis-faithful": make("genesis", match_official=True),
    "genesis-drop-skips": make("genesis", drop_skips=0.5),
    "mae-everywhere": make("mae", hidden_only=False),
}
RESTORING = [name for name, make_it in LEARNERS.items() if make_it().restores]
CLASSIFYING = [name for name, make_it in LEARNERS.items() if name not in RESTORING and not make_it().labelled]


@pytest.fixture(params=LEARNERS)
def learner(request: pytest.FixtureRequest) -> Learner:
    """One of the learners, with the same weights each time."""
    return fresh(request.param)


def fresh(name: str) -> Learner:
    """A learner by its name above, with the same weights each time."""
    torch.manual_seed(0)
    return LEARNERS[name]()


def sample(learner: Learner, index: int) -> dict[str, np.ndarray]:
    """A smooth random image, not the same from any two sides."""
    size = (
        (24 if isinstance(learner, PEAC) else 16,) * learner.backbone.axes
        if learner.restores
        else (32, 32, 16)[: learner.backbone.axes]
    )
    rng = generator_for(0, index, "ramp")
    ramps = np.meshgrid(*(np.linspace(0, 1, side, dtype=np.float32) for side in size), indexing="ij")
    image = sum(weight * ramp for weight, ramp in zip((0.55, 0.3, 0.15), ramps, strict=False))
    scales = 0.5 + 0.5 * rng.random((learner.backbone.in_channels, *(1,) * len(size)), dtype=np.float32)
    made = {"image": np.ascontiguousarray(image * scales, dtype=np.float32)}
    if not learner.labelled:
        return made
    values = [index // 2 % 2, 0, 0] if index % 2 else [1, index // 2 % 2, 0]
    return {**made, "values": np.array(values, np.float32), "set": np.array(index % 2, np.int64)}


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
    """Same sample, same generator, same views; another generator, others; the sample stays untouched."""
    image = sample(learner, 0)
    before = image["image"].copy()
    one, two, *others = (learner.views(image, generator_for(5, index)) for index in (7, 7, *range(10)))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one for other in others)
    assert np.array_equal(image["image"], before)


def test_losses_are_finite_and_fall(learner: Learner) -> None:
    """Forty steps on one batch lower the total by a quarter; every part is a finite scalar."""
    optimizer = torch.optim.AdamW((p for p in learner.parameters() if p.requires_grad), lr=0.01)
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


def test_every_trained_parameter_gets_a_gradient(learner: Learner) -> None:
    """None is left out, which several processes could not bear; what is not trained is no part of the loss."""
    learner(batch(learner), 0.0)["total"].backward()
    for name, parameter in learner.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_predictions_are_one_an_image(learner: Learner) -> None:
    """(B, ...), finite."""
    prediction = learner.predict(batch(learner, 3))
    assert len(prediction) == 3
    assert torch.isfinite(prediction).all()


@pytest.mark.parametrize("name", RESTORING)
def test_restorations_have_the_shape_of_the_original(name: str) -> None:
    """(B, C, *space), of a deformed image of that shape; the whole network is trained, or by cells the encoder."""
    learner = fresh(name)
    views = batch(learner, 2)
    assert learner.predict(views).shape == views["original"].shape == views["deformed"].shape
    learning = [part for part, module in learner.backbone.parts() if all(p.requires_grad for p in module.parameters())]
    assert set(learning) == ({"encoder"} if isinstance(learner, POPAR) else {"encoder", "decoder", "head"})


@pytest.mark.parametrize("name", CLASSIFYING)
def test_classifying_tasks_train_the_encoder_alone_and_name_their_chance(name: str) -> None:
    """The decoder rests; predictions are probabilities of as many classes as chance says."""
    learner = fresh(name)
    for part, module in learner.backbone.parts():
        assert all(parameter.requires_grad == (part == "encoder") for parameter in module.parameters())
    views = batch(learner, 3)
    parts, prediction = learner(views, 0.0), learner.predict(views)
    assert parts["chance"].item() == pytest.approx(1 / prediction.shape[1])
    torch.testing.assert_close(prediction.sum(dim=1), torch.ones(3))
    assert 0 <= parts["accuracy"].item() <= 1


def test_every_method_is_under_the_laws() -> None:
    """By being there; a file that holds no learner would be refused by its name."""
    assert {type(make_it()).__module__.rpartition(".")[2] for make_it in LEARNERS.values()} == set(members("methods"))
    assert isinstance(LEARNERS["genesis"](), Genesis)


@pytest.mark.parametrize("method", members("methods"))
def test_every_method_says_what_it_teaches_and_whose_it_is(method: str) -> None:
    """In the words and the citation of a model card; ours are cited in every card."""
    learner = LEARNERS[method]()
    assert learner.aim
    assert not learner.aim.startswith("to ")
    assert learner.paper or isinstance(learner, Genesis)
