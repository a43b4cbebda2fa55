"""Cubes: where they lie, what they hold, and that the generator alone decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from tests.data.scan_files import make_image, write_ct

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import describe
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.intensity import Percentiles, Window
from modelsgenesis.data.intensity_statistics import CELL_SIDE, make_foreground_map
from modelsgenesis.data.sampling.crop_rules import CROP_RULES, best_place, draw_location, mean_over
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store.store import Store


def make_chest(size: tuple[int, int, int] = (120, 120, 80)) -> np.ndarray:
    """Two lungs at -850 HU in a body at 40 HU in air."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side) for side in size), indexing="ij")
    values = np.where((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, 40, -1000)
    for side in (-1, 1):
        values[((x - side * 0.42) / 0.34) ** 2 + (y / 0.5) ** 2 + (z / 0.9) ** 2 < 1] = -850
    return (values + np.random.default_rng(0).integers(-40, 40, size)).astype(np.int16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A chest, a small scan and a block of soft tissue."""
    folder = tmp_path_factory.mktemp("chest")
    (folder / "scans").mkdir()
    sitk.WriteImage(make_image(make_chest()), str(folder / "scans" / "chest.nii.gz"))
    tissue = np.random.default_rng(1).integers(0, 80, (64, 64, 48)).astype(np.int16)
    sitk.WriteImage(make_image(tissue), str(folder / "scans" / "tissue.nii.gz"))
    write_ct(folder / "scans" / "small.nii.gz", size=(20, 20, 20))
    return Store.open(prepare(folder / "scans", folder / "store", workers=0, quiet=True, salt="s", modality="CT"))


def tissue_score(cube: np.ndarray) -> float:
    """The paper's score of a cube (X, Y, Z) in HU, re-derived voxel by voxel."""
    hard = cube > -150
    following = np.zeros_like(hard)
    following[..., :-1] = hard[..., 1:]
    return float(np.where(hard, 1.0, np.where(following, 0.5, 0.0)).mean())


def test_same_generator_gives_same_cube(store: Store) -> None:
    """The cube of (seed, index) does not depend on what was cut before, nor on the process's state."""
    spec = CubeSpec(size=(24, 24, 16), rule="anywhere")
    one, two = CubeSampler(store, spec), CubeSampler(Store.open(store.path), spec)
    for index in (5, 0, 5, 3):
        first, second = one.sample(generator_for(1, index)), two.sample(generator_for(1, index))
        assert (first.scan.id, first.lower) == (second.scan.id, second.lower)
        np.testing.assert_array_equal(first.image, second.image)


def test_cube_is_what_lies_there_in_zero_to_one(store: Store) -> None:
    """Shape, type and range; the same region of the scan, windowed."""
    sampler = CubeSampler(store, CubeSpec(size=(24, 20, 16), rule="anywhere"))
    cube = sampler.sample(generator_for(0, 0))
    assert (cube.image.shape, cube.image.dtype) == ((1, 24, 20, 16), np.float32)
    assert cube.image.flags.c_contiguous
    hu = store.read(cube.scan, cube.lower, (24, 20, 16))
    np.testing.assert_allclose(cube.image, np.clip((hu + 1000) / 2000, 0, 1), atol=1e-6)


def test_lung_rule_gives_lung_away_from_borders(store: Store) -> None:
    """The paper's score, taken voxel by voxel, stays near its limit of 0.15; margins are kept."""
    sampler = CubeSampler(store, CubeSpec(size=(16, 16, 16), rule="lung"))
    (chest,) = (scan for scan in sampler.scans if scan.size == (120, 120, 80))
    assert {scan.size for scan in sampler.scans} <= {(120, 120, 80), (20, 20, 20)}
    only = CubeSampler(store, sampler.spec, [chest])
    scores = []
    for index in range(60):
        cube = only.sample(generator_for(0, index))
        scores.append(tissue_score(store.read(chest, cube.lower, cube.image.shape[1:])[0]))
        assert all(23 <= low <= 120 - 16 - 23 for low in cube.lower[:2])
        assert 8 <= cube.lower[2] <= 80 - 16 - 8
    assert np.mean(scores) < 0.15
    assert max(scores) < 0.25
    assert max(scores) > 0.05


def test_lung_rule_keeps_the_papers_margins() -> None:
    """Of 512 x 512 x 300 voxels 100 stay free at either border along x and y, and 30 along z."""
    spans = CROP_RULES["lung"].spans((512, 512, 300), (64, 64, 32))
    assert spans == [(100, 512 - 64 - 100), (100, 512 - 64 - 100), (30, 300 - 32 - 30)]


def test_lung_rule_takes_the_least_tissue_where_voxels_are_coarse(store: Store) -> None:
    """A cube too large for 15 % tissue is cut where the scan has least, and no worse than 5 % above that."""
    (chest,) = (scan for scan in store.scans if scan.size == (120, 120, 80))
    sampler = CubeSampler(store, CubeSpec(size=(56, 64, 32), rule="lung"), [chest])
    scores = []
    for index in range(30):
        cube = sampler.sample(generator_for(0, index))
        scores.append(tissue_score(store.read(chest, cube.lower, (56, 64, 32))[0]))
    assert min(scores) > 0.15
    assert max(scores) < 0.55
    assert max(scores) - min(scores) < 0.2


def test_scans_that_give_no_cube_are_named(store: Store) -> None:
    """Too small, or no lung: the id and the reason; none left is an error with advice."""
    sampler = CubeSampler(store, CubeSpec(size=(32, 32, 32), rule="lung"))
    by_size = {scan.size: scan.id for scan in store.scans}
    assert "fewer than the cube's" in sampler.left_out[by_size[20, 20, 20]]
    assert "not_mostly_air" in sampler.left_out[by_size[64, 64, 48]]
    with pytest.raises(DataError, match="none of the 3 scans gives a cube"):
        CubeSampler(store, CubeSpec(size=(200, 32, 32)))


def test_not_mostly_air_gives_filled_cubes(store: Store) -> None:
    """At least about a quarter of each cube lies above the background."""
    sampler = CubeSampler(store, CubeSpec(size=(16, 16, 16), rule="not_mostly_air"))
    for index in range(60):
        cube = sampler.sample(generator_for(0, index))
        hu = store.read(cube.scan, cube.lower, (16, 16, 16))
        assert (hu > cube.scan.foreground).mean() > 0.1


def test_scans_are_equally_likely(store: Store) -> None:
    """A large scan is drawn no more often than a small one; 900 draws of 3, within 5 standard deviations."""
    sampler = CubeSampler(store, CubeSpec(size=(8, 8, 8), rule="anywhere"))
    ids = [sampler.sample(generator_for(0, index)).scan.id for index in range(900)]
    for scan in store.scans:
        assert abs(ids.count(scan.id) - 300) < 5 * np.sqrt(900 * 2 / 9)


@pytest.mark.parametrize("column", ["modality", "site"])
def test_balanced_values_are_equally_likely(store: Store, column: str) -> None:
    """One scan of a value is drawn as often as two of another together; 900 draws, within 5 standard deviations."""
    values = {"modality": ("CT", "MR", "MR"), "site": ("a" * 16, "b" * 16, "b" * 16)}[column]
    scans = [replace(scan, **{column: value}) for scan, value in zip(store.scans, values, strict=True)]
    sampler = CubeSampler(Store(store.path, scans), CubeSpec(size=(8, 8, 8), rule="anywhere", balance=column))
    ids = [sampler.sample(generator_for(0, index)).scan.id for index in range(900)]
    for scan, share in zip(scans, (0.5, 0.25, 0.25), strict=True):
        assert abs(ids.count(scan.id) - 900 * share) < 5 * np.sqrt(900 * share * (1 - share))


def test_values_that_give_no_cube_take_no_share(store: Store) -> None:
    """Of two modalities, the one whose only scan is too small is never drawn, and the others share all draws."""
    small = next(scan for scan in store.scans if scan.size == (20, 20, 20))
    scans = [replace(scan, modality="MR") if scan.id == small.id else scan for scan in store.scans]
    spec = CubeSpec(size=(24, 24, 24), rule="anywhere", balance="modality")
    sampler = CubeSampler(Store(store.path, scans), spec)
    ids = [sampler.sample(generator_for(0, index)).scan.id for index in range(100)]
    assert sorted(set(ids)) == sorted(scan.id for scan in store.scans if scan.id != small.id)


def test_official_cube_files_keep_their_weight_within_a_value(store: Store) -> None:
    """A file of 40 cubes, 10 a scan, is four times as likely as a scan of its modality, and both are half of all."""
    one, two, three = store.scans
    scans = [replace(one, num_cubes=40, cubes_per_scan=10, modality="CT"), two, replace(three, modality="MR")]
    sampler = CubeSampler(Store(store.path, scans), CubeSpec(size=(8, 8, 8), rule="anywhere", balance="modality"))
    np.testing.assert_allclose(np.diff(sampler._cumulative, prepend=0), [0.4, 0.1, 0.5])


def test_sites_that_are_not_known_are_refused(store: Store) -> None:
    """With what to do; and a balance that is none. What a recipe without balance is described by is as it was."""
    with pytest.raises(DataError, match="does not say from which site 3 scans of 3 come; join a store of each site"):
        CubeSampler(store, CubeSpec(size=(8, 8, 8), balance="site", rule="anywhere"))
    with pytest.raises(DataError, match="cannot be balanced by 'fold', only by modality or site"):
        CubeSpec(balance="fold")
    assert "balance" not in describe(CubeSpec())
    assert describe(CubeSpec(balance="site"))["balance"] == "site"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"rule": "brain"}, "there are: lung"), ({"size": (8,)}, "three sides"), ({"size": (8, 8, 0)}, "three sides")],
)
def test_impossible_cubes_are_refused(options: dict[str, object], words: str) -> None:
    """At once, with what there is."""
    with pytest.raises(DataError, match=words):
        CubeSpec(**options)


@given(st.integers(0, 2**32), st.tuples(*[st.integers(9, 40)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_every_drawn_place_is_inside(seed: int, size: tuple[int, ...], cube: tuple[int, ...]) -> None:
    """For any size of scan and cube, with and without margins."""
    rng = np.random.default_rng(seed)
    for rule in CROP_RULES.values():
        cells = rng.integers(0, 256, [-(-side // CELL_SIDE) for side in size]).astype(np.uint8)
        place = draw_location(rule.spans(size, cube), cube, cells, 0.5, rng)
        assert all(0 <= low <= whole - side for low, side, whole in zip(place, cube, size, strict=True))


def test_best_place_is_the_best_of_its_grid() -> None:
    """The table of sums finds what looking everywhere finds."""
    cells = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
    spans, cube = [(0, 30), (3, 20), (1, 17)], (13, 16, 9)
    place, score = best_place(cells, spans, cube)
    assert score == pytest.approx(mean_over(cells, place, cube))
    axes = [sorted({*range(low, high + 1, CELL_SIDE), high}) for low, high in spans]
    every = [mean_over(cells, (x, y, z), cube) for x in axes[0] for y in axes[1] for z in axes[2]]
    assert score == pytest.approx(min(every))


def test_foreground_map_is_the_mean_of_each_cell() -> None:
    """To the precision of looking at every second voxel, for sides that cells do not divide."""
    values = make_chest((44, 37, 21))
    coarse = make_foreground_map(values, -500.0)
    assert coarse.tissue.shape == (6, 5, 3)
    for index in np.ndindex(*coarse.tissue.shape):
        low = np.array(index) * CELL_SIDE
        cell = values[low[0] : low[0] + 8 : 2, low[1] : low[1] + 8 : 2, low[2] : low[2] + 9]
        hard = cell > -150
        score = np.maximum(hard, 0.5 * np.concatenate([hard[..., 1:], hard[..., -1:]], axis=-1))[..., :8].mean()
        assert abs(coarse.tissue[index] / 255 - score) < 0.01
        assert abs(coarse.foreground[index] / 255 - (cell[..., :8] > -500).mean()) < 0.01


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("threshold", [-1e9, -129.0, -0.5, 0.0, 7.0, 7.25, 100.0, 254.5, 255.0, 1e9])
def test_foreground_map_of_whole_numbers_is_that_of_the_same_in_fractions(dtype: str, threshold: float) -> None:
    """To the last bit, for thresholds with and without a fraction, and beyond what the type holds."""
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -300), min(limits.max, 300)
    values = np.random.default_rng(0).integers(low, high, (21, 19, 13), dtype, endpoint=True)
    for shape in (values, np.asfortranarray(values)[::-1], values[..., 0]):
        coarse, wanted = make_foreground_map(shape, threshold), make_foreground_map(shape.astype(np.float64), threshold)
        np.testing.assert_array_equal(coarse.tissue, wanted.tissue)
        np.testing.assert_array_equal(coarse.foreground, wanted.foreground)


def test_official_cube_files_stream_like_scans(tmp_path: Path) -> None:
    """Both official names; values come back exactly, and the number of cubes counts."""
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1001, (64, 64, 64, 32)).astype(np.int16)
    (tmp_path / "scans").mkdir()
    np.save(tmp_path / "scans" / "bat_32_64x64x32_3.npy", (hu + 1000.0) / 2000.0)
    np.save(tmp_path / "scans" / "bat_32_s_64x64x32_5.npy", ((hu[:32, ::-1] + 1000.0) / 2000.0).astype(np.float32))
    store = Store.open(prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True, salt="s"))
    assert [(scan.fold, scan.num_cubes) for scan in sorted(store.scans, key=lambda s: s.fold)] == [(3, 64), (5, 32)]
    sampler = CubeSampler(store, CubeSpec())
    drawn = [sampler.sample(generator_for(0, index)) for index in range(90)]
    for cube in drawn[:10]:
        whole = hu[cube.index] if cube.scan.fold == 3 else hu[cube.index, ::-1]
        np.testing.assert_allclose(cube.image[0], (whole + 1000) / 2000, atol=1e-6)
    assert 40 < sum(cube.scan.fold == 3 for cube in drawn) < 80  # 60 expected: it stands for two scans of three


def test_window_must_rise() -> None:
    """The message says what was given and what to do."""
    with pytest.raises(DataError, match=r"window_hu must rise, got \(1000, -1000\); swap the two numbers"):
        Window(1000, -1000)
    with pytest.raises(DataError, match="percentiles must rise within"):
        Percentiles(99, 1)


def test_percentiles_use_the_scans_own_foreground(store: Store) -> None:
    """Limits come from the manifest; what lies beyond is clipped."""
    scan = store.scans[0]
    low, high = Percentiles().limits(scan)
    assert (low, high) == (scan.percentiles[0.5], scan.percentiles[99.5])
    scaled = Percentiles().scale(np.array([low - 9, low, (low + high) / 2, high, high + 9]), scan)
    np.testing.assert_allclose(scaled, [0, 0, 0.5, 1, 1], atol=1e-6)
