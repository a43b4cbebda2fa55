"""Arrays in a .npz are unpacked once, whatever the order in which their rows are read."""

from pathlib import Path

import numpy as np
import pytest

from modelsgenesis.data.formats.npz_row import open_array


def test_splits_in_turns_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases of a task come in any order of splits; a file that was written anew is read anew."""
    path = tmp_path / "set.npz"
    arrays = {f"{split}_images": np.full((2, 4, 4), k, np.uint8) for k, split in enumerate(("train", "val", "test"))}
    np.savez_compressed(path, **arrays)
    unpacked = []
    read = np.lib.format.read_array
    monkeypatch.setattr(np.lib.format, "read_array", lambda *args, **kw: unpacked.append(1) or read(*args, **kw))
    for name in [*arrays] * 3:
        np.testing.assert_array_equal(open_array(path, name), arrays[name])
    assert len(unpacked) == 3
    np.savez_compressed(path, train_images=np.full((2, 4, 4), 9, np.uint8))
    assert open_array(path, "train_images").max() == 9
