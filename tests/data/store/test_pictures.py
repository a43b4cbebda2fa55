"""Pictures in a store: the same numbers, one kind a store, shrunk by averaging, and learned from."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from tests.radiographs import radiograph

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.intensity import Percentiles, Window
from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
from modelsgenesis.data.store.slicing import Direction


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve pictures of 8 and 16 bits, in three formats."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        levels = radiograph(number, ill=number % 2 == 0)
        deep = levels.astype(np.uint16) * 200
        Image.fromarray(deep if number % 2 else levels).save(folder / f"{number}.{('png', 'tif')[number % 4 == 1]}")
    return folder


def test_pixels_come_back(pictures: Path, tmp_path: Path) -> None:
    """Exactly, whatever the depth; X runs along the rows."""
    store = mg.Store.open(mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True))
    assert store.axes == 2
    stored = sorted(float(store.read(scan, (0, 0), scan.size).sum(dtype=np.float64)) for scan in store.scans)
    written = [np.asarray(Image.open(path)) for path in pictures.iterdir()]
    assert stored == sorted(float(levels.sum(dtype=np.float64)) for levels in written)
    assert {scan.size for scan in store.scans} == {levels.shape[::-1] for levels in written}


def test_longest_side_averages_and_keeps_the_proportions(tmp_path: Path) -> None:
    """Blocks of four pixels a side become their mean; what is small enough stays as it is."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    levels = np.arange(40 * 80).reshape(40, 80).astype(np.uint16) * 8
    Image.fromarray(levels).save(folder / "large.png")
    Image.fromarray(levels[:10, :20]).save(folder / "small.png")
    store = mg.Store.open(mg.prepare(folder, tmp_path / "store", longest_side=20, workers=0, quiet=True))
    large, small = sorted(store.scans, key=lambda scan: -scan.maximum)
    assert (large.size, small.size) == ((20, 10), (20, 10))
    blocks = levels.reshape(10, 4, 20, 4).mean((1, 3))
    np.testing.assert_allclose(store.read(large, (0, 0), (20, 10))[0].T, blocks, rtol=2e-3)
    np.testing.assert_array_equal(store.read(small, (0, 0), (20, 10))[0].T, levels[:10, :20])


def test_beside_volumes_pictures_stay_out(tmp_path: Path) -> None:
    """They are screenshots there, and named."""
    folder = tmp_path / "scans"
    folder.mkdir()
    np.save(folder / "a.npy", generator_for(0, 0, "a").normal(0, 300, (20, 20, 20)).astype(np.float32))
    Image.fromarray(radiograph(0, ill=False)).save(folder / "screen.png")
    store = mg.Store.open(mg.prepare(folder, tmp_path / "store", workers=0, quiet=True))
    assert store.axes == 3
    assert "a 2D picture, not a volume" in (tmp_path / "store" / "problems.csv").read_text()


def test_recipe_of_the_other_kind_is_refused_by_name(pictures: Path, tmp_path: Path) -> None:
    """With the recipes that would do."""
    store = mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True)
    with pytest.raises(DataError, match=r"is for volumes, and the store .* holds pictures; use .*chest-xray"):
        mg.pretrain("any", store, tmp_path / "run")


def test_crops_lie_inside_and_differ(pictures: Path, tmp_path: Path) -> None:
    """A crop is the picture's pixels at its place, scaled."""
    store = mg.Store.open(mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True))
    for rule in ("anywhere", "not_mostly_air"):
        sampler = CubeSampler(store, CubeSpec((24, 16), Percentiles(), rule))
        crops = [sampler.sample(generator_for(0, number)) for number in range(20)]
        assert len({crop.lower for crop in crops}) > 5
        for crop in crops:
            whole = store.read(crop.scan, (0, 0), crop.scan.size)
            x, y = crop.lower
            here = Percentiles().scale(whole, crop.scan)[:, x : x + 24, y : y + 16]
            np.testing.assert_allclose(crop.image, here, atol=1e-6)


def test_small_recipe_learns_the_same_twice(pictures: Path, tmp_path: Path) -> None:
    """One seed gives one network, bit for bit, and a sheet of restorations."""
    from safetensors.torch import load_file

    store = mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True)
    options = {"steps": 6, "batch_size": 4, "size": (32, 32), "width": 2, "val_cubes": 4, "validate_every": 3}
    runs = [mg.pretrain("small-2d", store, tmp_path / name, workers=0, **options) for name in ("a", "b")]
    first, second = (load_file(run / "model.safetensors") for run in runs)
    assert all((first[name] == second[name]).all() for name in first)
    assert next(iter(runs[0].glob("sheets/*.png"))).stat().st_size > 1000


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A store of three volumes of different depth."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    for number in range(3):
        values = generator_for(1, number, "volume").integers(-1000, 1000, (20, 24, 12 + number))
        image = sitk.GetImageFromArray(values.T.astype(np.int16))
        image.SetSpacing((1.0, 2.0, 3.0))
        sitk.WriteImage(image, str(folder / f"{number}.nii.gz"))
    return mg.prepare(folder, tmp_path / "volume-store", modality="CT", workers=0, quiet=True)


@pytest.mark.parametrize(("direction", "axis"), [("axial", 2), ("coronal", 1), ("sagittal", 0)])
def test_slices_are_the_volumes_own(volumes: Path, direction: Direction, axis: int, tmp_path: Path) -> None:
    """Every second one with a neighbour on either side; patients, folds and statistics stay."""
    options = {"slices": direction, "every": 2, "neighbours": 1, "quiet": True}
    flat = mg.Store.open(mg.prepare(volumes, tmp_path / "slices", **options))
    whole = mg.Store.open(volumes)
    kept = [other for other in range(3) if other != axis]
    for scan, volume in zip(flat.scans, whole.scans, strict=True):
        assert (scan.id, scan.patient, scan.fold, scan.percentiles) == (
            volume.id,
            volume.patient,
            volume.fold,
            volume.percentiles,
        )
        assert scan.spacing_mm == tuple(volume.spacing_mm[other] for other in kept)
        values = whole.read(volume, (0, 0, 0), volume.size)[0]
        for index, place in enumerate(range(1, volume.size[axis], 2)):
            read = flat.read(scan, (0, 0), scan.size, index=index)
            around = [min(max(place + step, 0), volume.size[axis] - 1) for step in (-1, 0, 1)]
            planes = np.stack([values.take(at, axis) for at in around])
            np.testing.assert_array_equal(read, planes if axis == 2 else planes[..., ::-1])


def test_slices_are_learned_from(volumes: Path, tmp_path: Path) -> None:
    """By the recipe of CT slices, three neighbours as channels; made again, the store stays as it is."""
    slices = mg.prepare(volumes, tmp_path / "slices", slices="axial", neighbours=1, quiet=True)
    before = {path.name: path.stat().st_mtime_ns for path in (slices / "scans").iterdir()}
    mg.prepare(volumes, tmp_path / "slices", slices="axial", neighbours=1, quiet=True)
    assert before == {path.name: path.stat().st_mtime_ns for path in (slices / "scans").iterdir()}
    options = {"steps": 2, "batch_size": 2, "size": (16, 16), "val_cubes": 2, "validate_every": 2, "workers": 0}
    run = mg.pretrain("chest-ct-2d", slices, tmp_path / "run", backbone="unet3d", width=2, rule="anywhere", **options)
    assert mg.load(run / "model.safetensors").in_channels == 3


@pytest.mark.parametrize("options", [{"slices": "coronal", "neighbours": 1}, {"slices": "orthogonal", "side": 32}])
def test_crop_rules_hold_for_every_slice(options: dict[str, Any], tmp_path: Path) -> None:
    """No crop of air where others are to be had; slices of air alone give none; without the rule, all are cut."""
    values = np.full((64, 40, 64), -1000, np.int16) + np.random.default_rng(0).integers(0, 5, (64, 40, 64), np.int16)
    values[32:, 16:] = 40  # half of each later coronal slice is body
    sitk.WriteImage(sitk.GetImageFromArray(values.T.astype(np.int16)), str(tmp_path / "0.nii.gz"))
    volumes = mg.prepare(tmp_path / "0.nii.gz", tmp_path / "volumes", modality="CT", workers=0, quiet=True)
    store = mg.Store.open(mg.prepare(volumes, tmp_path / "slices", every=4, quiet=True, **options))
    body: dict[str, list[float]] = {}
    for rule in ("not_mostly_air", "anywhere"):
        sampler = CubeSampler(store, CubeSpec(size=(24, 24), intensity=Window(-1000, 1000), rule=rule))
        drawn = [sampler.sample(generator_for(0, number)) for number in range(60)]
        body[rule] = [float((cube.image[1] > 0.4).mean()) for cube in drawn]  # of the coronal slice itself
        for cube in drawn:
            cut = store.read_scaled(cube.scan, cube.lower, (24, 24), sampler.spec.intensity, index=cube.index)
            np.testing.assert_array_equal(cut, cube.image)
    assert min(body["not_mostly_air"]) > 0  # a quarter of the cells of eight pixels that a crop touches
    assert np.quantile(body["anywhere"], 0.2) == 0


def test_slices_keep_the_salt_of_their_patients(volumes: Path, tmp_path: Path) -> None:
    """By it an audit finds patients; of a store that was shared without it, there is none, then and again."""
    slices = mg.prepare(volumes, tmp_path / "slices", slices="axial", quiet=True)
    assert (slices / "salt").read_text() == (volumes / "salt").read_text()
    (volumes / "salt").unlink()
    for _ in range(2):
        shared = mg.prepare(volumes, tmp_path / "shared", slices="axial", quiet=True)
        assert not (shared / "salt").exists()


def test_who_is_left_out_of_the_volumes_leaves_the_slices(volumes: Path, tmp_path: Path) -> None:
    """Slices take no table of their own, and say so; made again, they lose what the volumes lost, file and row."""
    table = tmp_path / "test.csv"
    table.write_text(f"image\n{tmp_path / 'volumes' / '1.nii.gz'}\n")
    slices = mg.prepare(volumes, tmp_path / "slices", slices="axial", quiet=True)
    with pytest.raises(DataError, match="--leave-out cannot be given with --slices"):
        mg.prepare(volumes, slices, slices="axial", leave_out=(table,), quiet=True)
    volumes = mg.prepare(tmp_path / "volumes", tmp_path / "v", modality="CT", leave_out=(), workers=0, quiet=True)
    slices = mg.prepare(volumes, tmp_path / "fewer", slices="axial", quiet=True)
    lost = next(scan for scan in mg.Store.open(volumes).scans if scan.size[2] == 13)
    (volumes / "scans" / f"{lost.id}.b2nd").unlink()
    (tmp_path / "volumes" / "1.nii.gz").unlink()
    mg.prepare(tmp_path / "volumes", volumes, modality="CT", workers=0, quiet=True)
    mg.prepare(volumes, slices, slices="axial", quiet=True)
    assert lost.id not in {scan.id for scan in mg.Store.open(slices).scans}
    assert {path.stem for path in (slices / "scans").iterdir()} == {scan.id for scan in mg.Store.open(volumes).scans}


def test_only_volumes_are_sliced(pictures: Path, tmp_path: Path) -> None:
    """A folder of scans is prepared first; pictures are slices already."""
    with pytest.raises(DataError, match="prepare"):
        mg.prepare(pictures, tmp_path / "slices", slices="axial", quiet=True)
    store = mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True)
    with pytest.raises(DataError, match="holds no whole volumes to slice"):
        mg.prepare(store, tmp_path / "slices", slices="axial", quiet=True)


def test_mask_among_pictures_is_named_as_such(pictures: Path, tmp_path: Path) -> None:
    """One bit a pixel: two different numbers are labels."""
    Image.fromarray(radiograph(0, ill=True) > 120).save(pictures / "mask.png")
    store = mg.Store.open(mg.prepare(pictures, tmp_path / "store", workers=0, quiet=True))
    assert len(store.scans) == 12
    assert "a label map, not a scan: only 2 different whole numbers" in (store.path / "problems.csv").read_text()


def framed(levels: np.ndarray) -> np.ndarray:
    """A picture within a black frame that is not quite even, and that within a white one, wider at some sides."""
    black = np.pad(levels.astype(int), ((3, 5), (4, 0)))
    black[1, ::2] = 2
    return np.pad(black, ((0, 2), (1, 6)), constant_values=255).astype(np.uint8)


def test_borders_are_cropped_on_request(tmp_path: Path) -> None:
    """The picture within comes back to the pixel; one without a frame stays; shrinking counts what is left."""
    (tmp_path / "pictures").mkdir()
    inner = {name: radiograph(number, ill=True).clip(20, 220) for number, name in enumerate("ab")}
    Image.fromarray(framed(inner["a"])).save(tmp_path / "pictures" / "a.png")
    Image.fromarray(inner["b"]).save(tmp_path / "pictures" / "b.png")
    whole = mg.Store.open(mg.prepare(tmp_path / "pictures", tmp_path / "whole", workers=0, quiet=True))
    assert sorted(scan.size for scan in whole.scans) == [(32, 40), (43, 50)]
    asked = {"workers": 0, "quiet": True, "crop_borders": True, "longest_side": 40}
    store = mg.Store.open(mg.prepare(tmp_path / "pictures", tmp_path / "store", **asked))
    read = [store.read(scan, (0, 0), (32, 40))[0].T for scan in store.scans]
    assert {scan.size for scan in store.scans} == {(32, 40)}
    assert {each.tobytes() for each in read} == {
        levels.astype(each.dtype).tobytes() for levels in inner.values() for each in read
    }
    assert {scan.fingerprint for scan in store.scans} == {
        scan.fingerprint for scan in mg.Store.open(tmp_path / "whole").scans
    }


def packed(folder: Path, archive: Path) -> Path:
    """A folder as an archive of the kind that the name says."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in sorted(folder.rglob("*")):
                zipped.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
            tar.add(folder, ".")
    return archive


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])
def test_archive_is_prepared_as_its_folder(name: str, pictures: Path, tmp_path: Path) -> None:
    """The same ids, the same bytes; problems are of the archive; nothing is left, and it goes on where it was."""
    (pictures / "deeper").mkdir()
    (pictures / "deeper" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pictures / "copy.png").write_bytes((pictures / "0.png").read_bytes())
    (pictures / "inner.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    archive = packed(pictures, tmp_path / name)
    asked = {"workers": 0, "quiet": True, "salt": "one"}
    folder, store = (
        mg.prepare(place, tmp_path / f"of{number}", **asked) for number, place in enumerate((pictures, archive))
    )
    names = sorted(path.name for path in (folder / "scans").iterdir())
    assert names == sorted(path.name for path in (store / "scans").iterdir())
    assert all((folder / "scans" / each).read_bytes() == (store / "scans" / each).read_bytes() for each in names)
    told = (store / "problems.csv").read_text().replace(str(archive), str(pictures))
    assert told == (folder / "problems.csv").read_text()
    assert "genesis prepare takes a .zip" in told
    inodes = {path: path.stat().st_ino for path in (store / "scans").iterdir()}
    (store / ".archive.part" / "deeper").mkdir(parents=True)  # as a kill leaves it
    mg.prepare(archive, store, **asked)
    assert inodes == {path: path.stat().st_ino for path in (store / "scans").iterdir()}
    assert not (store / ".archive.part").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_in_an_archive_are_not_trusted(kind: str, pictures: Path, tmp_path: Path) -> None:
    """Nothing is written outside, links are left out, the rest goes on."""
    good, archive = pictures / "0.png", tmp_path / f"set.{kind}"
    evil = ["../out.png", "/tmp/out-of-the-archive.png", "a/../../out.png", "c:\\out.png"]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name in ("0.png", *evil):
                zipped.writestr(zipfile.ZipInfo(name), good.read_bytes())
    else:
        with tarfile.open(archive, "w") as tar:
            for name in ("0.png", *evil):
                info = tarfile.TarInfo(name)
                info.size = good.stat().st_size
                tar.addfile(info, io.BytesIO(good.read_bytes()))
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, str(good)
            tar.addfile(link)
    before = set(tmp_path.rglob("*"))
    store = mg.prepare(archive, tmp_path / "store", workers=0, quiet=True)
    assert {path for path in set(tmp_path.rglob("*")) - before if store not in (path, *path.parents)} == set()
    assert not Path("/tmp/out-of-the-archive.png").exists()
    problems = (store / "problems.csv").read_text()
    assert len(list((store / "scans").iterdir())) == 1
    assert problems.count("leads out of the folder") == len(evil)
    assert ("is a link or a device" in problems) == (kind == "tar")


def test_archive_that_is_none_is_one_line(pictures: Path, tmp_path: Path) -> None:
    """Cut off, not one at all, without a picture, or with what is to be left out."""
    whole = packed(pictures, tmp_path / "set.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.zip").write_bytes(b"words")
    for name in ("cut.tar.gz", "none.zip"):
        with pytest.raises(DataError, match=f"{name}: cut off or damaged"):
            mg.prepare(tmp_path / name, tmp_path / f"store of {name}", workers=0, quiet=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no scan in .*empty\.zip"):
        mg.prepare(packed(tmp_path / "empty", tmp_path / "empty.zip"), tmp_path / "nothing", workers=0, quiet=True)
    assert not (tmp_path / "nothing" / ".archive.part").exists()
    (tmp_path / "test.csv").write_text("image\n0.png\n")
    with pytest.raises(DataError, match="unpack it first"):
        mg.prepare(tmp_path / "set.tar.gz", tmp_path / "s", leave_out=(tmp_path / "test.csv",), workers=0, quiet=True)
