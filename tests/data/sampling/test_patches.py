"""Prepared cases and their patches: what is cut is what the files hold, wherever it lies."""

import hashlib
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.scan_files import SIZE, make_image

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label, LabelMap, MulticlassMap, MultilabelMap
from modelsgenesis.core.naming import describe
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.image_size import ImageSize, image_size_of, middle_spacing, sizes_at
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles, Window
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sampling.patches import CentredPatches, PatchSampler
from modelsgenesis.data.sources import Source, find_sources
from modelsgenesis.data.store.case_cache import (
    CachedCase,
    CaseCache,
    cache_case,
    count_planes,
    find_cached_case,
    some_of,
)
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.tasks.case_finder import with_modality

ORGANS = Segmentation((Label("liver", (1,)), Label("spleen", (5,))))
SHAPE = (20, 14, 9)


def write(path: Path, values: np.ndarray, direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)) -> Source:
    """Write (file's axes) and find it again."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing((0.5, 2.0, 3.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return find_sources(path)[0][0]


def make_case(folder: Path, shape: tuple[int, int, int] = SHAPE) -> tuple[Case, np.ndarray, np.ndarray]:
    """A CT of random HU with a small liver and one voxel of spleen."""
    rng = generator_for(1, 0, "ct")
    values = rng.integers(-1000, 1000, shape).astype(np.int16)
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 3:7, 1:4] = 1
    mask[-1, -1, -1] = 5
    case = Case("one", (write(folder / "i.nrrd", values),), masks=(write(folder / "m.nrrd", mask),))
    return case, values, mask


@pytest.fixture
def cached(tmp_path: Path) -> tuple[CaseCache, CachedCase, np.ndarray, np.ndarray]:
    """One prepared case, and what it was made of: image in [0, 1], classes."""
    case, values, mask = make_case(tmp_path)
    prepared = cache_case(case, target=ORGANS, reading=Reading(Window(-1000, 1000)), into=tmp_path / "cases")
    classes = np.where(mask == 5, 2, mask)
    return CaseCache(tmp_path / "cases"), prepared, (values.astype(np.float32) + 1000) / 2000, classes


def test_case_that_an_earlier_version_kept_is_not_read_again(tmp_path: Path) -> None:
    """What it is known by is a hash over the description of the target that the first version wrote."""
    case, _, _ = make_case(tmp_path)
    sources = [
        [str(source.path), source.series, source.array, source.index, source.modality]
        for source in (*case.images, *case.masks)
    ]
    states = [source.path.stat() for source in (*case.images, *case.masks)]
    known = [[name, state.st_size, state.st_mtime_ns] for name, state in zip(sources, states, strict=True)]
    label = {"class": "modelsgenesis.core.target:Label"}
    labels = [{**label, "name": "liver", "values": [1]}, {**label, "name": "spleen", "values": [5]}]
    kind = {"class": "modelsgenesis.core.target:Target", "kind": "segmentation", "labels": labels, "exclusive": True}
    told = json.dumps([kind, describe(Reading(Window(-1000, 1000))), known, list(case.values)])
    prepared = cache_case(case, target=ORGANS, reading=Reading(Window(-1000, 1000)), into=tmp_path / "cases")
    assert prepared.made_of == hashlib.sha256(told.encode()).hexdigest()


def test_regions_are_what_the_files_hold(cached: tuple[CaseCache, CachedCase, np.ndarray, np.ndarray]) -> None:
    """Also where a region leaves the case: there the image is 0 and the mask background."""
    case_cache, case, image, classes = cached
    lower, size = (-3, 5, -1), (26, 6, 12)
    padded, labels = (np.pad(whole, ((3, 3), (0, 0), (1, 2))) for whole in (image, classes))
    np.testing.assert_allclose(case_cache.image(case, lower, size)[0], padded[:, 5:11], atol=1e-6)
    np.testing.assert_array_equal(case_cache.mask(case, lower, size)[0], labels[:, 5:11])


def test_places_are_voxels_of_their_label(cached: tuple[CaseCache, CachedCase, np.ndarray, np.ndarray]) -> None:
    """Every voxel of a small label is there, and the counts are of all."""
    case_cache, case, _, classes = cached
    assert case.num_voxels == (48, 1)
    for label in range(2):
        locations = case_cache.locations(case, label)
        assert {tuple(place) for place in locations.tolist()} == set(
            map(tuple, np.argwhere(classes == label + 1).tolist())
        )


def test_what_is_kept_is_read_only_once(tmp_path: Path) -> None:
    """The second time nothing is written; another reading, or another source, is another case."""
    case, _, mask = make_case(tmp_path)
    options = {"target": ORGANS, "into": tmp_path / "cases"}
    first = cache_case(case, reading=Reading(), **options)
    written = (tmp_path / "cases" / "one.image.b2nd").stat().st_mtime_ns
    assert cache_case(case, reading=Reading(), **options) == first
    assert (tmp_path / "cases" / "one.image.b2nd").stat().st_mtime_ns == written
    other = cache_case(case, reading=Reading(Percentiles()), **options)
    assert other.limits != first.limits
    mask[:] = 0
    mask[0, 0, 0] = 5
    write(tmp_path / "m.nrrd", mask)  # of the same size in bytes
    assert cache_case(case, **options, reading=Reading(Percentiles())).num_voxels == (0, 1)
    other = find_cached_case(tmp_path / "cases", "one")
    (tmp_path / "cases" / "one.image.b2nd").write_bytes(b"cut off")
    assert cache_case(case, reading=Reading(Percentiles()), **options) == other
    with pytest.raises(DataError, match="holds no case two"):
        CaseCache(tmp_path / "cases").case("two")


def test_another_volume_of_the_file_is_another_case(tmp_path: Path) -> None:
    """A corrected row of a table: the next volume of the same 4D file, or another modality."""
    volumes = [make_image(np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)) for seed in (0, 1)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(tmp_path / "all.nii.gz"))
    target = Classification((Label("well", (0,)), Label("ill", (1,))))
    made_of = set()
    for entry, modality in (("all.nii.gz#0", ""), ("all.nii.gz#1", ""), ("all.nii.gz#1", "MR")):
        source = with_modality(one_source(tmp_path / entry, tmp_path), modality)
        case = Case("one", (source,), values=(0.0,))
        kept = cache_case(case, target=target, reading=Reading(Percentiles()), into=tmp_path / "cases")
        made_of.add(kept.made_of)
        here = CaseCache(tmp_path / "cases").images_of(kept).read((slice(0, 1), slice(0, 1)))[0, 0]
        np.testing.assert_array_equal(here, read_volume(source).values[0])
    assert len(made_of) == 3


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 30)] * 3), seed=st.integers(0, 1000), foreground=st.sampled_from([0.0, 0.5, 1.0])
)
def test_patches_lie_inside_or_evenly_around(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[int, int, int], seed: int, foreground: float
) -> None:
    """Never beyond a border that they could keep within; a smaller case is in the middle, the odd voxel behind."""
    folder = tmp_path_factory.getbasetemp() / "patches"
    folder.mkdir(exist_ok=True)
    case, _, _ = make_case(folder)
    prepared = cache_case(case, target=ORGANS, reading=Reading(), into=folder / "cases")
    sampler = PatchSampler(CaseCache(folder / "cases"), [prepared], size, foreground=foreground)
    patch = sampler.sample(generator_for(seed, 0))
    again = sampler.sample(generator_for(seed, 0))
    assert patch.arrays["image"].shape == patch.arrays["mask"].shape == (1, *size)
    assert all(np.array_equal(patch.arrays[name], again.arrays[name]) for name in patch.arrays)
    for whole, side, low in zip(SHAPE, size, patch.lower, strict=True):
        assert (0 <= low <= whole - side) if whole >= side else low == -((side - whole) // 2)


def test_margin_leaves_the_patch_where_it_is(cached: tuple[CaseCache, CachedCase, np.ndarray, np.ndarray]) -> None:
    """What is cut around a patch hangs over the case's borders; the patch in its middle is the one without a margin."""
    case_cache, case, *_ = cached
    corners = set()
    for index in range(200):
        patch, wide = (
            PatchSampler(case_cache, [case], (8, 8, 8), reach=reach, foreground=0.2).sample(generator_for(0, index))
            for reach in (None, (14, 12, 8))
        )
        inside = (slice(None), slice(3, 11), slice(2, 10), slice(None))
        assert all(np.array_equal(wide.arrays[name][inside], patch.arrays[name]) for name in patch.arrays)
        assert wide.lower == (patch.lower[0] - 3, patch.lower[1] - 2, patch.lower[2])
        corners.add(patch.lower[0])
    assert corners == set(range(SHAPE[0] - 8 + 1))  # the first and last voxels are seen too


def test_foreground_patches_hold_a_label_each_as_often(
    cached: tuple[CaseCache, CachedCase, np.ndarray, np.ndarray],
) -> None:
    """One voxel of spleen is found as often as the liver, 48 times its size; 400 draws, five standard deviations."""
    case_cache, case, _, _ = cached
    sampler = PatchSampler(case_cache, [case], (3, 3, 3), foreground=1.0)
    masks = [sampler.sample(generator_for(0, index)).arrays["mask"] for index in range(400)]
    spleens = sum(bool((mask == 2).any()) for mask in masks)
    assert all(mask.any() for mask in masks)
    assert abs(spleens - 200) < 5 * np.sqrt(100)


def test_case_cache_travels_to_another_process(cached: tuple[CaseCache, CachedCase, np.ndarray, np.ndarray]) -> None:
    """Pickled after reading, it reads the same."""
    case_cache, case, _, _ = cached
    before = case_cache.image(case, (0, 0, 0), SHAPE)
    assert np.array_equal(pickle.loads(pickle.dumps(case_cache)).image(case, (0, 0, 0), SHAPE), before)


def test_centred_patches_go_through_the_cases(tmp_path: Path) -> None:
    """The middle of each, with its values."""
    case, values, _ = make_case(tmp_path)
    target = Classification((Label("a"), Label("b")))
    labelled = Case("one", case.images, values=(1.0,))
    prepared = cache_case(labelled, target=target, reading=Reading(), into=tmp_path / "cases")
    centred = CentredPatches(CaseCache(tmp_path / "cases"), [prepared], (4, 4, 4))
    expected = (values[8:12, 5:9, 2:6].astype(np.float32) + 1000) / 2000
    np.testing.assert_allclose(centred[0]["image"][0].numpy(), expected, atol=1e-6)
    assert centred[0]["values"].tolist() == [1.0]
    assert len(centred) == 1


def test_extents_come_from_headers_in_lps(tmp_path: Path) -> None:
    """An image stored with its axes turned has its size and spacing along X, Y and Z."""
    turned = write(tmp_path / "t.nii.gz", np.zeros((5, 6, 7), np.int16), (0, 0, 1, 1, 0, 0, 0, 1, 0))
    image_size = image_size_of(turned)
    assert image_size.size == (7, 5, 6)
    np.testing.assert_allclose(image_size.spacing_mm, (3.0, 0.5, 2.0), rtol=1e-6)
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 5), np.float32))
    assert image_size_of(find_sources(tmp_path / "a.npy")[0][0]) == ImageSize((3, 4, 5), (1.0, 1.0, 1.0))


def test_middle_spacing_is_asked_only_of_unlike_scans() -> None:
    """A twentieth apart is alike; otherwise the median, and sizes follow."""
    alike = [ImageSize((10, 10, 10), (1.0, 1.0, step)) for step in (2.0, 2.05, 1.95)]
    unlike = [ImageSize((10, 10, 10), (1.0, 1.0, step)) for step in (1.0, 2.0, 5.0)]
    assert middle_spacing(alike) is None
    assert middle_spacing(unlike) == (1.0, 1.0, 2.0)
    assert sizes_at(unlike, (1.0, 1.0, 2.0))[:, 2].tolist() == [5, 10, 25]


def test_a_task_may_have_many_labels(tmp_path: Path) -> None:
    """Forty of them, of which one is large and one is not there; each place is a voxel of its label."""
    mask = np.zeros((40, 14, 9), np.uint8)
    for label in range(39):
        mask[label, :3, :2] = label + 1
    mask[:, 5:, :] = 1
    target = Segmentation(tuple(Label(f"organ {k}", (k,)) for k in range(1, 41)))
    image = generator_for(2, 0).integers(-1000, 1000, mask.shape).astype(np.int16)
    case = Case("many", (write(tmp_path / "i.nrrd", image),), masks=(write(tmp_path / "m.nrrd", mask),))
    prepared = cache_case(case, target=target, reading=Reading(), into=tmp_path / "cases")
    case_cache = CaseCache(tmp_path / "cases")
    for label in range(40):
        locations = case_cache.locations(prepared, label)
        assert len(locations) == min(1000, prepared.num_voxels[label])
        assert (mask[tuple(locations.T)] == label + 1).all()
    assert (prepared.num_voxels[0], prepared.num_voxels[39]) == (6 + 40 * 9 * 9, 0)


@pytest.mark.parametrize("kind", [MulticlassMap, MultilabelMap])
def test_chosen_places_are_of_all_voxels_in_order(kind: type[LabelMap]) -> None:
    """Few voxels are all kept, in order; of many each is as likely, whichever planes they lie in."""
    rng = np.random.default_rng(1)
    mask = rng.choice(4, (1, 30, 20, 9), p=(0.5, 0.3, 0.199, 0.001)).astype(np.uint8)
    labels = kind(tuple(Label(name) for name in "abc"))
    if kind is MultilabelMap:
        mask = np.concatenate([mask == k for k in (1, 2, 3)]).astype(np.uint8)
    counts = count_planes(mask, labels)
    for label in range(3):
        every = np.argwhere(mask[0] == label + 1 if kind is MulticlassMap else mask[label])
        assert counts[label].sum() == len(every)
        found = some_of(mask, labels, label, counts[label])
        assert len(found) == min(1000, len(every))
        assert len(np.unique(found, axis=0)) == len(found)
        rows = {tuple(place): at for at, place in enumerate(every.tolist())}
        at = np.array([rows[tuple(place)] for place in found.tolist()])
        if len(every) <= 1000:
            assert at.tolist() == list(range(len(every)))
        else:
            assert abs(at.mean() / len(every) - 0.5) < 0.04


def test_choosing_places_takes_less_memory_than_the_mask() -> None:
    """A list of every voxel of an organ would take twenty times the mask's."""
    mask = np.ones((1, 100, 120, 90), np.uint8)
    labels = MulticlassMap((Label("organ"),))
    tracemalloc.start()
    some_of(mask, labels, 0, count_planes(mask, labels)[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mask.nbytes
