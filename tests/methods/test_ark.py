"""Ark: the order of passes, the schedule of the consistency, the teacher, the losses of labels, and the views."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from modelsgenesis.core.errors import DataError, GenesisError, ShapeError, WeightsError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cycle import Cycle, pass_of
from modelsgenesis.methods.ark import Ark
from modelsgenesis.methods.base.labelled_views import photometric, random_crop, resampled, whole_view
from modelsgenesis.methods.base.teacher import Teacher
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.named_heads import NamedHeads
from modelsgenesis.nets.swin import Swin

CYCLE = Cycle((5, 3), batch_size=2)  # passes of three steps and of two


def tiny(**settings: object) -> Ark:
    """An Ark of a small U-Net with the two heads of CYCLE, four rounds of five steps long."""
    torch.manual_seed(0)
    usual = {"heads": {"a": 3, "b": 2}, "exclusive": ["a"], "size": (16, 16), "passes": CYCLE.steps, "steps": 20}
    network = UNet3D(width=2, axes=2, norm="instance")
    return Ark(network, **{**usual, "projector": 8, **settings})  # type: ignore[arg-type]


def batch(learner: Ark, number: int) -> dict[str, torch.Tensor]:
    """Four images of one set."""
    values = torch.tensor([[0.0, math.nan], [2.0, math.nan], [1.0, math.nan], [1.0, math.nan]])
    if number:
        values = torch.tensor([[0.0, 1.0], [1.0, math.nan], [0.7, 0.0], [math.nan, math.nan]])
    generator = torch.Generator().manual_seed(number)
    images = torch.rand(2, 4, 1, *learner.size, generator=generator)
    return {"image": images[0], "teacher": images[1], "values": values, "set": torch.full((4,), number)}


def test_each_round_is_one_shuffled_pass_over_each_set_in_order() -> None:
    """Every case is seen in each pass, in an order of its own; the last step of a pass is filled from its beginning."""
    assert CYCLE.steps == (3, 2)
    passes = [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0), (3, 1)]
    assert [pass_of(step, CYCLE.steps) for step in (0, 2, 3, 4, 5, 9)] == passes
    rounds = [[CYCLE.case(index, seed=4) for index in range(10 * turn, 10 * turn + 10)] for turn in range(3)]
    for one in rounds:
        assert [number for number, _ in one] == [0] * 6 + [1] * 4
        assert [{case for number, case in one if number == which} for which in (0, 1)] == [set(range(5)), set(range(3))]
        assert one[5] == one[0]
        assert one[9] == one[6]
    assert len({tuple(one) for one in rounds}) == 3
    assert [CYCLE.case(index, seed=5) for index in range(10)] != rounds[0]
    with pytest.raises(DataError, match="every set needs a case"):
        Cycle((5, 0), 2)


def test_the_coefficient_rises_from_0_to_a_half_and_is_constant_within_a_pass() -> None:
    """Section 5.1: c(t) = (1 - cos(pi t / T)) / 4 of pass t of T; 0 in the first pass, near a half in the last."""
    learner = tiny()
    found = [learner.coefficient(step / 20) for step in range(20)]
    numbers = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7]
    assert found == pytest.approx([0.25 * (1 - math.cos(math.pi * t / 8)) for t in numbers])
    assert found[0] == 0
    long = tiny(steps=5000)
    assert 0.4999 < long.coefficient(4999 / 5000) <= 0.5
    assert long.coefficient(1.0) == long.coefficient(4999 / 5000)
    assert tiny(consistency=1.0).coefficient(19 / 20) == pytest.approx(2 * found[-1])


@pytest.mark.parametrize("follows", ["pass", "step"])
def test_the_teacher_follows_after_passes_or_after_steps(follows: str) -> None:
    """By m = 1 - 0.05 (1 + cos(pi t / T)), from 0.9 to 1, of everything that learns; nothing else moves it."""
    learner = tiny(follows=follows)
    own, theirs = (network.project[0].get_parameter("weight") for network in (learner.student, learner.network))
    expected, moved = theirs.detach().clone(), []
    for step in range(20):
        with torch.no_grad():
            own.add_(0.1)
        before = theirs.clone()
        learner.after_step(step / 20)
        moved.append(not torch.equal(before, theirs))
        if moved[-1]:
            t = step / 20 if follows == "step" else pass_of(step, CYCLE.steps)[0] / 8
            m = 1 - 0.05 * (1 + math.cos(math.pi * t))
            expected = m * expected + (1 - m) * own.detach()
    torch.testing.assert_close(theirs.detach(), expected)
    assert [step for step in range(20) if moved[step]] == (
        list(range(20)) if follows == "step" else [2, 4, 7, 9, 12, 14, 17, 19]
    )


@pytest.mark.parametrize(("momentum", "same_as"), [(0.0, "student"), (1.0, "itself")])
def test_momentum_0_copies_and_1_freezes(momentum: float, same_as: str) -> None:
    """Section 8, item 5, in the first pass."""
    learner = tiny(momentum=momentum, follows="step")
    before = learner.network.project[0].get_parameter("weight").clone()
    with torch.no_grad():
        learner.student.project[0].get_parameter("weight").mul_(2)
    learner.after_step(0.0)
    wanted = 2 * before if same_as == "student" else before
    torch.testing.assert_close(learner.network.project[0].get_parameter("weight"), wanted)


def test_the_loss_is_that_of_the_labels_and_of_the_distance_to_the_teacher() -> None:
    """(1 - c) L + c MSE; softmax for classes; sigmoid for labels, of which unknown ones add nothing."""
    learner = tiny()
    for number, name in enumerate(("a", "b")):
        views = batch(learner, number)
        parts = learner(views, 12 / 20)
        embedded = learner.student.embed(views["image"])
        logits, c = learner.student.logits(embedded)[name], learner.coefficient(12 / 20)
        if number:
            p = logits.sigmoid().log(), (1 - logits.sigmoid()).log()
            lost = -(views["values"] * p[0] + (1 - views["values"]) * p[1])
            labels = (lost[0].mean() + lost[1, 0] + lost[2].mean()) / 4
        else:
            labels = functional.cross_entropy(logits, views["values"][:, 0].long())
        apart = (embedded - learner.network.embed(views["teacher"])).square().mean()
        torch.testing.assert_close(parts["labels"], labels)
        torch.testing.assert_close(parts["total"], (1 - c) * labels + c * apart)
    parts["total"].backward()
    assert all(parameter.grad is None for parameter in learner.teacher.parameters())


def test_classes_are_learned_by_sigmoids_as_the_first_release_does() -> None:
    """An argument: binary cross-entropy of one-hot classes, the mean over classes and images."""
    learner = tiny(sigmoid_for_all=True)
    views = batch(learner, 0)
    logits = learner.student(views["image"])["a"]
    one_hot = functional.one_hot(views["values"][:, 0].long(), 3).float()
    expected = functional.binary_cross_entropy_with_logits(logits, one_hot)
    torch.testing.assert_close(learner(views, 0.0)["labels"], expected)


def test_the_teacher_begins_as_the_student_or_as_released() -> None:
    """A copy; or, as an argument, with a projector and heads of its own on the same encoder, also after a start."""
    same, apart = tiny(), tiny(copy_student=False)
    assert torch.equal(same.network.outputs[0].get_parameter("weight"), same.student.outputs[0].get_parameter("weight"))
    for learner in (same, apart):
        with torch.no_grad():
            for parameter in learner.student.parameters():
                parameter.add_(1)
        learner.begin_again()
        pairs = [(m.outputs[0].get_parameter("weight"), next(m.backbone.parameters())) for m in
                 (learner.student, learner.network)]  # fmt: skip
        assert torch.equal(pairs[0][1], pairs[1][1])
        assert torch.equal(pairs[0][0], pairs[1][0]) == (learner is same)


def test_a_teacher_drops_no_path_and_its_norms_follow() -> None:
    """In training, blocks of a student are left out by chance; its teacher computes the same each time."""
    torch.manual_seed(0)
    swin = Swin(embed=8, depths=(2, 2), heads=(1, 2), window=2, width=8, drop_path=0.9)
    teacher, image = Teacher(swin, 0.9).train(), torch.rand(4, 1, 32, 32)
    assert torch.equal(teacher.network.encode(image)[-1], teacher.network.encode(image)[-1])  # type: ignore[operator]
    swin.train()
    assert not torch.equal(swin.encode(image)[-1], swin.encode(image)[-1])
    normed = Teacher(UNet3D(width=2, axes=2, norm="batch"), 0.9).train()
    before = [buffer.clone() for buffer in normed.buffers()]
    normed.network(image)
    assert any(not torch.equal(one, two) for one, two in zip(before, normed.buffers(), strict=True))


def ramp(size: tuple[int, ...]) -> np.ndarray:
    """Each voxel's own place along each axis, from -1 to 1: (axes, *size)."""
    places = [(np.arange(side) + 0.5) / side * 2 - 1 for side in size]
    return np.stack(np.meshgrid(*places, indexing="ij")).astype(np.float32)


@pytest.mark.parametrize("size", [(40, 24), (24, 20, 16)])
def test_a_view_shows_the_places_that_were_drawn(size: tuple[int, ...]) -> None:
    """The image of places, resampled at a drawn place, is that affine map of the view's own places, in 2D as in 3D."""
    axes, view, inside = len(size), (16,) * len(size), 0
    for index in range(40):
        place = random_crop(size, generator_for(0, index))
        expected = np.tensordot(place[:, :axes], ramp(view), 1) + place[:, axes].reshape(-1, *(1,) * axes)
        shown = resampled(ramp(size), place, view)
        within = (np.abs(expected) < 1 - 1 / min(size)).all(axis=0)
        np.testing.assert_allclose(shown[:, within], expected[:, within], atol=1e-4)
        inside += within.mean()
        sides = np.linalg.det(place[:, :axes])
        assert 0.08 * 0.7 < sides < 1.4  # the scale changes the area drawn
    assert inside > 30


def test_the_whole_view_keeps_proportions_and_adds_nothing() -> None:
    """A picture twice as long as wide lies in the middle, half of the view, with 0 beside it."""
    image = np.full((1, 40, 20), 0.6, np.float32)
    view = whole_view(image, (32, 32))
    assert view.shape == (1, 32, 32)
    np.testing.assert_allclose(view[0, :, 9:23], 0.6, atol=1e-6)
    assert view[0, :, :7].max() == view[0, :, 25:].max() == 0
    same = np.random.default_rng(0).random((1, 32, 32), dtype=np.float32)
    assert np.array_equal(whole_view(same, (32, 32)), same)


def test_the_teachers_view_is_the_whole_image_or_the_students_crop() -> None:
    """Of the same geometry it differs from the student's by brightness alone, and by voxels taken, not made."""
    image = np.random.default_rng(0).random((1, 40, 36), dtype=np.float32)
    sample = {"image": image, "values": np.zeros(2, np.float32), "set": np.array(0)}
    whole, crop = tiny(p_photometric=0.0), tiny(p_photometric=0.0, teacher_view="same_geometry")
    seen = whole.views(sample, generator_for(0, 1))
    assert np.array_equal(seen["teacher"], whole_view(image, (16, 16)))
    cropped = crop.views(sample, generator_for(0, 1))
    assert np.array_equal(cropped["image"], seen["image"])
    assert np.isin(cropped["teacher"], image).all()
    lit = [photometric(image, generator_for(0, index)) for index in range(20)]
    assert all(one.min() >= 0 and one.max() <= 1 and not np.array_equal(one, image) for one in lit)


def test_bad_settings_and_heads_are_refused() -> None:
    """Sets without passes, shares outside [0, 1], no heads, a head that is not there, another projector."""
    with pytest.raises(GenesisError, match="2 sets need as many passes"):
        tiny(passes=(3,))
    with pytest.raises(GenesisError, match="shares are in"):
        tiny(consistency=1.5)
    with pytest.raises(ShapeError, match="one head at least"):
        tiny(heads={}, passes=())
    with pytest.raises(WeightsError, match="no head 'c'; the heads are a, b"):
        tiny().student.classifier("c")
    other = NamedHeads(UNet3D(width=2, axes=2), {"a": 3}, projector=4)
    with pytest.raises(WeightsError, match="make them alike"):
        tiny().student.go_on_from(other, {"a": ["x", "y", "z"], "b": ["x", "y"]}, {})
