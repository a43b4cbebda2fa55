"""Packed voxels are those that zlib and SimpleITK unpack, and what is damaged is refused as by them."""

import gzip
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.core.files import open_regular
from modelsgenesis.data.formats.base.itk import Image, PlainImage, voxels_of
from modelsgenesis.data.formats.base.unpacking import GZIPPED, ZLIB, unpack_into, unpacked
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import find_sources

BODY = bytes(random.Random(0).randrange(8) for _ in range(1500))
SIZE = (5, 6, 7)  # (K, J, I)


def member(flags: int, body: bytes = BODY, level: int = 6) -> bytes:
    """A member of a gzipped file whose head has the fields that its flags announce."""
    plain = gzip.compress(body, level, mtime=0)
    head = bytearray(plain[:10])
    head[3] = flags
    more = (
        (struct.pack("<H", 5) + b"extra") * bool(flags & 4) + b"name\0" * bool(flags & 8) + b"word\0" * bool(flags & 16)
    )
    more += struct.pack("<H", zlib.crc32(bytes(head) + more) & 0xFFFF) * bool(flags & 2)
    return bytes(head) + more + plain[10:]


def by_zlib(data: bytes) -> bytes | None:
    """All members one after the other, with zeros between and behind them; None where one is damaged."""
    held = []
    try:
        while data:
            unpacker = zlib.decompressobj(31)
            held.append(unpacker.decompress(data))
            if not unpacker.eof:
                return None
            data = unpacker.unused_data.lstrip(b"\0")
    except zlib.error:
        return None
    return b"".join(held) if held else None


def by_ours(path: Path, data: bytes) -> bytes | None:
    """The same from a file."""
    path.write_bytes(data)
    try:
        with open_regular(path) as file:
            return b"".join(unpacked(file))
    except UnreadableError:
        return None


MEMBERS = {
    **{f"flags {flags}": member(flags) for flags in (0, 1, 2, 4, 8, 16, 30, 32, 64, 224)},
    "stored": member(0, level=0),
    "two": member(0) + member(8, b"more"),
    "two of other heads": member(8) + member(2, b"more"),
    "zeros between": member(0) + bytes(9) + member(0),
    "zeros behind": member(0) + bytes(100),
    "something behind": member(0) + b"something",
    "empty": member(0, b""),
    "nothing": b"",
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_unpacked_or_refused_as_by_zlib(name: str, tmp_path: Path) -> None:
    """Whole, cut off anywhere, and with any bit of head or end, or some bit between, turned."""
    whole, rng = MEMBERS[name], random.Random(1)
    assert by_ours(tmp_path / "a", whole) == by_zlib(whole)
    for length in {*range(min(30, len(whole))), *range(max(0, len(whole) - 12), len(whole)), len(whole) // 2}:
        assert by_ours(tmp_path / "a", whole[:length]) == by_zlib(whole[:length]), length
    ends = {*range(12), *(rng.randrange(max(1, len(whole))) for _ in range(25)), *range(len(whole) - 9, len(whole))}
    for place in (place for place in ends if 0 <= place < len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        assert by_ours(tmp_path / "a", bytes(damaged)) == by_zlib(bytes(damaged)), place


@pytest.mark.parametrize("kind", [GZIPPED, ZLIB])
def test_array_is_filled_by_just_as_much(kind: int, tmp_path: Path) -> None:
    """By more bytes it is not; fewer, a stream that is cut off and one whose checksum is wrong are refused."""
    numbers, wanted = np.zeros((10, 15, 5), "<i2"), BODY
    packer = zlib.compressobj(6, zlib.DEFLATED, kind)
    packed = packer.compress(wanted) + packer.flush()
    (tmp_path / "a").write_bytes(b"head" + packed)
    assert unpack_into(numbers, tmp_path / "a", 4, kind)
    assert numbers.tobytes() == wanted
    assert not unpack_into(np.zeros(749, "<i2"), tmp_path / "a", 4, kind)
    with pytest.raises(UnreadableError, match="1500 bytes of voxels where its header claims 1502"):
        unpack_into(np.zeros(751, "<i2"), tmp_path / "a", 4, kind)
    for damaged in (packed[:-1], packed[:-1] + bytes([packed[-1] ^ 1]), packed[:9], b""):
        (tmp_path / "b").write_bytes(damaged)
        with pytest.raises(UnreadableError, match="cut off or damaged"):
            unpack_into(numbers, tmp_path / "b", 0, kind)


def numbers(dtype: str) -> np.ndarray:
    """Voxels over all that a type holds."""
    rng = np.random.default_rng(0)
    if dtype == "float32":
        return rng.standard_normal(SIZE).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, SIZE, dtype, endpoint=True)


def write(path: Path, values: np.ndarray) -> bytes:
    """Write a compressed file by SimpleITK; its bytes."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10, 4, 7))
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(path), useCompression=True)
    return path.read_bytes()


def read(path: Path) -> Image:
    """Read a file as its format does."""
    (source,), problems = find_sources(path)
    assert not problems
    image, _ = source.format.read(source)
    return image


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz", ".nii"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float32"])
def test_voxels_are_those_of_simpleitk(dtype: str, ending: str, tmp_path: Path) -> None:
    """Of every type, in float32 where they are wider; SimpleITK makes a copy only of what it reads itself."""
    path = tmp_path / f"a{ending}"
    write(path, numbers(dtype))
    image, short = read(path), dtype not in ("int32", "float32")
    wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(voxels_of(image), wanted if short else wanted.astype(np.float32))
    assert isinstance(image, PlainImage) == (short or ending.startswith(".nii"))


ODD = {
    ".mha": {
        "slope": (b"ElementDataFile", b"ElementToIntensityFunctionSlope = 2\nElementDataFile"),
        "its other order": (b"BinaryDataByteOrderMSB = False", b"BinaryDataByteOrderMSB = True"),
        "other type": (b"MET_SHORT", b"MET_USHORT"),
        "spaces": (b"ElementDataFile = LOCAL", b"ElementDataFile =  LOCAL"),
        "fewer slices": (b"DimSize = 7 6 5", b"DimSize = 7 6 4"),
        "said to be bare": (b"CompressedData = True", b"CompressedData = False"),
    },
    ".nrrd": {
        "its other order": (b"endian: little", b"endian: big"),
        "other type": (b"type: short", b"type: uint16"),
        "its own key": (b"endian: little", b"endian: little\nkey:=value\n# a comment"),
        "line skip": (b"endian: little", b"endian: little\nline skip: 0"),
        "byte skip": (b"endian: little", b"endian: little\nbyte skip: 0"),
        "short name": (b"encoding: gzip", b"encoding: gz"),
        "said to be bare": (b"encoding: gzip", b"encoding: raw"),
        "fewer slices": (b"sizes: 7 6 5", b"sizes: 7 6 4"),
        "more slices": (b"sizes: 7 6 5", b"sizes: 7 6 6"),
        "channels": (b"kinds: domain", b"kinds: list"),
    },
}


@pytest.mark.parametrize(("ending", "name"), [(ending, name) for ending, odd in ODD.items() for name in odd])
def test_odd_headers_are_read_or_refused_as_by_simpleitk(ending: str, name: str, tmp_path: Path) -> None:
    """What a header says beyond the usual is heeded just as SimpleITK heeds it."""
    path, (usual, odd) = tmp_path / f"a{ending}", ODD[ending][name]
    packed = write(path, numbers("int16"))
    assert packed.count(usual) == 1
    path.write_bytes(packed.replace(usual, odd))
    try:
        wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError:
        with pytest.raises(UnreadableError):
            read(path)
        return
    np.testing.assert_array_equal(voxels_of(read(path)), wanted)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
@pytest.mark.parametrize("place", [-6, -2, -400])
def test_damaged_voxels_are_refused(ending: str, place: int, tmp_path: Path) -> None:
    """By the checksum at their end."""
    path = tmp_path / f"a{ending}"
    packed = bytearray(write(path, numbers("int16")))
    packed[place] ^= 1
    path.write_bytes(packed)
    with pytest.raises(UnreadableError, match="cut off or damaged"):
        read(path)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_voxels_that_are_cut_off_are_refused(ending: str, tmp_path: Path) -> None:
    """By one byte or many."""
    path = tmp_path / f"a{ending}"
    packed = write(path, numbers("int16"))
    for length in (len(packed) - 1, len(packed) - 3, len(packed) - 200):
        path.write_bytes(packed[:length])
        with pytest.raises(UnreadableError, match="cut off"):
            read(path)


def test_bytes_before_a_stream_are_passed_over(tmp_path: Path) -> None:
    """A stream begins where the file stands."""
    (tmp_path / "a").write_bytes(b"before" + member(0))
    with open_regular(tmp_path / "a") as file:
        file.seek(6)
        assert b"".join(unpacked(file)) == gzip.GzipFile(fileobj=io.BytesIO(member(0))).read()
