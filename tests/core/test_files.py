"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import aside_of, read_json, sha256, write_json, written_aside


def test_error_on_the_way_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    """What was there before stays when writing fails half way."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:  # noqa: PT012
        aside.write_text("ha")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_named(tmp_path: Path) -> None:
    """The device that is always full stands for a full disk."""
    import os

    aside_of(tmp_path / "file.txt").symlink_to(os.devnull.replace("null", "full"))
    with (
        pytest.raises(DataError, match="the disk is full; free some space"),
        written_aside(tmp_path / "file.txt") as aside,
    ):
        aside.write_text("too much")
    assert not (tmp_path / "file.txt").exists()


def test_full_disk_is_named_also_where_torch_writes(tmp_path: Path) -> None:
    """torch raises a RuntimeError of positions in the place of the system's reason."""
    import torch

    aside_of(tmp_path / "file.pt").symlink_to("/dev/full")
    with (
        pytest.raises(DataError, match="the disk is full; free some space"),
        written_aside(tmp_path / "file.pt") as aside,
        open(aside, "wb") as file,
    ):
        torch.save({"a": torch.zeros(10000)}, file)
    assert not (tmp_path / "file.pt").exists()


def test_json_comes_back_and_broken_json_is_named(tmp_path: Path) -> None:
    """Umlauts too; a broken or missing file is a DataError."""
    write_json(tmp_path / "a.json", {"grün": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"grün": [1, 2.5, None]}
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(DataError, match=r"b\.json: cannot be read as JSON"):
        read_json(tmp_path / "b.json")
    with pytest.raises(DataError, match=r"c\.json: not there"):
        read_json(tmp_path / "c.json")


def test_hash_is_the_standard_one(tmp_path: Path) -> None:
    """SHA-256 of "abc", from the standard that defines it."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")
