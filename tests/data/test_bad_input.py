"""Bad input: each a clear line in problems.csv, never a crash, never a silent drop."""

import csv
import gzip
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import edit, make_ct, make_image, put, write_ct

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.store.store import Store


def problems_of(source: Path, into: Path, **options: object) -> list[dict[str, str]]:
    """Prepare in this process and return the problems."""
    prepare(source, into, workers=0, quiet=True, salt="test", **options)
    with open(into / "problems.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cut(count: int) -> Callable[[bytearray], None]:
    """Remove the last bytes of a file."""
    return lambda data: data.__delitem__(slice(-count, None))


def replaced(path: Path, before: bytes, after: bytes) -> Path:
    """Replace a text in a file."""
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after))
    return path


def save(image: sitk.Image, path: Path) -> None:
    """Write an image."""
    sitk.WriteImage(image, str(path))


def flip_bytes_inside(data: bytearray) -> None:
    """Damage the middle of a file."""
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(8)


SHAPE = "{'descr': '<i2', 'fortran_order': False, 'shape': (9, 9, 9)}"


def npy_header(text: str) -> bytes:
    """A .npy file of this header and no numbers."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def with_sform(path: Path) -> Path:
    """A CT whose place is told by its sform."""
    return edit(write_ct(path), put("<2h", 252, 0, 1))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut.nii": (lambda p: edit(write_ct(p), cut(100)), "cut off"),
    "cut.nii.gz": (lambda p: edit(write_ct(p), cut(500)), "cut off"),
    "tail.nii.gz": (lambda p: edit(write_ct(p), cut(3)), "cut off"),
    "damaged.nii.gz": (lambda p: edit(write_ct(p), flip_bytes_inside), "damaged"),
    "header_only.nii": (lambda p: edit(write_ct(p), cut(2 * 24 * 20 * 18 + 200)), "not a NIfTI"),
    "cut.nrrd": (lambda p: edit(write_ct(p), cut(100)), "cannot be read"),
    "cut.mha": (lambda p: edit(write_ct(p), cut(100)), "cannot be read"),
    "cut.npy": (lambda p: (np.save(p, make_ct()), edit(p, cut(100))), "cut off"),
    "empty.nii.gz": (lambda p: p.write_bytes(b""), "empty"),
    "empty.dcm": (lambda p: p.write_bytes(b""), "empty"),
    "noise.nii.gz": (lambda p: p.write_bytes(bytes(range(256)) * 9), "not a gzipped NIfTI"),
    "noise.nrrd": (lambda p: p.write_bytes(bytes(range(256)) * 9), "not a NRRD"),
    "plain.nii.gz": (lambda p: write_ct(p.parent / "x.nii").rename(p), "a NIfTI file by content"),
    "really_nrrd.nii": (lambda p: write_ct(p.parent / "x.nrrd").rename(p), "a NRRD file by content"),
    "no_ending": (lambda p: write_ct(p.parent / "x.nii").rename(p), "whose name does not say so"),
    "flat.nii.gz": (lambda p: save(make_image(np.full((9, 9, 9), 7, np.int16)), p), "every voxel is 7"),
    "nan.nii.gz": (lambda p: save(make_image(np.full((9, 9, 9), np.nan, np.float32)), p), "NaN"),
    "flat2d.nii.gz": (lambda p: save(sitk.GetImageFromArray(np.eye(9, dtype=np.int16)), p), "2D"),
    "one_slice.nrrd": (lambda p: save(make_image(make_ct()[:, :, :1]), p), "2D"),
    "film.nii": (lambda p: edit(write_ct(p), put("<8h", 40, 4, 24, 20, 9, 2, 1, 1, 1)), "4D"),
    "film.npy": (lambda p: np.save(p, np.ones((2, 5, 5, 5))), "4D"),
    "words.npy": (lambda p: np.save(p, np.array(["a", "b"])), "save integers or floats"),
    "colour.nrrd": (
        lambda p: save(sitk.GetImageFromArray(np.ones((9, 9, 9, 3), np.uint8), isVector=True), p),
        "3 values a voxel",
    ),
    "zero_spacing.nii": (lambda p: edit(write_ct(p), put("<f", 80, 0.0)), "spacing is 0"),
    "negative_spacing.nii": (lambda p: edit(write_ct(p), put("<f", 80, -2.0)), "spacing is -2"),
    "nan_spacing.nii": (lambda p: edit(write_ct(p), put("<f", 80, float("nan"))), "spacing is nan"),
    "zero_spacing.mha": (lambda p: replaced(write_ct(p), b"Spacing = 2 2 3", b"Spacing = 0 2 3"), "spacing is 0"),
    "negative_spacing.mha": (lambda p: replaced(write_ct(p), b"Spacing = 2 2 3", b"Spacing = 2 2 -3"), "x -3 mm"),
    "zero_spacing.nrrd": (lambda p: replaced(write_ct(p), b"(2,0,0)", b"(0,0,0)"), "spacing is 0"),
    "nan_spacing.nrrd": (lambda p: replaced(write_ct(p), b"(2,0,0)", b"(nan,nan,nan)"), "no spacing along one axis"),
    "no_spacing.nrrd": (lambda p: replaced(write_ct(p), b"(0,2,0)", b"none"), "no spacing along one axis"),
    "zero_size.nii": (lambda p: edit(write_ct(p), put("<8h", 40, 3, 0, 20, 18, 1, 1, 1, 1)), "header"),
    "huge.nii": (lambda p: edit(write_ct(p), put("<8h", 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)), "claims"),
    "large.nii": (lambda p: edit(write_ct(p), put("<8h", 40, 3, 999, 999, 999, 1, 1, 1, 1)), "claims"),
    "huge.mha": (lambda p: replaced(write_ct(p), b"= 24 20 18", b"= 99999 99999 99999"), "claims"),
    "large.nrrd": (lambda p: replaced(write_ct(p), b"sizes: 24 20 18", b"sizes: 999 999 999"), "claims"),
    "no_voxels.mhd": (lambda p: (write_ct(p), p.with_suffix(".raw").unlink()), "are not there"),
    "labels.nii.gz": (lambda p: save(make_image((make_ct() > 0).astype(np.uint8)), p), "a label map"),
    "picture.png": (lambda p: p.write_bytes(b"\x89PNG"), "2D picture"),
    "scans.zip": (lambda p: p.write_bytes(b"PK"), "archive"),
    "old.mnc": (lambda p: p.write_bytes(b"\x89HDF"), "not read here"),
    "noise.mgz": (lambda p: p.write_bytes(b"\x1f\x8b"), "not a MGH"),
    "nested.npy": (lambda p: p.write_bytes(npy_header("(" * 300 + ")" * 300)), "damaged"),
    "open.npy": (lambda p: p.write_bytes(npy_header("{1")), "damaged"),
    "digits.npy": (lambda p: p.write_bytes(npy_header(SHAPE.replace("9,", f"{'9' * 3000},"))), "damaged"),
    "far.nii": (lambda p: edit(write_ct(p), put("<f", 108, 3e38)), "cut off"),
    "sform_nan.nii": (lambda p: edit(with_sform(p), put("<f", 292, float("nan"))), "no numbers"),
    "sform_all_nan.nii": (lambda p: edit(with_sform(p), put("<4f", 280, *[float("nan")] * 4)), "not a number"),
    "coarse.nii": (lambda p: edit(write_ct(p), put("<f", 80, 1e30)), "which no scan has"),
    "coarse.mha": (lambda p: replaced(write_ct(p), b"Spacing = 2 2 3", b"Spacing = 1e30 2 3"), "which no scan has"),
    "coarse.nrrd": (lambda p: replaced(write_ct(p), b"(2,0,0)", b"(1e30,0,0)"), "which no scan has"),
    "pipe": (os.mkfifo, "a named pipe"),
    "pipe.nii": (os.mkfifo, "a named pipe"),
    "endless": (lambda p: p.symlink_to("/dev/zero"), "a device"),
    "door": (lambda p: socket.socket(socket.AF_UNIX).bind(str(p)), "a socket"),
    "nowhere.nii": (lambda p: p.symlink_to("gone.nii"), "No such file"),
    "bat_32_64x64x32_0.npy": (lambda p: np.save(p, np.ones((4, 8, 8, 8)) * 3), "values in"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore")
def test_bad_file_is_one_clear_line_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    """The problem names the file, what is wrong and what to do; the good scan beside it is prepared."""
    folder = tmp_path / "scans"
    write_ct(folder / "good.nii.gz", seed=1)
    make, words = BAD[name]
    make(folder / name)
    (problem,) = problems_of(folder, tmp_path / "store")
    assert Path(problem["path"]).name == name
    assert problem["severity"] == "error"
    assert words in problem["problem"] + problem["remedy"]
    assert problem["remedy"]
    assert len(list((tmp_path / "store" / "scans").iterdir())) == 1


def test_pipe_beside_a_detached_header_is_not_opened(tmp_path: Path) -> None:
    """The header is told that its voxels are no file, whatever has their name; so is the pipe itself."""
    path = write_ct(tmp_path / "scans" / "a.mhd")
    write_ct(tmp_path / "scans" / "good.nii.gz", seed=1)
    path.with_suffix(".raw").unlink()
    os.mkfifo(path.with_suffix(".raw"))
    found = {Path(one["path"]).name: one["problem"] for one in problems_of(tmp_path / "scans", tmp_path / "store")}
    assert "are not there" in found["a.mhd"]
    assert "a named pipe" in found["a.raw"]


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8", ">u2"])
def test_big_endian_array_is_read(tmp_path: Path, dtype: str) -> None:
    """The order of the bytes is nobody's fault: the values are those that NumPy reads."""
    (tmp_path / "scans").mkdir()
    values = np.abs(make_ct())
    np.save(tmp_path / "scans" / "a.npy", values.astype(dtype))
    problems_of(tmp_path / "scans", tmp_path / "store", modality="CT")
    store = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(store.read(store.scans[0], (0, 0, 0), values.shape)[0], values)


@pytest.mark.parametrize("offset", [float("nan"), float("inf")])
def test_offset_that_is_no_number_is_that_behind_the_header(tmp_path: Path, offset: float) -> None:
    """A NIfTI file's voxels cannot begin within its header: what is no number means just behind it, as 0 does."""
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(write_ct(tmp_path / "whole.nii"))))
    edit(write_ct(tmp_path / "scans" / "a.nii"), put("<f", 108, offset))
    problems_of(tmp_path / "scans", tmp_path / "store", modality="CT")
    store = Store.open(tmp_path / "store")
    read = store.read(store.scans[0], (0, 0, 0), store.scans[0].size)[0]
    np.testing.assert_array_equal(np.sort(read, axis=None), np.sort(expected, axis=None))


def named_in_latin(folder: Path, ending: str) -> Path:
    """A CT whose name is not UTF-8, as old archives have them."""
    path = write_ct(folder / f"x{ending}", seed=5)
    return path.rename(folder / os.fsdecode(b"caf\xe9" + ending.encode()))


def test_name_that_is_not_utf8_is_read_where_the_library_can(tmp_path: Path) -> None:
    """NIfTI is read by Python; SimpleITK takes no such name, and is not given it, for it would end the process."""
    write_ct(tmp_path / "scans" / "good.nii.gz", seed=1)
    named_in_latin(tmp_path / "scans", ".nii.gz")
    named_in_latin(tmp_path / "scans", ".mha")
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert problem["path"].endswith(r"caf\udce9.mha")
    assert "not UTF-8" in problem["problem"]
    assert len(Store.open(tmp_path / "store").scans) == 2
    assert [one["problem"] for one in problems_of(tmp_path / "scans", tmp_path / "store")] == [problem["problem"]]


def test_row_of_a_table_costs_itself_alone(tmp_path: Path) -> None:
    """A cell longer than a file's name may be, a fold of 5,000 digits, no image, a pipe: each is a line."""
    write_ct(tmp_path / "good.nii.gz", seed=1)
    write_ct(tmp_path / "other.nii.gz", seed=2)
    os.mkfifo(tmp_path / "pipe.nii")
    rows = [f"{'x' * 300}.nii,", "\0.nii,", f"other.nii.gz,{'9' * 5000}", ",1", "pipe.nii,", "good.nii.gz,3"]
    (tmp_path / "scans.csv").write_text("\n".join(["image,fold", *rows]) + "\n")
    found = [one["problem"] for one in problems_of(tmp_path / "scans.csv", tmp_path / "store")]
    (scan,) = Store.open(tmp_path / "store").scans
    assert scan.fold == 3
    assert len(found) == 5
    for words in ("too long", "its fold is '9999", "names no image", "not there"):
        assert any(words in each for each in found), (words, found)


def test_gzip_checksum_is_checked_in_other_byte_order_too(tmp_path: Path) -> None:
    """A rescaled file cannot be checked in memory, so it is unpacked again; a whole one passes."""
    path = write_ct(tmp_path / "scans" / "a.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<2f", data, 112, 2.0, 1.0)
    path.unlink()
    whole = gzip.compress(bytes(data))
    (tmp_path / "scans" / "whole.nii.gz").write_bytes(whole)
    (tmp_path / "scans" / "cut.nii.gz").write_bytes(whole[:-400])
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert problem["path"].endswith("cut.nii.gz")


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz", "a.mha"])
def test_missing_values_are_replaced_with_a_warning(tmp_path: Path, name: str) -> None:
    """NaN and infinities become the least finite value, in NIfTI too, where SimpleITK would make them 0."""
    values = make_ct().astype(np.float32)
    values[0, 0, 0], values[1, 1, 1] = np.nan, np.inf
    (tmp_path / "scans").mkdir()
    save(make_image(values), tmp_path / "scans" / name)
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert problem["severity"] == "warning"
    assert "2 voxels are NaN or infinite" in problem["problem"]
    store = Store.open(tmp_path / "store")
    read = store.read(store.scans[0], (0, 0, 0), (2, 2, 2))[0]
    assert read[0, 0, 0] == read[1, 1, 1] == make_ct().reshape(-1)[1:].min()


def test_empty_folder_within_is_a_warning(tmp_path: Path) -> None:
    """A folder without a file may be a failed copy."""
    write_ct(tmp_path / "scans" / "a.nii.gz")
    (tmp_path / "scans" / "nothing").mkdir()
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert problem["severity"] == "warning"
    assert "empty" in problem["problem"]


def test_folder_without_scans_is_refused(tmp_path: Path) -> None:
    """An empty source is an error with advice, and no store."""
    (tmp_path / "scans").mkdir()
    with pytest.raises(DataError, match="no scan in"):
        prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True)
    assert not (tmp_path / "store" / "made.json").exists()
    with pytest.raises(DataError, match="spelled right"):
        prepare(tmp_path / "nowhere", tmp_path / "store", workers=0, quiet=True)


def test_folder_of_bad_scans_only_is_refused_but_explained(tmp_path: Path) -> None:
    """When nothing can be prepared, problems.csv is written all the same."""
    (tmp_path / "scans").mkdir()
    save(make_image(np.full((9, 9, 9), 7, np.int16)), tmp_path / "scans" / "flat.nii.gz")
    with pytest.raises(DataError, match=r"problems\.csv says why"):
        prepare(tmp_path / "scans", tmp_path / "store", workers=0, quiet=True)
    assert "every voxel" in (tmp_path / "store" / "problems.csv").read_text()


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_unreadable_file_is_named(tmp_path: Path) -> None:
    """Permissions are a problem of their own."""
    write_ct(tmp_path / "scans" / "a.nii.gz")
    write_ct(tmp_path / "scans" / "b.nii.gz", seed=2).chmod(0)
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert "no permission" in problem["problem"]


def test_uncompressed_twin_is_not_read_in_place_of_a_gzipped_file(tmp_path: Path) -> None:
    """Given b.nii.gz, SimpleITK reads b.nii where there is one: refused, or one scan would count twice."""
    write_ct(tmp_path / "scans" / "b.nii", seed=1)
    write_ct(tmp_path / "scans" / "b.nii.gz", seed=2)
    (problem,) = problems_of(tmp_path / "scans", tmp_path / "store")
    assert problem["path"].endswith(".nii.gz")
    assert "in its place" in problem["problem"]


def test_two_scans_with_one_id_and_copies_are_named(tmp_path: Path) -> None:
    """A row twice in a CSV, and a file that is a byte-for-byte copy, are each a line."""
    write_ct(tmp_path / "scans" / "a.nii.gz")
    (tmp_path / "scans" / "b.nii.gz").write_bytes((tmp_path / "scans" / "a.nii.gz").read_bytes())
    write_ct(tmp_path / "scans" / "c.nii.gz", seed=3)
    table = tmp_path / "scans.csv"
    table.write_text("image\nscans/a.nii.gz\nscans/a.nii.gz\nscans/b.nii.gz\nscans/c.nii.gz\n")
    found = {problem["problem"].split(":")[0] for problem in problems_of(table, tmp_path / "store")}
    assert found == {"two scans with one id", f"byte for byte the same as {tmp_path / 'scans' / 'a.nii.gz'}"}


def test_label_map_named_in_a_csv_is_taken(tmp_path: Path) -> None:
    """The remedy that problems.csv gives works."""
    (tmp_path / "scans").mkdir()
    save(make_image((make_ct() > -500).astype(np.uint8)), tmp_path / "scans" / "mask.nii.gz")
    (tmp_path / "scans.csv").write_text("image\nscans/mask.nii.gz\n")
    assert problems_of(tmp_path / "scans.csv", tmp_path / "store") == []
