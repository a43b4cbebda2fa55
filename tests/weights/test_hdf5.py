"""HDF5 files that are broken or hostile are refused with words, and lead nowhere but into themselves."""

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelsgenesis.core.errors import MissingExtraError, WeightsError
from modelsgenesis.weights import load
from modelsgenesis.weights.hdf5 import read_hdf5

h5py = pytest.importorskip("h5py", reason="h5py reads HDF5 files")


def write(path: Path, fill: Callable[[Any], None]) -> Path:
    """A file that begins as a harmless one."""
    with h5py.File(path, "w") as file:
        file["layer/kernel"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        fill(file)
    return path


def test_groups_and_numbers_come_back(tmp_path: Path) -> None:
    """Numbers of any size and order; other data sets are left out."""

    def fill(file: Any) -> None:
        file["layer/swapped"] = np.array([1.5, 2.5], dtype=">f8")
        file["step"] = np.int64(7)
        file["words"] = "text"
        file.create_group("empty")

    read = read_hdf5(write(tmp_path / "weights.h5", fill))
    assert read["layer"]["kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read["layer"]["swapped"].tolist() == [1.5, 2.5]
    assert int(read["step"]) == 7
    assert read["empty"] == {}
    assert "words" not in read


def external_link(file: Any) -> None:
    """Another file under a name in this one."""
    file["other"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: Any) -> None:
    """Another name for a group."""
    file["again"] = h5py.SoftLink("/layer")


def virtual(file: Any) -> None:
    """A data set put together from other files."""
    layout = h5py.VirtualLayout(shape=(10,), dtype="f4")
    layout[:] = h5py.VirtualSource("secret.h5", "data", shape=(10,))
    file.create_virtual_dataset("virtual", layout)


def external(file: Any) -> None:
    """A data set whose bytes are another file's."""
    file.create_dataset("passwords", shape=(4,), dtype="u1", external=[("/etc/passwd", 0, 4)])


def bomb(file: Any) -> None:
    """A terabyte of nothing in a few bytes of chunks."""
    file.create_dataset("bomb", shape=(10**6, 10**5), dtype="f8", chunks=(1000, 1000), compression="gzip")


def unwritten(file: Any) -> None:
    """Forty terabytes that were never written."""
    file.create_dataset("unwritten", shape=(10**13,), dtype="f4")


def deep(file: Any) -> None:
    """Groups in groups."""
    file.create_group("/".join("a" * 20))


def circle(file: Any) -> None:
    """A group that holds itself."""
    file["layer/again"] = file["layer"]


def twice(file: Any) -> None:
    """One data set under so many names that together they claim more than the file holds."""
    for number in range(1000):
        file[f"name{number}"] = file["layer/kernel"]
    file["big"] = np.zeros(10_000)
    for number in range(100):
        file[f"big{number}"] = file["big"]


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (external_link, "/other is a ExternalLink to another place"),
        (soft_link, "/again is a SoftLink to another place"),
        (virtual, "/virtual takes its data from other files"),
        (external, "/passwords takes its data from other files"),
        (bomb, "/bomb is cut into chunks"),
        (unwritten, "/unwritten claims 4.0e+13 bytes, more than the file holds"),
        (deep, "groups nest deeper than 8"),
        (circle, "groups nest deeper than 8"),
        (twice, "more than the file holds"),
    ],
)
def test_hostile_files_are_refused_without_their_memory(
    fill: Callable[[Any], None], words: str, tmp_path: Path
) -> None:
    """Whatever a file leads to or claims; within 0.3 GB more than before."""
    path = write(tmp_path / "weights.h5", fill)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3e5  # kB


def test_file_cut_off_at_any_place_is_refused(tmp_path: Path) -> None:
    """Whatever is missing, the error names the file."""
    path = write(tmp_path / "weights.h5", lambda file: file.create_group("more"))
    whole = path.read_bytes()
    for length in (8, 50, 96, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"weights\.h5: cannot be read as an HDF5 file"):
            load(path)


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    """Two hundred files with a few bytes overwritten: read, or refused as weights."""
    path = write(tmp_path / "weights.h5", lambda file: None)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=8):
            damaged[place] = rng.integers(256)
        path.write_bytes(whole[:8] + bytes(damaged[8:]))
        try:
            read_hdf5(path)
        except WeightsError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(words.startswith(str(path)) for words in refused)


def test_other_hdf5_files_are_refused(tmp_path: Path) -> None:
    """A harmless file of no known network."""
    path = write(tmp_path / "weights.h5", lambda file: None)
    with pytest.raises(WeightsError, match=r"holds layer \(the first with kernel, \.\.\.\), which is no layout"):
        load(path)


def test_missing_h5py_names_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    path = write(tmp_path / "weights.h5", lambda file: None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[keras\]'"):
        load(path)
