"""Occupancy: what the manifest says of a scan's best cube is never too good, and nearly always enough."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.data.intensity_statistics import CELL_SIDE, ForegroundMap
from modelsgenesis.data.occupancy import NUMBERS_OF, means_of_places, occupancy_of, unwanted
from modelsgenesis.data.sampling.crop_rules import CROP_RULES

RULES = [name for name, rule in CROP_RULES.items() if rule.cells]


def make_maps(size: tuple[int, ...], seed: int) -> ForegroundMap:
    """Maps of a scan with a ball of both kinds somewhere in it, and noise."""
    rng = np.random.default_rng(seed)
    cells = tuple(-(-side // CELL_SIDE) for side in size)
    places = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), -1)
    near = np.linalg.norm((places - rng.uniform(0, cells)) / rng.uniform(1, 12), axis=-1) < 1
    noise = rng.integers(0, 120, (2, *cells))
    tissue, foreground = (np.where(near, each, 255 - each).astype(np.uint8) for each in noise)
    return ForegroundMap(tissue, foreground if rng.random() < 0.5 else 255 - foreground)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(*(st.integers(9, 300),) * 3) | st.tuples(*(st.integers(9, 900),) * 2),
    shares=st.tuples(*(st.floats(0.05, 1),) * 3),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 2**20),
)
def test_what_is_known_is_never_better_than_the_best_cube(
    size: tuple[int, ...], shares: tuple[float, ...], rule: str, seed: int
) -> None:
    """The bound by the boxes is at least the mean of the best place that admission finds in the map."""
    maps, chosen = make_maps(size, seed), CROP_RULES[rule]
    cube = tuple(max(1, int(side * share)) for side, share in zip(size, shares, strict=False))
    boxes = np.array([occupancy_of(maps, size)], np.int16)
    assert boxes.shape == (1, NUMBERS_OF[len(size)])
    known = chosen.known(boxes, np.array([size]), cube)[0]
    wrong = unwanted(getattr(maps, chosen.cells), chosen.cells)
    best = means_of_places(wrong, chosen.spans(size, cube), cube)[1].min()
    assert known >= best - 1e-9
    admitted = not np.isnan(chosen.limits(wrong[np.newaxis], size, cube)[0])
    assert admitted or known > chosen.at_worst


@pytest.mark.parametrize("cube", [(24, 24, 24), (64, 64, 32), (64, 64, 64), (96, 96, 96), (128, 128, 64)])
def test_of_a_body_in_air_it_is_known_without_its_map(cube: tuple[int, ...]) -> None:
    """A body of 320 x 240 mm in the middle of air has a place for any usual cube, and the boxes say so."""
    size = (400, 400, 200)
    cells = np.stack(np.meshgrid(*(np.arange(side // CELL_SIDE) for side in size), indexing="ij"), -1) * CELL_SIDE
    body = ((cells[..., 0] - 200) / 160) ** 2 + ((cells[..., 1] - 200) / 120) ** 2 < 1
    maps = ForegroundMap(255 * body.astype(np.uint8), 255 * body.astype(np.uint8))
    rule = CROP_RULES["not_mostly_air"]
    assert rule.known(np.array([occupancy_of(maps, size)], np.int16), np.array([size]), cube)[0] <= rule.most


def test_an_empty_scan_is_not_taken_for_full() -> None:
    """Where nothing is foreground, nothing is promised, whatever the cube."""
    maps = ForegroundMap(np.full((20, 20, 10), 255, np.uint8), np.zeros((20, 20, 10), np.uint8))
    boxes = np.array([occupancy_of(maps, (160, 160, 80))], np.int16)
    for name in RULES:
        assert CROP_RULES[name].known(boxes, np.array([[160, 160, 80]]), (32, 32, 32))[0] == 1.0
