"""Networks of pictures at work on volumes: what they give of a volume is what they give of its slices."""

from pathlib import Path

import numpy as np
import pytest
import torch

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError, ShapeError, WeightsError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.store.slicing import ACROSS, Direction
from modelsgenesis.nets import CentrePlanes, Classifier, PlannedUNet, SliceWise, UNet3D
from modelsgenesis.nets.centre_planes import centre_planes
from modelsgenesis.weights.files import describe_network, distinct
from modelsgenesis.weights.formats import LoadedWeights
from modelsgenesis.weights.lifting import lifted
from modelsgenesis.weights.transfer import network_for, transfer, whole

SIZE = (16, 24, 8)


@pytest.fixture
def volumes(tmp_path: Path) -> mg.Store:
    """A store of two volumes."""
    for number in range(2):
        values = generator_for(5, number, "volume").normal(0, 300, SIZE).astype(np.float32)
        (tmp_path / "scans").mkdir(exist_ok=True)
        np.save(tmp_path / "scans" / f"{number}.npy", values)
    return mg.Store.open(mg.prepare(tmp_path / "scans", tmp_path / "volumes", modality="CT", workers=0, quiet=True))


@pytest.mark.parametrize("direction", ACROSS)
@pytest.mark.parametrize("neighbours", [0, 1, 2])
def test_volume_gets_what_its_slices_get(
    volumes: mg.Store, direction: Direction, neighbours: int, tmp_path: Path
) -> None:
    """The prediction and every feature of a volume, to 1e-5, are those of the slices in a store of its slices."""
    options = {"slices": direction, "neighbours": neighbours, "quiet": True}
    flat = mg.Store.open(mg.prepare(volumes.path, tmp_path / "slices", **options))
    torch.manual_seed(0)
    network = UNet3D(2 * neighbours + 1, 2, width=2, axes=2).eval()
    across = ACROSS[direction]
    sliced = SliceWise(network, across, neighbours).eval()
    scan, twin = volumes.scans[0], flat.scans[0]
    assert scan.id == twin.id
    volume = torch.from_numpy(volumes.read(scan, (0, 0, 0), scan.size) / 1000)[None]
    slices = torch.stack(
        [torch.from_numpy(flat.read(twin, (0, 0), twin.size, index=i) / 1000) for i in range(twin.num_cubes)]
    )
    with torch.no_grad():
        pairs = [(sliced(volume), network(slices)), *zip(sliced.encode(volume), network.encode(slices), strict=True)]
    for of_volume, of_slices in pairs:
        planes = of_volume[0].movedim(1 + across, 0)  # (slices, channels, *plane)
        turned = planes if direction == "axial" else planes.flip(-1)
        torch.testing.assert_close(turned, of_slices, atol=1e-5, rtol=0)


def test_channels_of_a_slice_keep_their_neighbours_together() -> None:
    """Of two channels: the first one's neighbours from below to above, then the second's; the outermost is repeated."""
    seen: list[torch.Tensor] = []
    network = UNet3D(6, width=2, axes=2)
    network.down[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(2, 2, 8, 8, 3)
    SliceWise(network, neighbours=1)(x)
    wanted = [
        [x[b, c, :, :, z] for c in (0, 1) for z in (max(s - 1, 0), s, min(s + 1, 2))] for b in (0, 1) for s in range(3)
    ]
    assert torch.equal(seen[0], torch.stack([torch.stack(planes) for planes in wanted]))


def test_squares_are_the_planes_of_the_cubes_around_the_points(volumes: mg.Store, tmp_path: Path) -> None:
    """Axial, coronal and sagittal through voxel side // 2, Z reversed: by numpy, in the store and in the network."""
    flat = mg.Store.open(
        mg.prepare(volumes.path, tmp_path / "squares", slices="orthogonal", side=6, every=2, quiet=True)
    )
    places = [(x, y, z) for x in range(0, 11, 2) for y in range(0, 19, 2) for z in range(0, 3, 2)]
    for scan, twin in zip(volumes.scans, flat.scans, strict=True):
        assert (twin.shape, twin.num_cubes) == ((3, 6, 6), len(places))
        values = volumes.read(scan, (0, 0, 0), scan.size)[0]
        for index, (x, y, z) in enumerate(places):
            cube = values[x : x + 6, y : y + 6, z : z + 6]
            planes = np.stack([cube[:, :, 3], cube[:, 3, :][:, ::-1], cube[3, :, :][:, ::-1]])
            np.testing.assert_array_equal(flat.read(twin, (0, 0), (6, 6), index=index), planes)
            np.testing.assert_array_equal(centre_planes(torch.from_numpy(cube)[None, None])[0], planes)


def test_squares_that_no_scan_has_room_for_are_refused(volumes: mg.Store, tmp_path: Path) -> None:
    """The option is named; so are options of the other kinds of slices."""
    with pytest.raises(DataError, match="give a smaller --side"):
        mg.prepare(volumes.path, tmp_path / "large", slices="orthogonal", side=9, quiet=True)
    with pytest.raises(DataError, match="need --side, such as 64"):
        mg.prepare(volumes.path, tmp_path / "none", slices="orthogonal", quiet=True)
    with pytest.raises(DataError, match="--side is of orthogonal slices"):
        mg.prepare(volumes.path, tmp_path / "axial", slices="axial", side=4, quiet=True)


def test_centre_planes_give_one_prediction_of_a_cube() -> None:
    """A classifier of cubes gives what one of pictures gives of the three planes; a box that is no cube is refused."""
    torch.manual_seed(0)
    flat = Classifier(UNet3D(3, width=2, axes=2), 2, hidden=4).eval()
    solid = Classifier(CentrePlanes(flat.backbone), 2, hidden=4).eval()
    solid.head.load_state_dict(flat.head.state_dict())
    cubes = torch.rand(2, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(solid(cubes), flat(centre_planes(cubes)))
    with pytest.raises(ShapeError, match="use --size 24 24 24"):
        solid(torch.rand(1, 1, 16, 16, 24))


@pytest.mark.parametrize("kind", [SliceWise, CentrePlanes])
def test_task_takes_every_weight_but_the_head(kind: type[SliceWise | CentrePlanes]) -> None:
    """A network for a task of other channels keeps its kind, and takes what the network of pictures has learned."""
    planes = 3 if kind is CentrePlanes else 1
    start = kind(UNet3D(planes, width=2, axes=2))
    network = network_for(start, in_channels=1, out_channels=4)
    assert describe_network(network)["arguments"]["network"]["arguments"]["out_channels"] == 4
    report = transfer(start, network)
    assert report.shares == {"encoder": 1.0, "decoder": 1.0, "head": 0.0}
    wider = network_for(start, in_channels=2, out_channels=4)
    assert isinstance(wider, kind)
    assert (wider.in_channels, wider.network.in_channels) == (2, 2 * planes)


def test_deep_supervision_is_asked_of_the_network_inside() -> None:
    """nnU-Net's 2D network is taught at every scale, slice by slice too."""
    from tests.laws.test_nets import planned

    flat = PlannedUNet(planned("PlainConvUNet", "n_conv_per_stage", 2, ((1, 1), (2, 2), (2, 2))))
    network = network_for(SliceWise(flat), in_channels=1, out_channels=2)
    assert [tuple(each.shape) for each in network.predict_scales(torch.rand(1, 1, 16, 16, 3))] == [
        (1, 2, 16, 16, 3),
        (1, 2, 8, 8, 3),
    ]


def test_network_of_pictures_takes_volumes_as_asked() -> None:
    """On slices, on planes or inflated, and back to pictures; what does not fit is refused by its option."""
    flat = UNet3D(3, width=2, axes=2).eval()
    loaded = LoadedWeights(flat, whole(flat), "modelsgenesis")
    assert isinstance(lifted(loaded, 3).network, UNet3D)
    sliced = lifted(loaded, 3, "coronal", 1)
    assert isinstance(sliced.network, SliceWise)
    assert (sliced.network.in_channels, sliced.network.across) == (1, 1)
    assert [row.tensor for row in sliced.report.rows] == list(distinct(sliced.network))
    assert isinstance(lifted(loaded, 3, "orthogonal").network, CentrePlanes)
    back = lifted(sliced, 2)
    assert back.network is flat
    assert back.report == loaded.report
    with pytest.raises(WeightsError, match="--slices axial: 5 planes are 5 channels or a multiple"):
        lifted(loaded, 3, "axial", 2)
    with pytest.raises(WeightsError, match="--neighbours: of a 2D network"):
        lifted(loaded, 3, "orthogonal", 1)
    with pytest.raises(WeightsError, match="--slices: of a 2D network"):
        lifted(loaded, 2, "axial")
