"""The body is found with all that is in it, and what is predicted within it does not know that the rest was not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.inference.test_sliding_window import CPU, IDENTITY, ORGANS, make_net

from modelsgenesis.core.labels import Label
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.body import find_body
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.sliding_window import rows
from modelsgenesis.inference.volume_prediction import plan_windows, segment
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation

SIZE, PATCH = (90, 80, 40), (16, 16, 16)
AIR, GAS, TISSUE, LUNG = -1000, -1000, 40, -860


def make_chest(noise: float = 30.0, size: tuple[int, ...] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A CT of a chest in air, in HU, and where the body is: tissue, lungs open at the ends of the scan, gas in them."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, side) for side in size), indexing="ij")
    body = (x / 0.6) ** 2 + (y / 0.5) ** 2 < 1
    lungs = ((np.abs(x) - 0.28) / 0.2) ** 2 + (y / 0.35) ** 2 < 1
    gas = ((np.abs(x) - 0.28) / 0.12) ** 2 + (y / 0.2) ** 2 < 1
    hu = np.where(gas, GAS, np.where(lungs, LUNG, np.where(body, TISSUE, AIR)))
    hu = hu + np.random.default_rng(0).normal(0, noise, size)
    return hu.clip(-1024, 3071).astype(np.int16), body


def image_of(values: np.ndarray, spacing_mm: tuple[float, ...] = (4.0, 4.0, 4.0)) -> Image:
    """An image of one channel or of several."""
    channels = values if values.ndim == 4 else values[np.newaxis]
    geometry = Geometry(channels.shape[1:], spacing_mm, (0.0,) * 3, IDENTITY)
    return Image(channels, ((-1000.0, 1000.0),) * len(channels), spacing_mm, geometry)


def voxels_of(image: Image) -> np.ndarray:
    """Where the body that is found lies, voxel by voxel."""
    body = find_body(image)
    assert body is not None
    voxels = body.cells
    for axis, side in enumerate(body.side):
        voxels = voxels.repeat(side, axis=axis)
    return voxels[tuple(slice(0, side) for side in image.size)]


@pytest.mark.parametrize(
    ("noise", "spacing_mm"),
    [(0, (4.0, 4.0, 4.0)), (30, (4.0, 4.0, 4.0)), (120, (1.4, 1.4, 2.0)), (30, (1.4, 1.4, 5.0))],
)
def test_body_holds_lungs_and_gas_and_no_corner(noise: float, spacing_mm: tuple[float, ...]) -> None:
    """Whatever the noise of a low dose and the size of voxels; the corners of the field are air."""
    hu, body = make_chest(noise)
    found = voxels_of(image_of(hu, spacing_mm))
    assert found[body].all()
    assert found.mean() < 0.75
    assert not found[:4, :4].any()


@pytest.mark.parametrize("cut", [np.s_[45:, :], np.s_[:, 40:], np.s_[30:60, 25:], np.s_[58:, 36:], np.s_[60:70, 36:44]])
def test_body_cut_by_the_border_is_whole(cut: tuple[slice, ...]) -> None:
    """Where a field of view cuts gas or a lung open, that is no air outside: what is inside is inside."""
    hu, body = make_chest()
    found = voxels_of(image_of(hu[cut]))
    assert found[body[cut]].all()


def test_padding_and_specks_are_no_body() -> None:
    """What a scanner writes outside its circle, and a hot voxel in the air, are not looked at."""
    hu, body = make_chest()
    far = ~body
    far[10:80, 8:72] = False
    hu[far] = -2048
    hu[2, 2, 2] = 3071
    found = voxels_of(image_of(hu))
    assert found[body].all()
    assert not found[:4, :4].any()


def test_mri_has_a_body_above_its_background() -> None:
    """By the rule of the stores, with its dark holes; of several channels each counts."""
    rng = np.random.default_rng(0)
    one, other = rng.rayleigh(4, (2, *SIZE)).astype(np.int16)
    one[30:60, 30:50, 10:30] += 400
    one[40:50, 36:44, 15:25] = 0
    other[30:50, 10:20, 10:30] += 500
    wanted = np.zeros(SIZE, bool)
    wanted[30:60, 30:50, 10:30] = True
    alone = voxels_of(image_of(one))
    assert alone[wanted].all()
    assert not alone[:20].any()
    assert not alone[:, :20].any()
    both = voxels_of(image_of(np.stack([one, other])))
    assert both[30:50, 10:20, 10:30].all()
    assert both[wanted].all()


def test_what_nobody_can_tell_is_all_looked_at() -> None:
    """Values that are neither HU nor of MRI; and a scan of air alone has no body, which is told."""
    values = np.random.default_rng(0).normal(0, 1, SIZE).astype(np.float32)
    assert voxels_of(image_of(values)).all()
    assert find_body(image_of(np.full(SIZE, -1000, np.int16))) is None
    air = np.random.default_rng(0).normal(-1000, 9, SIZE).astype(np.int16)
    assert find_body(image_of(air)) is None


def everywhere_and_body(target: MaskTarget, outputs: int, overlap: float) -> tuple[Image, list[torch.Tensor]]:
    """A chest's predictions in every window, and in those that hold some of the body."""
    image = image_of(make_chest()[0])
    ensemble = Ensemble([make_net(outputs=outputs)], target, CPU)
    background = 0 if target.label_map.has_background else None
    found = []
    for everywhere in (True, False):
        windows = plan_windows(image, target, PATCH, overlap, everywhere=everywhere)
        found.append(torch.cat(list(rows(image, ensemble, windows, batch_size=1, background=background)), dim=1))
    return image, found


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_no_voxel_of_the_body_differs(overlap: float) -> None:
    """Bit for bit: all windows that hold it are computed; elsewhere is background where no window was."""
    image, (whole, part) = everywhere_and_body(ORGANS, 3, overlap)
    inside = torch.from_numpy(voxels_of(image))
    assert torch.equal(part[:, inside], whole[:, inside])
    assert part.isfinite().all()
    nothing = part[0] == 1
    assert nothing.float().mean() > 0.02
    assert not part[1:, nothing].any()
    torch.testing.assert_close(part.sum(0), torch.ones(image.size), atol=1e-5, rtol=0)
    windows = plan_windows(image, ORGANS, PATCH, overlap)
    assert len(windows.computed) < 0.9 * len(windows.places)


def test_overlapping_labels_are_nowhere_that_no_window_is() -> None:
    """There is no output for the background then; the others are 0."""
    target = MultilabelSegmentation((Label("a", (1,)), Label("b", (2,))))
    image, (whole, part) = everywhere_and_body(target, 2, 0.5)
    inside = torch.from_numpy(voxels_of(image))
    assert torch.equal(part[:, inside], whole[:, inside])
    assert (part == 0).all(dim=0).float().mean() > 0.02


def test_windows_far_apart_leave_rows_of_background_between() -> None:
    """Two bodies with nothing between them along X, as far apart as several windows: no row is lost, none repeated."""
    hu = np.full((120, 24, 24), -1000, np.int16)
    hu[:20, 4:20, 4:20] = hu[100:, 4:20, 4:20] = 40
    image = image_of(hu)
    ensemble = Ensemble([make_net()], ORGANS, CPU)
    windows = plan_windows(image, ORGANS, PATCH, 0.25)
    found, whole = (
        segment(image, ensemble, ORGANS, one, batch_size=3).classes[0] for one in (windows, replace(windows, body=None))
    )
    assert found.shape == image.size
    inside = hu > -500
    np.testing.assert_array_equal(found[inside], whole[inside])
    assert not found[50:70].any()
    assert whole[50:70].any()


def test_classes_and_pictures_are_predicted_from_all_there_is() -> None:
    """Only masks have a background that air could be."""
    image = image_of(make_chest()[0])
    assert plan_windows(image, Classification(ORGANS.labels), PATCH, 0.5).body is None
    flat = replace(image, values=image.values[..., 0])
    assert plan_windows(flat, ORGANS, PATCH[:2], 0.5).body is None
