"""Made-up torsos."""

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.phantom import LABELS, Phantom, torso, write_phantoms
from modelsgenesis.phantom.vessels import grow, murray

SIZE = (80, 64, 48)
NUMBER = {name: number for number, name in LABELS.items()}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """A small torso."""
    return torso(0, SIZE)


def middle(phantom: Phantom, organ: str) -> tuple[float, ...]:
    """The middle of an organ, in voxels along x (to the left), y (to posterior), z (to superior)."""
    return tuple(ndimage.center_of_mass(phantom.labels == NUMBER[organ]))


def inner_hu(phantom: Phantom, organ: str) -> float:
    """The median HU in an organ, its border left out."""
    inside = ndimage.binary_erosion(phantom.labels == NUMBER[organ])
    return float(np.median(phantom.values[0][inside]))


def test_values_are_hu_and_labels_are_named(phantom):
    """A phantom is int16 (1, X, Y, Z) in HU with a uint8 label map whose numbers all have names."""
    assert phantom.values.shape == (1, *SIZE)
    assert phantom.values.dtype == np.int16
    assert phantom.labels.shape == SIZE
    assert set(np.unique(phantom.labels)) <= {0, *LABELS}
    assert -1024 <= phantom.values.min() < -950
    assert 300 < phantom.values.max() <= 3071


def test_same_seed_gives_same_body(phantom):
    """Two calls with one seed agree in every voxel; another seed gives another body."""
    again, other = torso(0, SIZE), torso(1, SIZE)
    assert np.array_equal(phantom.values, again.values)
    assert np.array_equal(phantom.labels, again.labels)
    assert np.mean(phantom.labels != other.labels) > 0.02


def test_whole_torso_is_there(phantom):
    """Every organ that has a name has voxels."""
    missing = [name for name, number in NUMBER.items() if not np.any(phantom.labels == number)]
    assert missing == []


def test_organs_lie_as_in_a_patient_in_lps(phantom):
    """Liver right, spleen and stomach left, heart left of the middle, spine behind, lungs over the liver."""
    half = SIZE[0] / 2
    assert middle(phantom, "lung right")[0] < half < middle(phantom, "lung left")[0]
    assert middle(phantom, "liver")[0] < half < middle(phantom, "spleen")[0]
    assert middle(phantom, "heart")[0] > half
    assert middle(phantom, "sternum")[1] < middle(phantom, "heart")[1] < middle(phantom, "spine")[1]
    assert middle(phantom, "kidney")[2] < middle(phantom, "liver")[2] < middle(phantom, "lung right")[2]
    assert middle(phantom, "airways")[2] > middle(phantom, "heart")[2]


@pytest.mark.parametrize(
    ("organ", "low", "high"),
    [
        ("lung right", -930, -780),
        ("lung left", -930, -780),
        ("liver", 40, 140),
        ("spleen", 30, 170),
        ("spine", 80, 500),
    ],
)
def test_tissue_has_its_hu(phantom, organ, low, high):
    """Median HU inside an organ is what a radiologist expects, with or without contrast medium."""
    assert low < inner_hu(phantom, organ) < high


def test_bodies_differ_in_contrast_medium_and_size():
    """Some bodies have bright vessels and some do not; lungs differ in volume."""
    bodies = [torso(seed, (40, 32, 24)) for seed in range(8)]
    aorta = [float(np.median(body.values[0][body.labels == NUMBER["aorta"]])) for body in bodies]
    lungs = [int(np.sum((body.labels == 1) | (body.labels == 2))) for body in bodies]
    assert min(aorta) < 80 < 120 < max(aorta)
    assert max(lungs) > 1.1 * min(lungs)


def test_nodules_are_where_they_are_said_to_be():
    """The voxel at a nodule's middle carries the label, for all but nodules that a bone or vessel hides."""
    found = []
    for seed in range(4):
        phantom = torso(seed, SIZE)
        for nodule in phantom.nodules:
            at = [mm / step + (n - 1) / 2 for mm, step, n in
                  zip(nodule.centre_mm, phantom.spacing_mm, SIZE, strict=True)]  # fmt: skip
            around = tuple(slice(max(0, round(k) - 1), round(k) + 2) for k in at)
            found.append(bool(np.any(phantom.labels[around] == NUMBER["nodule"])))
    assert len(found) >= 4
    assert np.mean(found) > 0.7


def test_spacing_zooms_into_the_same_body():
    """Half the spacing shows half the field of view: the middle of the spine fills more voxels."""
    near = torso(0, SIZE, (2.2, 2.2, 3.0))
    far = torso(0, SIZE, (4.4, 4.4, 6.0))
    assert near.spacing_mm == (2.2, 2.2, 3.0)
    assert np.sum(near.labels == NUMBER["spine"]) > 1.5 * np.sum(far.labels == NUMBER["spine"])


@pytest.mark.parametrize(("size", "spacing"), [((8, 64, 48), None), (SIZE, (0.0, 2.0, 2.0))])
def test_impossible_sizes_are_refused(size, spacing):
    """Too few voxels or no spacing are refused as such."""
    with pytest.raises(ShapeError, match="at least 16 voxels and a positive spacing"):
        torso(0, size, spacing)


def test_trees_reach_their_targets_and_thin_out():
    """Every target is a tip, every branch is at most as thick as its parent, and Murray's law holds at the forks."""
    rng = np.random.default_rng(0)
    targets = rng.uniform(-50, 50, (40, 3)).astype(np.float32)
    tree = grow([(0.0, 0.0, 80.0), (0.0, 0.0, 60.0)], targets, tip_mm=0.5)
    apart = np.linalg.norm(tree.nodes_mm[None] - targets[:, None], axis=2).min(axis=1)
    assert apart.max() < 1e-3
    assert np.all(tree.radius_mm[1:] <= tree.radius_mm[tree.parent[1:]] + 1e-6)
    tips = len(tree.parent) - len(np.unique(tree.parent))  # nodes that are nobody's parent
    assert tree.radius_mm[0] == pytest.approx(0.5 * tips ** (1 / 2.7), rel=1e-3)
    assert murray(np.array([0, 0, 0]), 1.0, 3.0)[0] == pytest.approx(2 ** (1 / 3))


def test_written_scans_read_back_as_they_were(tmp_path):
    """NIfTI files hold the HU, the spacing and the orientation; a second call writes nothing anew."""
    size = (40, 32, 24)
    paths = write_phantoms(tmp_path, 2, seed=3, size=size, with_labels=True)
    assert [path.name for path in paths] == ["torso-003.nii.gz", "torso-004.nii.gz"]
    image = SimpleITK.ReadImage(str(paths[0]))
    body = torso(3, size)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), body.values[0])
    assert image.GetSpacing() == pytest.approx(body.spacing_mm, rel=1e-5)
    assert image.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    labels = SimpleITK.ReadImage(str(tmp_path / "labels" / "torso-003.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(labels).transpose(2, 1, 0), body.labels)
    before = [path.stat().st_mtime_ns for path in paths]
    assert write_phantoms(tmp_path, 2, seed=3, size=size, with_labels=True) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
