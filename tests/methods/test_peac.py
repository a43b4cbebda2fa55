"""POPAR and PEAC: matched cells show the same, orders can be undone, views agree where they should, teachers follow."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.learner import Batch
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.stream import as_tensor, collate
from modelsgenesis.finetuning.initialization import start_from_recipe
from modelsgenesis.methods.base.cell_grid import CellGrid
from modelsgenesis.methods.base.teacher import Teacher
from modelsgenesis.methods.peac import PEAC
from modelsgenesis.methods.popar import POPAR
from modelsgenesis.nets import UNet3D
from modelsgenesis.nets.swin import Swin
from modelsgenesis.nets.vit import ViT
from modelsgenesis.recipes import find_recipe

GRIDS = [CellGrid((40, 32), 8, 2), CellGrid((32, 24, 16), 4, 1), CellGrid((24, 24), 4, 0)]


def painted(grid: CellGrid) -> np.ndarray:
    """An image whose cells are painted with their numbers, (1, *size)."""
    numbers = np.arange(math.prod(side // grid.cell for side in grid.size), dtype=np.float32)
    image = numbers.reshape([side // grid.cell for side in grid.size])
    for axis in range(len(grid.size)):
        image = image.repeat(grid.cell, axis)
    return image[None]


def colours(grid: CellGrid, view: np.ndarray) -> np.ndarray:
    """The colour of each cell of a view of a painted image, in raster order; every cell has but one."""
    inside = [slice(None, None, grid.cell)] * len(grid.size)
    found = view[0][tuple(inside)]
    whole = found
    for axis in range(len(grid.size)):
        whole = whole.repeat(grid.cell, axis)
    assert np.array_equal(whole, view[0])
    return found.ravel()


def tiny(axes: int = 2, **settings: object) -> PEAC:
    """A PEAC of a small U-Net."""
    torch.manual_seed(0)
    network = UNet3D(width=2, axes=axes, norm="instance")
    size = (48, 40) if axes == 2 else (32, 32, 24)
    return PEAC(network, size=size, cell=8, spare=1, expander=16, local_expander=8, **settings)  # type: ignore[arg-type]


def batch_of(learner: POPAR, num: int = 4, seed: int = 0) -> Batch:
    """Views of random images."""
    shape = (1, *learner.grid.size)
    images = [generator_for(seed, number).random(shape, dtype=np.float32) for number in range(num)]
    made = [learner.views({"image": image}, generator_for(seed, k)) for k, image in enumerate(images)]
    return collate([{name: as_tensor(value) for name, value in views.items()} for views in made])


@pytest.mark.parametrize("grid", GRIDS)
def test_every_matched_pair_shows_the_same_cell(grid: CellGrid) -> None:
    """At all offsets: the pairs are those cells that both views show, and there are as many as overlap."""
    image = painted(grid)
    offsets = list(itertools.product(range(grid.spare + 1), repeat=len(grid.size)))
    for first, second in itertools.product(offsets, offsets):
        ones, others = (colours(grid, grid.cut(image, np.array(offset))) for offset in (first, second))
        matches = grid.matches(np.array(first), np.array(second))
        seen = matches >= 0
        assert np.array_equal(ones[seen], others[matches[seen]])
        assert not set(ones[~seen]) & set(others)
        overlap = [n - abs(a - b) for n, a, b in zip(grid.cells, first, second, strict=True)]
        assert seen.sum() == math.prod(overlap)


@pytest.mark.parametrize("grid", GRIDS)
def test_an_order_is_told_and_undone(grid: CellGrid) -> None:
    """Place k shows the cell order[k]; putting every cell back restores the view."""
    view = grid.cut(painted(grid), np.zeros(len(grid.size), int))
    order = generator_for(1, 0).permutation(math.prod(grid.cells))
    shuffled = grid.reordered(view, order)
    assert np.array_equal(colours(grid, shuffled), colours(grid, view)[order])
    assert np.array_equal(grid.reordered(shuffled, np.argsort(order)), view)


def test_sizes_without_a_grid_are_refused() -> None:
    """With the least size that would do."""
    with pytest.raises(ShapeError, match="--size 40 48"):
        CellGrid((36, 48), 8, 2)
    with pytest.raises(ShapeError, match="--size 32"):
        CellGrid((16, 64), 8, 2)
    with pytest.raises(GenesisError, match="spare"):
        CellGrid((16, 64), 8, -1)


@pytest.mark.parametrize("name", ["small-popar", "small-peac", "peac"])
def test_a_recipe_knows_what_its_network_is_shown(name: str) -> None:
    """Views, which are smaller than what they are cut of; that is the size for whatever comes after pre-training."""
    recipe = find_recipe(name)
    grid = CellGrid(recipe.cubes.size, recipe.method_args["cell"], recipe.method_args.get("spare", 0))
    assert recipe.view_size(UNet3D(width=2, axes=2)) == grid.view_size
    if name == "small-peac":
        assert recipe.cubes.size == (160, 160)
        assert start_from_recipe(recipe, 2).size == (128, 128)


@pytest.mark.parametrize("settings", [{}, {"spare": 2}, {"cell": 16, "spare": 0}])
def test_the_size_of_views_is_that_of_the_learner(settings: dict[str, int]) -> None:
    """Also where the network decides on the cells, and these on what is to spare."""
    network = UNet3D(width=2, axes=2, norm="instance")
    learner = PEAC(network, size=(96, 96), expander=8, local_expander=8, **settings)
    assert PEAC.view_size(network, (96, 96), **settings) == learner.grid.view_size


def test_either_deformed_or_out_of_order() -> None:
    """Half of the views each: a view in its order is deformed, one out of order is made of clean cells alone."""
    learner = tiny()
    rows = [
        learner.views({"image": generator_for(2, k).random((1, 48, 40), dtype=np.float32)}, generator_for(3, k))
        for k in range(400)
    ]
    shuffled = np.array([row["shuffled"].item() for row in rows])
    assert 0.42 < shuffled.mean() < 0.58
    for row in rows:
        in_order = np.array_equal(row["order"], np.arange(20))
        assert in_order != row["shuffled"].item()
        if row["shuffled"]:
            assert np.array_equal(learner.grid.reordered(row["deformed"], np.argsort(row["order"])), row["original"])
        else:
            assert not np.array_equal(row["deformed"], row["original"])


def test_restored_cells_lie_in_their_places() -> None:
    """A vector paints the cell of its place: tokens of the numbers of cells become a painted view."""
    learner = tiny()
    grid = learner.grid
    tokens = torch.zeros(1, 20, learner.backbone.channels[-1])
    tokens[0, :, 0] = torch.arange(20.0)
    with torch.no_grad():
        learner.paint.weight.zero_()
        learner.paint.weight[:, 0] = 1
        learner.paint.bias.zero_()
        view = learner._painted(tokens).numpy()[0]
    assert np.array_equal(colours(grid, view), np.arange(20))


@pytest.mark.parametrize("axes", [2, 3])
def test_views_of_one_image_agree_when_they_are_one_view(axes: int) -> None:
    """Equal views, student and teacher alike: both distances are 0 but for rounding, whatever the axes."""
    learner = tiny(axes, p_shuffled=0.0).eval()
    batch = batch_of(learner)
    batch["second"] = batch["deformed"]
    batch["match"] = torch.arange(batch["match"].shape[1]).expand_as(batch["match"])
    losses = learner(batch, 0.0)
    assert losses["global"] < 1e-9
    assert losses["local"] < 1e-9


@torch.no_grad()
@pytest.mark.parametrize(("reduce", "normalize"), [("mean", True), ("sum", True), ("mean", False)])
def test_distances_are_those_of_a_loop(reduce: str, normalize: bool) -> None:
    """Sample by sample and cell by cell, with the teacher moved away from the student."""
    learner = tiny(local_reduce=reduce, normalize_local=normalize, centred=False).eval()
    for parameter in learner.teacher.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    batch = batch_of(learner, num=6)
    losses = learner(batch, 0.0)
    teacher = learner.teacher.network
    student = torch.nn.ModuleDict({"backbone": learner.backbone, "whole": learner.whole, "local": learner.local})

    def vectors(model: torch.nn.Module, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        feature = model["backbone"].encode(batch[name])[-1]  # type: ignore[index]
        tokens = feature.flatten(2).transpose(1, 2)
        whole = model["whole"](tokens.mean(1))  # type: ignore[index]
        local = model["local"](tokens)  # type: ignore[index]
        return whole / whole.norm(dim=1, keepdim=True), local / local.norm(dim=2, keepdim=True) if normalize else local

    (w1, c1), (w2, c2) = (vectors(student, name) for name in ("deformed", "second"))
    (tw1, tc1), (tw2, tc2) = (vectors(teacher, name) for name in ("deformed", "second"))
    far = [float(((w1[k] - tw2[k]) ** 2).sum() + ((w2[k] - tw1[k]) ** 2).sum()) for k in range(6)]
    near = [
        0.5 * float(((c1[k, i] - tc2[k, j]) ** 2).sum() + ((c2[k, j] - tc1[k, i]) ** 2).sum())
        for k in range(6)
        if not batch["shuffled"][k]
        for i, j in enumerate(batch["match"][k].tolist())
        if j >= 0
    ]
    assert near
    assert float(losses["global"]) == pytest.approx(sum(far) / 6, rel=1e-4)
    assert float(losses["local"]) == pytest.approx(sum(near) / (len(near) if reduce == "mean" else 6), rel=1e-4)
    total = losses["order"] + losses["restoration"] + 12.2 * losses["global"] + losses["local"]
    assert float(losses["total"]) == pytest.approx(float(total), rel=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_centred_vectors_do_not_become_one(centred: bool) -> None:
    """Updates towards agreement alone bring all images to one vector; without the batch's mean they move apart."""
    learner = tiny(centred=centred, weight_order=0.0, weight_restoration=0.0, momentum=0.9)
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], 3e-3)
    batch, spreads = batch_of(learner, num=8), []
    for step in range(40):
        losses = learner(batch, step / 40)
        losses["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        learner.after_step(step / 40)
        spreads.append(losses["spread"].item())
    assert (spreads[-1] > 2 * spreads[0]) == centred
    assert (losses["told_apart"].item() == 1) or not centred


def test_a_batch_of_shuffled_views_has_no_local_distance() -> None:
    """0, not a quotient of nothing."""
    learner = tiny(p_shuffled=1.0)
    losses = learner(batch_of(learner), 0.0)
    assert losses["local"] == 0
    assert torch.isfinite(losses["total"])


def test_a_teacher_copies_at_0_freezes_at_1_and_takes_no_gradient() -> None:
    """The momentum rises from its first value to 1 by half a cosine, and no index is out of range at the end."""
    learner = tiny(momentum=0.0)
    learner(batch_of(learner), 0.0)["total"].backward()
    assert all(parameter.grad is None for parameter in learner.teacher.parameters())
    assert any(parameter.grad is not None for parameter in learner.backbone.parameters())
    before = copy.deepcopy(learner.teacher.state_dict())
    with torch.no_grad():
        for parameter in learner.backbone.parameters():
            parameter.add_(1.0)
    learner.after_step(1.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.teacher.state_dict().items())
    learner.after_step(0.0)
    pairs = zip(learner.teacher.network["backbone"].parameters(), learner.backbone.parameters(), strict=True)
    assert all(torch.allclose(own, other) for own, other in pairs)
    assert [Teacher(torch.nn.Linear(1, 1), 0.9).momentum_at(p) for p in (0.0, 1.0)] == pytest.approx([0.9, 1.0])


def test_exchanged_axes_pair_other_cells() -> None:
    """The released code's pairs are wrong unless the offsets move alike along both axes."""
    right, wrong = tiny(), tiny(swap_axes=True)
    differ = 0
    for number in range(40):
        image = {"image": painted(right.grid)}
        one, other = (learner.views(image, generator_for(5, number)) for learner in (right, wrong))
        differ += not np.array_equal(one["match"], other["match"])
    assert 10 < differ < 40


@pytest.mark.parametrize("kind", [2, 3, "vit"])
def test_it_learns(kind: int | str) -> None:
    """Twenty updates of a small network, of patches as large as cells too, lower the total on the images it sees."""
    learner = tiny(kind) if isinstance(kind, int) else tiny()
    if kind == "vit":
        network = ViT(embed=16, depth=2, heads=2, patch=8, grid=5, width=8)
        learner = PEAC(network, size=(48, 40), cell=8, spare=1, expander=16, local_expander=8)
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], 3e-3)
    batch = batch_of(learner)
    totals = []
    for step in range(20):
        losses = learner(batch, step / 20)
        losses["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        learner.after_step(step / 20)
        totals.append((losses["order"] + losses["restoration"]).item())
    assert totals[-1] < totals[0] - 0.1


def test_a_network_coarser_than_the_cells_is_refused() -> None:
    """Its deepest feature has fewer positions than the view has cells."""
    learner = POPAR(Swin(embed=8, depths=(1, 1, 1), heads=(1, 1, 1), window=2), size=(64, 64), cell=8)
    with pytest.raises(ShapeError, match="larger cells"):
        learner.check((64, 64))
