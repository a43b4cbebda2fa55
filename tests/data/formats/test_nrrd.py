"""NRRD and MetaImage: what their headers say that SimpleITK passes over."""

import bz2
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.volume import Volume

VALUES = np.arange(4 * 5 * 6, dtype="<i2").reshape((4, 5, 6), order="F")
LPS = "space: left-posterior-superior"
NO_SPACING = "its header gives no spacing: 1 mm is assumed"
NO_SPACE = "its header says neither orientation nor origin: (X, Y, Z) in LPS are assumed"
NO_NAME = "its header does not name the space that its axes point in: LPS is assumed"


def steps(x: float, y: float, z: float, before: str = "", behind: str = "") -> str:
    """The line of directions."""
    return f"space directions: {before}({x},0,0) (0,{y},0) (0,0,{z}){behind}"


def write(path: Path, lines: list[str], sizes: str = "4 5 6", encoding: str = "raw") -> Path:
    """Write a file of made-up numbers below a header."""
    voxels = VALUES.tobytes(order="F") * (2 if len(sizes.split()) == 4 else 1)
    begin = ["NRRD0005", "type: short", f"dimension: {len(sizes.split())}", f"sizes: {sizes}", f"encoding: {encoding}"]
    head = "\n".join([*begin, "endian: little", *lines, "", ""]).encode()
    path.write_bytes(head + (bz2.compress(voxels) if encoding == "bzip2" else voxels))
    return path


def read(path: Path) -> Volume:
    """Read a file."""
    return read_volume(one_source(path, path.parent))


PLACES = {
    "millimetres": ([LPS, steps(0.8, 0.9, 2)], (0.8, 0.9, 2), (0, 0, 0), ()),
    "micrometres": ([LPS, steps(800, 900, 2000), "space origin: (1000,0,0)", 'space units: "um" "um" "um"'],
                    (0.8, 0.9, 2), (1, 0, 0), ()),
    "metres": ([LPS, steps(8e-4, 9e-4, 2e-3), 'space units: "m" "m" "m"'], (0.8, 0.9, 2), (0, 0, 0), ()),
    "unknown_unit": ([LPS, steps(8, 9, 2), 'space units: "ell" "ell" "ell"'], (8, 9, 2), (0, 0, 0),
                     ("its header counts in 'ell': that is taken for mm",)),
    "unit_of_each_axis": (["spacings: 0.08 0.9 2", 'units: "cm" "mm" "mm"'], (0.8, 0.9, 2), (0, 0, 0), (NO_SPACE,)),
    "nothing": ([], (1, 1, 1), (0, 0, 0), (NO_SPACING, NO_SPACE)),
    "cells": (["centers: cell cell cell", "axis mins: 0 0 1", "axis maxs: 3.2 4.5 13"],
              (0.8, 0.9, 2), (0.4, 0.45, 2), (NO_SPACE,)),
    "nodes": (["centers: node node node", "axismins: 1 0 0", "axismaxs: 3.4 3.6 10"],
              (0.8, 0.9, 2), (1, 0, 0), (NO_SPACE,)),
    "unnamed_space": (["space dimension: 3", steps(0.8, 0.9, 2)], (0.8, 0.9, 2), (0, 0, 0), (NO_NAME,)),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_place_is_what_the_header_says(name: str, tmp_path: Path) -> None:
    """In millimetres; and what it leaves open is told."""
    lines, spacing_mm, origin_mm, notes = PLACES[name]
    volume = read(write(tmp_path / "a.nrrd", lines))
    np.testing.assert_allclose(volume.spacing_mm, spacing_mm)
    np.testing.assert_allclose(volume.geometry.origin_mm, origin_mm, atol=1e-12)
    assert volume.notes == notes
    np.testing.assert_array_equal(volume.values[0], VALUES)


SEGMENTS = ["Segment0_ID:=liver", "Segment0_Layer:=0", "Segment1_ID:=vein", "Segment1_Layer:=1"]
IN_SPACE = steps(1, 1, 2, behind=" none")
OTHERS = {
    "time": ([LPS, IN_SPACE, "kinds: domain domain domain time"], "4 5 6 2", r"4D \(4 x 5 x 6 x 2\): a series of vol"),
    "time_bare": (["kinds: domain domain domain time"], "4 5 6 2", r"4D \(4 x 5 x 6 x 2\): a series of volumes"),
    "time_first": ([LPS, steps(1, 1, 2, "none "), "kinds: time space space space"], "2 4 5 6", "4D .* in time; save"),
    "no_kinds": ([LPS, IN_SPACE], "4 5 6 2", "4D .*: its header does not say which axis is not of space; save each"),
    "flat_in_time": (["kinds: domain domain time"], "4 5 6", r"2D pictures in time \(4 x 5 x 6\); leave"),
    "vectors": ([LPS, steps(1, 1, 2, "none "), "kinds: vector domain domain domain"], "2 4 5 6", "2 values a voxel"),
    "layers": ([LPS, steps(1, 1, 2, "none "), "kinds: list domain domain domain", *SEGMENTS], "2 4 5 6",
               "a layered segmentation of 3D Slicer: 2 segments in 2 layers; in Slicer's Segmentations, export it"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_volume_is_named(name: str, tmp_path: Path) -> None:
    """A series, a layered segmentation: healthy files, and what helps."""
    lines, sizes, words = OTHERS[name]
    with pytest.raises(UnreadableError, match=words):
        read(write(tmp_path / "a.nrrd", lines, sizes))


def test_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    """Not damage."""
    with pytest.raises(UnreadableError, match="packed by bzip2, which SimpleITK does not unpack; save it with gzip"):
        read(write(tmp_path / "a.nrrd", [LPS, steps(1, 1, 2)], encoding="bzip2"))


def test_single_layer_of_slicer_is_a_label_map(tmp_path: Path) -> None:
    """A .seg.nrrd of segments that do not overlap."""
    np.testing.assert_array_equal(
        read(write(tmp_path / "a.seg.nrrd", [LPS, steps(1, 1, 2), *SEGMENTS])).values[0], VALUES
    )


@pytest.mark.parametrize(
    ("before", "after", "spacing_mm", "notes"),
    [
        (b"ElementSpacing", b"DistanceUnits = um\nElementSpacing", (0.0008, 0.0009, 0.002), ()),
        (b"ElementSpacing", b"Comment", (1, 1, 1), (NO_SPACING,)),
        (b"ElementSpacing", b"ElementSize", (0.8, 0.9, 2), ()),
    ],
)
def test_metaimage_has_a_unit_and_may_lack_a_spacing(
    before: bytes, after: bytes, spacing_mm: tuple[float, ...], notes: tuple[str, ...], tmp_path: Path
) -> None:
    """SimpleITK passes the unit over, and says nothing of 1 mm."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(VALUES.T))
    image.SetSpacing((0.8, 0.9, 2))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    whole = (tmp_path / "a.mha").read_bytes()
    assert before in whole
    (tmp_path / "a.mha").write_bytes(whole.replace(before, after))
    volume = read(tmp_path / "a.mha")
    np.testing.assert_allclose(volume.spacing_mm, spacing_mm)
    assert volume.notes == notes
    np.testing.assert_array_equal(volume.values[0], VALUES)
