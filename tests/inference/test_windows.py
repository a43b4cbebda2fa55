"""Windows lie and weigh as MONAI's do, and cover every voxel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.inference.windows import Windows

SIDES = st.tuples(*[st.integers(1, 60)] * 3)
PATCHES = st.tuples(*[st.integers(1, 24)] * 3)


@settings(max_examples=60, deadline=None)
@given(size=SIDES, patch=PATCHES, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.99]))
def test_places_are_monais(size: tuple[int, ...], patch: tuple[int, ...], overlap: float) -> None:
    """The same windows in the same order, of the image padded to one window at least."""
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    windows = Windows(size, patch, overlap)
    interval = _get_scan_interval(windows.padded, patch, 3, (overlap,) * 3)
    wanted = [
        tuple(int(side.start) for side in window) for window in dense_patch_slices(windows.padded, patch, interval)
    ]
    assert windows.places == wanted


@settings(max_examples=30, deadline=None)
@given(size=SIDES, patch=PATCHES, overlap=st.floats(0, 0.9))
def test_every_voxel_is_seen(size: tuple[int, ...], patch: tuple[int, ...], overlap: float) -> None:
    """No voxel is left out, no window reaches beyond the padding, and X never falls."""
    windows = Windows(size, patch, overlap)
    seen = torch.zeros(windows.padded, dtype=torch.bool)
    for x, y, z in windows.places:
        here = seen[x : x + patch[0], y : y + patch[1], z : z + patch[2]]
        assert tuple(here.shape) == patch
        here[:] = True
    assert seen.all()
    assert [place[0] for place in windows.places] == sorted(place[0] for place in windows.places)


@settings(max_examples=20, deadline=None)
@given(patch=PATCHES)
def test_weights_are_monais(patch: tuple[int, ...]) -> None:
    """The same Gaussian, cut off at the same least weight."""
    from monai.data.utils import compute_importance_map

    torch.testing.assert_close(Windows(patch, patch).weights(), compute_importance_map(patch, mode="gaussian"))


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_overlap_out_of_range_is_refused(overlap: float) -> None:
    """A window must move on."""
    with pytest.raises(ShapeError, match=r"overlap must be in \[0, 1\)"):
        Windows((8, 8, 8), (8, 8, 8), overlap)


def test_odd_voxel_of_padding_is_behind() -> None:
    """As fine-tuning pads."""
    windows = Windows((5, 20, 8), (16, 16, 11))
    assert (windows.padded, windows.before) == ((16, 20, 11), (5, 0, 1))
