"""Rubik's cube: undoing what the labels say gives the cells back; orders differ in many places."""

import itertools

import numpy as np
import pytest
import torch
from tests.methods.toys import trained

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.methods.base.cells import sides
from modelsgenesis.methods.rubiks_cube import RubiksCube, distant_orders
from modelsgenesis.nets import UNet3D


@pytest.mark.parametrize("size", [(32, 48), (32, 32, 16)])
def test_undoing_the_labels_gives_the_cube_back(size: tuple[int, ...]) -> None:
    """Without gaps the cells, turned back and put in their places, are the whole cube."""
    axes = len(size)
    learner = RubiksCube(UNet3D(width=2, axes=axes, in_channels=2), gap=0.0)
    image = generator_for(0, 0).random((2, *size), dtype=np.float32)
    for index in range(20):
        views = learner.views({"image": image}, generator_for(1, index))
        rebuilt = np.zeros_like(image)
        order = learner.orders[views["order"].item()]
        for cell, place, marks in zip(views["cells"], order, views["turned"], strict=True):
            for (first, second), is_turned in zip(((0, 1), (1, 2)), marks, strict=False):
                cell = np.rot90(cell, 2 * int(is_turned), (first + 1, second + 1))
            corner = np.unravel_index(place, (2,) * axes)
            half = [slice(c * side // 2, (c + 1) * side // 2) for c, side in zip(corner, size, strict=True)]
            rebuilt[:, *half] = cell
        assert np.array_equal(rebuilt, image)


def test_every_order_and_turn_occurs() -> None:
    """About equally often, and turns independently of one another."""
    learner = RubiksCube(UNet3D(width=2, axes=2))
    views = [
        learner.views({"image": np.zeros((1, 32, 32), np.float32)}, generator_for(2, index)) for index in range(600)
    ]
    counts = np.bincount([view["order"].item() for view in views], minlength=24)
    assert len(counts) == 24
    assert counts.min() > 8
    assert np.abs(np.mean([view["turned"] for view in views], axis=0) - 0.5).max() < 0.1


def test_gaps_part_the_cells_and_the_border_tells_nothing() -> None:
    """Cells hold no voxel of another, lie at varying places, and stand amid zeros whichever way they were turned."""
    learner = RubiksCube(UNet3D(width=2), gap=0.25)
    image = 1 + np.arange(32**3, dtype=np.float32).reshape(1, 32, 32, 32)
    firsts = set()
    for index in range(10):
        cells = learner.views({"image": image}, generator_for(3, index))["cells"]
        assert cells.shape == (8, 1, 16, 16, 16)
        assert (cells[:, :, 2:14, 2:14, 2:14] > 0).all()
        assert np.count_nonzero(cells) == 8 * 12**3
        assert len(np.unique(cells)) == 8 * 12**3 + 1
        firsts.add(np.sort(cells[cells > 0])[0])
    assert len(firsts) > 5


def test_gap_is_whole_voxels_but_for_the_last_digits() -> None:
    """0.29 of a hundred voxels are 29, though their product is 28.999999999999996."""
    assert sides((200, 200), 0.29) == (71, 71)


@pytest.mark.parametrize(("num_cells", "num", "least"), [(4, 4, 4), (4, 24, 2), (8, 8, 8), (8, 100, 6)])
def test_orders_differ_in_many_places(num_cells: int, num: int, least: int) -> None:
    """Permutations, none twice; any two differ in at least so many places."""
    orders = distant_orders(num_cells, num)
    assert len(set(orders)) == len(orders) == num
    assert all(sorted(order) == list(range(num_cells)) for order in orders)
    distances = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in itertools.combinations(orders, 2)]
    assert min(distances) == least


def test_four_cells_have_24_orders_at_most() -> None:
    """Asking for a hundred gives all there are."""
    assert len(distant_orders(4, 100)) == 24


def test_encoder_learns_order_and_turns() -> None:
    """On a body that brightens along its axes: far above chance in both."""
    torch.manual_seed(0)
    figures = trained(RubiksCube(UNet3D(width=4, axes=2)), (32, 32), steps=80)
    assert figures["chance"] == pytest.approx(1 / 24)
    assert figures["accuracy"] > 0.5
    assert figures["turn_accuracy"] > 0.7
    assert figures["total"] == pytest.approx(0.5 * figures["order"] + 0.5 * figures["turns"], rel=1e-5)


def test_cubes_too_small_for_cells_are_refused() -> None:
    """Eighths of one deepest position are refused with a size that will do."""
    learner = RubiksCube(UNet3D(width=2))
    learner.check((32, 32, 32))
    with pytest.raises(ShapeError, match=r"cells of \(7, 7, 7\).*use --size 32 32 32 or more"):
        learner.check((16, 16, 16))


@pytest.mark.parametrize("settings", [{"num_orders": 1}, {"weight": 1.5}, {"gap": 1.0}])
def test_numbers_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    """Before anything is made."""
    with pytest.raises(GenesisError, match="got"):
        RubiksCube(UNet3D(width=2), **settings)  # type: ignore[arg-type]
