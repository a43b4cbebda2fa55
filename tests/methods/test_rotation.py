"""Rotation: labels say how to turn back, and only turns that fit are asked."""

import numpy as np
import pytest
import torch
from tests.methods.toys import trained

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.methods.rotation import Rotation, turned, turns
from modelsgenesis.nets import UNet3D


@pytest.mark.parametrize(
    ("size", "num"), [((16, 16), 4), ((16, 8), 2), ((16, 16, 16), 10), ((64, 64, 32), 6), ((8, 16, 32), 4)]
)
def test_turns_keep_the_sides_and_differ(size: tuple[int, ...], num: int) -> None:
    """As many as the sides allow; no two look alike, and the first is none."""
    image = generator_for(0, 0).random((1, *size), dtype=np.float32)
    results = [turned(image, turn) for turn in turns(size)]
    assert all(result.shape == image.shape for result in results)
    assert len({result.tobytes() for result in results}) == len(results) == num
    assert np.array_equal(results[0], image)


@pytest.mark.parametrize("size", [(16, 16), (16, 16, 16), (16, 16, 8)])
def test_turning_back_by_the_label_gives_the_cube(size: tuple[int, ...]) -> None:
    """Every label is asked at some time, in all channels alike."""
    learner, asked = Rotation(UNet3D(width=2, axes=len(size), in_channels=2)), set()
    image = generator_for(1, 0).random((2, *size), dtype=np.float32)
    for index in range(100):
        views = learner.views({"image": image}, generator_for(2, index))
        plane, quarters = turns(size)[views["turn"].item()]
        assert np.array_equal(turned(views["turned"], (plane, -quarters)), image)
        asked.add(views["turn"].item())
    assert asked == set(range(len(turns(size))))


def test_encoder_learns_which_way_up() -> None:
    """On a body that brightens along its axes, far above the tenth that guessing gets."""
    torch.manual_seed(0)
    figures = trained(Rotation(UNet3D(width=4)), (16, 16, 16), steps=60)
    assert figures["chance"] == pytest.approx(0.1)
    assert figures["accuracy"] > 0.5
