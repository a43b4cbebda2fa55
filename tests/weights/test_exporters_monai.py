"""MONAI bundles, run by MONAI itself: the masks of `genesis predict`, on their scans."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from tests.data.scan_files import SIZE, make_ct, make_image, write_ct
from tests.inference.runs import ORGANS, make_run, mean_classifier, thresholding_unet
from tests.weights.test_exporters import PLANNED

import modelsgenesis as mg
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.core.labels import Label
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles, ZScore
from modelsgenesis.data.sources import find_sources
from modelsgenesis.nets import SliceWise, UNet3D
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.weights.exporters import find_exporter
from modelsgenesis.weights.files import save_network

pytest.importorskip(
    "ignite", reason="MONAI runs bundles with pytorch-ignite: pip install -c constraints.txt '.[bundle]'"
)
pytest.importorskip("nibabel", reason="MONAI reads NIfTI with nibabel: pip install -c constraints.txt '.[bundle]'")
pytest.importorskip("fire", reason="MONAI's command line needs fire: pip install -c constraints.txt '.[bundle]'")

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real scans are not beside the repository (../shared/data)"
)
ORIENTATIONS = {
    "LPS": np.eye(3),
    "RAS": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.eye(3)[:, [1, 2, 0]] * [1, -1, 1],
    "oblique": np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, -1]]),
}
SHARE = 0.998  # of voxels that agree after resampling: a rounding more or less decides those at a threshold


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One noisy CT, its axes running four ways, and one smaller than a window."""
    folder = tmp_path_factory.mktemp("scans")
    hu = make_ct(1) + np.random.default_rng(0).integers(0, 900, (24, 20, 18)).astype(np.int16)
    for name, direction in ORIENTATIONS.items():
        image = make_image(hu, (1.5, 2.0, 3.0))
        image.SetDirection(direction.ravel().tolist())
        image.SetOrigin((-31.5, 7.0, 101.25))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    write_ct(folder / "small.nii.gz", 1, size=(9, 20, 5))
    return folder


def bundle_of(run: Path, folder: Path) -> Path:
    """The exported bundle."""
    folder.mkdir()
    return find_exporter("monai-bundle").export(run, folder)


def run_here(bundle: Path, scans: Path, into: Path) -> Path:
    """Run a bundle in this process, which has loaded MONAI already; MONAI warns of its own old ways."""
    from monai.bundle import run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(
            config_file=str(bundle / "configs" / "inference.json"),
            bundle_root=str(bundle),
            dataset_dir=str(scans),
            output_dir=str(into),
        )
    return into


def predicted(run: Path, scans: Path, into: Path) -> Path:
    """What this package says."""
    return mg.predict(run, scans, into, quiet=True, accelerator="cpu", precision="32-true")


def agreement(ours: Path, theirs: Path) -> list[float]:
    """The share of equal voxels of each mask; both lie on one grid."""
    masks = sorted(ours.glob("*.nii.gz"))
    assert [mask.name for mask in masks] == sorted(mask.name for mask in theirs.iterdir())
    return [_agree(sitk.ReadImage(str(mask)), sitk.ReadImage(str(theirs / mask.name))) for mask in masks]


def _agree(one: sitk.Image, other: sitk.Image) -> float:
    assert one.GetSize() == other.GetSize()
    for ask in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(one, ask)(), getattr(other, ask)(), atol=1e-4)
    values = [sitk.GetArrayFromImage(image) for image in (one, other)]
    assert len(np.unique(values[0])) > 1
    return float(np.mean(values[0] == values[1]))


def test_bundle_gives_the_masks_of_predict(scans: Path, tmp_path: Path) -> None:
    """`python -m monai.bundle run`, as its users type it: voxel for voxel, whichever way a file's axes run."""
    run = make_run(tmp_path / "run")
    bundle = bundle_of(run, tmp_path / "bundle")
    words = ["--config_file", "configs/inference.json", "--bundle_root", ".", "--dataset_dir", str(scans)]
    command = [sys.executable, "-m", "monai.bundle", "run", *words, "--output_dir", str(tmp_path / "theirs")]
    done = subprocess.run(command, cwd=bundle, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert agreement(predicted(run, scans, tmp_path / "ours"), tmp_path / "theirs") == [1.0] * 5


def test_bundle_of_a_network_at_work_on_slices(scans: Path, tmp_path: Path) -> None:
    """Network inside network: MONAI builds both, and the masks are predict's, which are the 3D twin's."""
    sliced = SliceWise(thresholding_unet(0.20012, 0.60012, axes=2), across=1)
    run, solid = make_run(tmp_path / "run", sliced), make_run(tmp_path / "solid")
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), scans, tmp_path / "theirs")
    assert agreement(predicted(run, scans, tmp_path / "ours"), theirs) == [1.0] * 5
    assert agreement(predicted(solid, scans, tmp_path / "twin"), theirs) == [1.0] * 5


READINGS = [
    Reading(Percentiles(), (2.2, 2.2, 2.2)),
    Reading(ZScore(), (2.2, 2.2, 2.2)),
    Reading(Percentiles(1, 99), (1.0, 3.3, 6.5)),
]


@pytest.mark.parametrize("reading", READINGS)
def test_bundle_resamples_and_scales_as_predict_does(scans: Path, tmp_path: Path, reading: Reading) -> None:
    """There and back, whatever the scale."""
    run = make_run(tmp_path / "run", reading=reading)
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), scans, tmp_path / "theirs")
    assert min(agreement(predicted(run, scans, tmp_path / "ours"), theirs)) >= SHARE


def test_bundle_of_overlapping_labels(scans: Path, tmp_path: Path) -> None:
    """One mask a label, under predict's own names."""
    target = MultilabelSegmentation((Label("soft tissue", (3,)), Label("dense", (7,))))
    run = make_run(tmp_path / "run", thresholding_unet(0.20012, 0.60012, background=False), target=target)
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), scans, tmp_path / "theirs")
    assert (theirs / "LPS__soft_tissue.nii.gz").is_file()
    assert agreement(predicted(run, scans, tmp_path / "ours"), theirs) == [1.0] * 10


def test_bundle_of_channels(tmp_path: Path) -> None:
    """A file a channel, named as nnU-Net does; its mask has the first one's name."""
    for channel in range(2):
        write_ct(tmp_path / "scans" / f"one_{channel:04d}.nii.gz", channel + 1)
    run = make_run(tmp_path / "run", thresholding_unet(0.20012, 0.60012, channels=2), channels=2)
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), tmp_path / "scans", tmp_path / "theirs")
    (theirs / "one_0000.nii.gz").rename(theirs / "one.nii.gz")
    assert agreement(predicted(run, tmp_path / "scans", tmp_path / "ours"), theirs) == [1.0]


def test_bundle_fills_what_is_missing_as_predict_does(tmp_path: Path) -> None:
    """NaN, as registration leaves beyond a CT's border, is air to both; it would spread through the network."""
    hu = make_ct(1).astype(np.float32)
    hu[:3] = np.nan
    (tmp_path / "scans").mkdir()
    sitk.WriteImage(make_image(hu, (0.8, 1.3, 2.0)), str(tmp_path / "scans" / "one.nii.gz"))
    run = make_run(tmp_path / "run")
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), tmp_path / "scans", tmp_path / "theirs")
    assert agreement(predicted(run, tmp_path / "scans", tmp_path / "ours"), theirs) == [1.0]


def test_bundle_of_channels_in_one_file(tmp_path: Path) -> None:
    """As the Decathlon has them, in 4D, which predict reads too: a folder of such files, or one."""
    (tmp_path / "scans").mkdir()
    channels = [make_image(make_ct(seed, SIZE), (0.8, 1.3, 2.0)) for seed in (1, 2)]
    sitk.WriteImage(sitk.JoinSeries(channels), str(tmp_path / "scans" / "one.nii.gz"))
    run = make_run(tmp_path / "run", thresholding_unet(0.20012, 0.60012, channels=2), channels=2)
    bundle = bundle_of(run, tmp_path / "bundle")
    ours = predicted(run, tmp_path / "scans", tmp_path / "ours")
    for scans in (tmp_path / "scans", tmp_path / "scans" / "one.nii.gz"):
        theirs = run_here(bundle, scans, tmp_path / f"theirs-{scans.name}")
        assert agreement(ours, theirs) == [1.0]


def test_networks_of_pictures_are_refused(tmp_path: Path) -> None:
    """A bundle of one would find no file to read among pictures, and end as if all were well."""
    run = make_run(tmp_path / "run", thresholding_unet(0.2, 0.6, axes=2), patch=(16, 16))
    with pytest.raises(WeightsError, match="reads NIfTI volumes, but this network is of pictures"):
        bundle_of(run, tmp_path / "bundle")


def test_metadata_is_what_monai_checks(tmp_path: Path) -> None:
    """Every field of MONAI's own template; the network takes and gives what network_data_format says."""
    from monai.bundle import verify_net_in_out
    from monai.bundle.utils import DEFAULT_METADATA

    bundle = bundle_of(make_run(tmp_path / "run", UNet3D(1, 3, width=1, activation="identity")), tmp_path / "bundle")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert set(DEFAULT_METADATA) <= set(metadata)
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "soft",
        "2": "dense",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verify_net_in_out(
            net_id="network_def",
            meta_file=str(bundle / "configs" / "metadata.json"),
            config_file=str(bundle / "configs" / "inference.json"),
            bundle_root=str(bundle),
            device="cpu",
        )


@pytest.mark.parametrize("kind", ["pre-trained", "classifier"])
def test_networks_without_masks_are_refused(tmp_path: Path, kind: str) -> None:
    """A bundle makes masks; the message says what else to do."""
    if kind == "classifier":
        target = Classification((Label("a"), Label("b")))
        run, what = (
            make_run(tmp_path / "run", mean_classifier(1.0, -1.0), target=target),
            "is of a task of classification",
        )
    else:
        run, what = tmp_path / "bare.safetensors", "was not fine-tuned"
        save_network(run, UNet3D(width=1))
    with pytest.raises(WeightsError, match=f"a MONAI bundle makes masks, but this network {what}"):
        bundle_of(run, tmp_path / "bundle")


@torch.no_grad()
def real_run(folder: Path, scan: Path, reading: Reading) -> Path:
    """A run of random weights whose classes are about equally frequent: its masks are as ragged as any."""
    torch.manual_seed(0)
    network = UNet3D(1, 3, width=4, activation="identity")
    (source,), _ = find_sources(scan)
    centre = tuple(slice(max(0, side // 2 - 16), side // 2 + 16) for side in read_image([source], reading).size)
    cube = pad(torch.from_numpy(read_image([source], reading).scaled(centre))[None])
    for _ in range(20):
        network.train()(cube)
    network.last.bias -= network.eval()(cube).mean((0, 2, 3, 4))
    return make_run(folder, network, target=ORGANS, reading=reading, patch=(32, 32, 32))


def pad(cube: torch.Tensor) -> torch.Tensor:
    """To 32 voxels along each axis."""
    whole = torch.zeros(1, 1, 32, 32, 32)
    whole[:, :, : cube.shape[2], : cube.shape[3], : cube.shape[4]] = cube
    return whole


MR, CT = "mr/hippocampus/images/hippocampus_001.nii.gz", "ct/chest_covidctmd/P001.nii.gz"
REAL = {
    "MR": (MR, Reading(Percentiles()), 1.0),
    "MR, resampled": (MR, Reading(Percentiles(), (1.5, 1.2, 0.8)), 0.9995),
    "CT, resampled": (CT, Reading(spacing_mm=(4.0, 4.0, 4.0)), 0.9995),
}


@needs_data
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("CT")) for name in REAL]
)
def test_bundle_on_real_scans(tmp_path: Path, name: str) -> None:
    """Without resampling voxel for voxel, with it nearly."""
    scan, reading, least = REAL[name]
    run = real_run(tmp_path / "run", DATA / scan, reading)
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), DATA / scan, tmp_path / "theirs")
    assert min(agreement(predicted(run, DATA / scan, tmp_path / "ours"), theirs)) >= least


def test_bundle_of_a_planned_network(scans: Path, tmp_path: Path) -> None:
    """Its architecture, a mapping of mappings, goes through MONAI's configuration unharmed."""
    torch.manual_seed(0)
    network = PlannedUNet(PLANNED, out_channels=3, activation="identity")
    network.eval()
    run = make_run(tmp_path / "run", network)
    theirs = run_here(bundle_of(run, tmp_path / "bundle"), scans / "LPS.nii.gz", tmp_path / "theirs")
    ours = predicted(run, scans / "LPS.nii.gz", tmp_path / "ours")
    assert min(agreement(ours, theirs)) >= SHARE
