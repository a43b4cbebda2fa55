"""Torch files that are broken or hostile are refused with words, run nothing and take no memory."""

import os
import pickle
import resource
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelsgenesis.core.errors import WeightsError
from modelsgenesis.weights import load, read_checkpoint

CONTENT = {"state_dict": {"layer.weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(2).half()}, "epoch": 3}


class Harm:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.fixture(params=[True, False], ids=["archive", "older layout"])
def archive(request: pytest.FixtureRequest) -> bool:
    """Both ways of torch.save."""
    return bool(request.param)


def save(content: Any, path: Path, archive: bool = True) -> Path:
    """As torch.save of today, or as it was."""
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    return path


def rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes]], **settings: Any) -> Path:
    """An archive with its entries changed."""
    with zipfile.ZipFile(path) as old:
        entries = [change(entry.filename, old.read(entry.filename)) for entry in old.infolist()]
    with zipfile.ZipFile(path, "w", **settings) as new:
        for name, data in entries:
            new.writestr(name, data)
    return path


def with_pickle(path: Path, data: bytes) -> Path:
    """An archive with another pickle."""
    return rewritten(path, lambda name, old: (name, data if name.endswith("data.pkl") else old))


def test_checkpoint_comes_back_as_it_was(archive: bool, tmp_path: Path) -> None:
    """Tensors of any kind and plain values, in plain mappings and lists."""
    given = {
        **CONTENT,
        "ordered": OrderedDict(a=torch.tensor([True]), b=[1, 2.5, "x", None, (3, -4)]),
        "parameter": torch.nn.Parameter(torch.eye(2)),
        "part": torch.arange(10)[2:8:2],
        "curve": [np.float64(0.25), np.float32(0.5), np.int64(-7), np.bool_(True)],
    }
    read = read_checkpoint(save(given, tmp_path / "weights.pt", archive))
    assert list(read) == list(given)
    assert torch.equal(read["state_dict"]["layer.weight"], CONTENT["state_dict"]["layer.weight"])  # type: ignore[index]
    assert read["state_dict"]["half"].dtype == torch.float16
    assert read["ordered"]["b"] == [1, 2.5, "x", None, (3, -4)]
    assert torch.equal(read["parameter"], torch.eye(2))
    assert read["part"].tolist() == [2, 4, 6]
    assert read["curve"] == [0.25, 0.5, -7, True]
    assert {type(number) for number in read["curve"]} == {float, int, bool}


def test_nothing_is_run(archive: bool, tmp_path: Path) -> None:
    """A file that would run a program is refused with the name that it asks for, and the way out."""
    save({**CONTENT, "harm": Harm(tmp_path / "harmed")}, tmp_path / "weights.pt", archive)
    with pytest.raises(WeightsError, match=r"weights\.pt: asks for (posix|nt)\.mkdir, and .*--trust \(trust=True"):
        load(tmp_path / "weights.pt")
    assert not (tmp_path / "harmed").exists()


def test_trusted_file_is_unpickled_in_another_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it asks for is shown; its tensors and plain values come back, and what was run, was run elsewhere."""
    given = {
        **CONTENT,
        "kept": np.arange(3),
        "scale": np.array(4.5),
        "who": Asks(tmp_path / "who"),
        "shape": np.float32(2),
    }
    read = read_checkpoint(save(given, tmp_path / "weights.pt"), trust=True)
    assert torch.equal(read["state_dict"]["layer.weight"], CONTENT["state_dict"]["layer.weight"])  # type: ignore[index]
    assert (read["kept"].tolist(), read["scale"].tolist()) == ([0, 1, 2], 4.5)
    assert (read["epoch"], read["shape"]) == (3, 2.0)
    printed = " ".join(capsys.readouterr().err.split())
    assert "asks for numpy._core.multiarray._reconstruct, numpy.ndarray, subprocess.call; trusted" in printed
    assert (tmp_path / "who").read_text().strip() != str(os.getpid())


class Asks:
    """Writes down which process unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (subprocess.call, (["sh", "-c", f"echo $PPID > {self.path}"],))


def test_trusted_file_of_classes_that_are_not_here_gives_its_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole pickled network of an unknown program: what it holds is kept, its code is not needed."""
    kind = type("Net", (), {"__module__": "theirs"})
    monkeypatch.setitem(sys.modules, "theirs", type("theirs", (), {"Net": kind}))  # type: ignore[arg-type]
    network = kind()
    vars(network)["weight"] = torch.ones(2)
    save({"net": network}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"asks for theirs\.Net"):
        read_checkpoint(tmp_path / "weights.pt")
    assert read_checkpoint(tmp_path / "weights.pt", trust=True)["net"]["weight"].tolist() == [1, 1]


def test_trusted_file_that_fails_says_why(tmp_path: Path) -> None:
    """The other process's last words are in the error."""
    save({"harm": Harm(tmp_path / "missing" / "deep")}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"the process that opened it failed \(FileNotFoundError"):
        read_checkpoint(tmp_path / "weights.pt", trust=True)


def test_file_cut_off_at_any_place_is_refused(archive: bool, tmp_path: Path) -> None:
    """Whatever is missing, the error names the file."""
    path = save(CONTENT, tmp_path / "weights.pt", archive)
    whole = path.read_bytes()
    for length in (0, 3, 50, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"weights\.pt"):
            load(path)


def test_archive_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    """Tensors are under the archive's checksums."""
    path = save({"a": torch.arange(1000.0)}, tmp_path / "weights.pt")
    whole = bytearray(path.read_bytes())
    whole[whole.index(torch.arange(1000.0).numpy().tobytes()) + 2000] ^= 1
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match="data/0 fails its checksum"):
        read_checkpoint(path)


def test_random_damage_never_escapes_as_another_error(archive: bool, tmp_path: Path) -> None:
    """Two hundred files with a few bytes overwritten: read as they were meant, or refused as weights."""
    path = save(CONTENT, tmp_path / "weights.pt", archive)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused: list[str] = []
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except WeightsError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(words.startswith(str(path)) for words in refused)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_compressed_archive_is_refused_before_it_is_unpacked(compression: int, tmp_path: Path) -> None:
    """A bomb of zeros would unpack to gigabytes."""
    path = save({"a": torch.zeros(100_000)}, tmp_path / "weights.pt")
    rewritten(path, lambda name, data: (name, data), compression=compression)
    with pytest.raises(WeightsError, match="an archive with compressed entries"):
        read_checkpoint(path)


def test_archive_with_two_entries_of_a_name_is_refused(tmp_path: Path) -> None:
    """One reader would check the first, another read the second; torch does not mind capitals."""
    for twin in ("weights/data.pkl", "weights/DATA.PKL"):
        path = save(CONTENT, tmp_path / "weights.pt")
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
            archive.writestr(twin, pickle.dumps(Harm(tmp_path / "harmed"), protocol=2))
        with pytest.raises(WeightsError, match=r"entries, .* of them distinct"):
            read_checkpoint(path)


def test_archive_whose_entries_share_bytes_is_refused(tmp_path: Path) -> None:
    """Entries that overlap claim more than the file has: a bomb without compression."""
    path = save({"a": torch.zeros(1000)}, tmp_path / "weights.pt")
    whole = path.read_bytes()
    for _ in range(12):  # another entry in the directory for the same bytes
        whole = with_another_entry(whole)
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match=r"its entries claim .* bytes of"):
        read_checkpoint(path)


def with_another_entry(whole: bytes) -> bytes:
    """The archive with one more directory entry, of another name, for its tensor."""
    end = whole.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack("<HII", whole[end + 10 : end + 20])
    directory = whole[start : start + size]
    place = directory.index(b"weights/data/0") - 46
    (length,) = struct.unpack("<H", directory[place + 28 : place + 30])
    (extra,) = struct.unpack("<H", directory[place + 30 : place + 32])
    entry = bytearray(directory[place : place + 46 + length + extra])
    name = f"weights/x{count:04d}".encode()
    entry[46 : 46 + length] = name.ljust(length, b"_")
    tail = bytearray(whole[end:])
    struct.pack_into("<HHII", tail, 8, count + 1, count + 1, size + len(entry), start)
    return whole[:start] + directory + bytes(entry) + bytes(tail)


def test_archive_with_paths_out_of_it_is_refused(tmp_path: Path) -> None:
    """Its names are not torch's."""
    path = save(CONTENT, tmp_path / "weights.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weights/../../escaped", b"")
    with pytest.raises(WeightsError, match=r"no archive of torch\.save"):
        read_checkpoint(path)


def test_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    """It holds code; the error says what to ask for instead."""
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", b"\x80\x02}.")
        archive.writestr("weights/constants.pkl", b"\x80\x02).")
    with pytest.raises(WeightsError, match="a TorchScript archive, which holds a program; ask for its state dict"):
        read_checkpoint(path)


def test_any_other_archive_is_refused(tmp_path: Path) -> None:
    """A zip of pictures."""
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("pictures/one.png", b"")
    with pytest.raises(WeightsError, match=r"lacks data\.pkl, the first entry is pictures/one\.png"):
        read_checkpoint(tmp_path / "weights.pt")


def test_storage_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    """Reading it would read beyond its end."""
    path = save({"a": torch.arange(10.0)}, tmp_path / "weights.pt")
    rewritten(path, lambda name, data: (name, data.replace(b"cpuq\x06K\n", b"cpuq\x06K\xfa")))
    with pytest.raises(WeightsError, match="tensor data 0 has 40 bytes, 1000 are claimed"):
        read_checkpoint(path)


def test_older_file_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    """Torch would allocate what it claims: here 4 TB."""
    path = save({"a": torch.arange(10.0)}, tmp_path / "weights.pt", archive=False)
    whole = path.read_bytes()
    assert whole.count(b"cpuq\x06K\n") == 1
    path.write_bytes(whole.replace(b"cpuq\x06K\n", b"cpuq\x06\x8a\x06" + (10**12).to_bytes(6, "little")))
    with pytest.raises(WeightsError, match=r"its tensors claim 4\.0e\+12 bytes of"):
        read_checkpoint(path)


def test_view_of_an_absurd_shape_is_refused(archive: bool, tmp_path: Path) -> None:
    """One element repeated without steps fills no file, but all of the memory once it is copied."""
    path = save({"a": [torch.zeros(1).expand(10**6, 10**6)]}, tmp_path / "weights.pt", archive)
    with pytest.raises(WeightsError, match=r"a tensor claims the absurd shape \(1000000, 1000000\)"):
        read_checkpoint(path)


def test_mapping_that_hides_its_items_hides_nothing(tmp_path: Path) -> None:
    """Attributes that a pickle gives a mapping do not stand for its methods."""
    hiding = OrderedDict(a=torch.zeros(1).expand(10**6, 10**6))
    vars(hiding)["values"] = OrderedDict
    path = save({"inner": hiding}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="absurd shape"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "asks for builtins.bytearray"),
        (b"\x80\x02ctorch\nTensor\nJ\xff\xff\xff\x7f\x85R.", "asks for torch.Tensor"),
        (b"\x80\x05\x96" + (10**15).to_bytes(8, "little") + b".", "its pickle is broken"),
        (b"\x80\x02}" + b"(" * 100 + b"r\xff\xff\xff\x7f.", "its pickle is broken|not a mapping|cannot be read"),
        (b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.", "a mapping with a tuple for a key"),
        (b"\x80\x02]" + b"]" * 300 + b"a" * 300 + b".", "holds a list, not a mapping"),
        (b"\x80\x02}N" + b"]" * 300 + b"a" * 299 + b"s.", "nest deeper than 100"),
        (b"\x80\x02" + b"".join(b"ca\nb%d\n0" % n for n in range(2000)) + b"N.", "asks for more than 1000 names"),
        (b"\x80\x02K\x01Q.", "asks for what is not a storage"),
        (b"\x80\x02]q\x00h\x00a.", "not a mapping"),
        (b"\x80\x02}q\x00Nh\x00s.", "nest deeper than 100"),
        (b"\x80\x02N.", "holds a NoneType, not a mapping"),
        (b"\x80\x04}.", "asks for a pickle of protocol 4"),
        (b"}", "its pickle is broken"),
        (b"", "its pickle is broken"),
        (b"\x80\x02}" + b"N0" * 5_000_000 + b".", "its pickle has 1.0e+07 bytes"),
    ],
)  # fmt: skip
def test_hostile_pickles_are_refused_without_their_memory(data: bytes, words: str, tmp_path: Path) -> None:
    """Whatever a pickle claims, asks for or nests; within 1.5 GB more than before."""
    path = with_pickle(save(CONTENT, tmp_path / "weights.pt"), data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=words.replace(".0e+", r"\.0e\+")) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1.5e6  # kB


def test_pickle_of_another_program_is_not_read(tmp_path: Path) -> None:
    """A bare pickle is none of torch's."""
    (tmp_path / "plans.pkl").write_bytes(pickle.dumps({"a": Harm(tmp_path / "harmed")}, protocol=2))
    with pytest.raises(WeightsError, match=r"a pickle, but not one that torch\.save wrote"):
        read_checkpoint(tmp_path / "plans.pkl")
    assert not (tmp_path / "harmed").exists()


def test_numbers_of_numpy_are_plain_numbers_alone(tmp_path: Path) -> None:
    """A structure, an object or a string in a NumPy scalar is refused."""
    for value in (np.datetime64("2020-01-01"), np.str_("x"), np.complex128(1j), np.longdouble(1)):
        save({"value": value}, tmp_path / "weights.pt")
        with pytest.raises(WeightsError, match=r"numbers of the kind|asks for numpy"):
            read_checkpoint(tmp_path / "weights.pt")
