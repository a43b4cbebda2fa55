"""Relative position: the direction asked for is that from the first cell to the second."""

import numpy as np
import pytest
import torch
from tests.methods.toys import trained

from modelsgenesis.core.errors import GenesisError, ShapeError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.methods.relative_position import RelativePosition, directions
from modelsgenesis.nets import UNet3D


@pytest.mark.parametrize(("size", "num"), [((32, 48), 8), ((32, 32, 48), 26)])
def test_label_is_the_way_from_the_first_cell_to_the_second(size: tuple[int, ...], num: int) -> None:
    """Channels that hold each voxel's own place tell where the cells were; all directions occur."""
    axes = len(size)
    learner = RelativePosition(UNet3D(width=2, axes=axes, in_channels=axes))
    places = 1 + np.stack(np.meshgrid(*map(np.arange, size), indexing="ij")).astype(np.float32)
    asked, halves = set(), np.array(size) / 2
    for index in range(300):
        views = learner.views({"image": places}, generator_for(0, index))
        first, second = (
            [(channel[channel > 0].mean() - 1) // half for channel, half in zip(cell, halves, strict=True)]
            for cell in views["cells"]
        )
        way = tuple(int(b - a) for a, b in zip(first, second, strict=True))
        assert way == directions(axes)[views["direction"].item()]
        asked.add(way)
    assert len(asked) == num == len(directions(axes))


def test_cells_share_no_edge() -> None:
    """A gap of varying width lies between neighbours, so that lines running on give nothing away."""
    learner = RelativePosition(UNet3D(width=2, axes=2), gap=0.25)
    columns = np.broadcast_to(1 + np.arange(32, dtype=np.float32)[:, None], (1, 32, 32)).copy()
    gaps = set()
    for index in range(200):
        views = learner.views({"image": columns}, generator_for(1, index))
        if directions(2)[views["direction"].item()] == (1, 0):
            first, second = views["cells"]
            gaps.add(int(second[second > 0].min() - first.max()) - 1)
    assert min(gaps) >= 0
    assert len(gaps) > 3


def test_encoder_learns_where_the_second_cell_is() -> None:
    """On a body that brightens along its axes, far above the eighth that guessing gets."""
    torch.manual_seed(0)
    figures = trained(RelativePosition(UNet3D(width=4, axes=2)), (32, 32), steps=80)
    assert figures["chance"] == pytest.approx(1 / 8)
    assert figures["accuracy"] > 0.5


def test_what_makes_no_sense_is_refused() -> None:
    """Cells of one deepest position, no neurons, a gap that is all."""
    with pytest.raises(ShapeError, match="use --size 32 32 32 or more"):
        RelativePosition(UNet3D(width=2)).check((16, 16, 16))
    for settings in ({"hidden": 0}, {"gap": -0.1}):
        with pytest.raises(GenesisError, match="got"):
            RelativePosition(UNet3D(width=2), **settings)  # type: ignore[arg-type]
