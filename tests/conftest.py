"""Made-up scans that several rooms' tests share."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import modelsgenesis as mg
from modelsgenesis.inference.engines import USUAL
from modelsgenesis.inference.engines.openvino import NEEDED
from modelsgenesis.recipes import Recipe, small

os.environ[USUAL] = "torch"  # tracing every tiny network for OpenVINO would take a third of all tests' time
ORDINARY = str(Path(__file__).parent / "ordinary")  # where sitecustomize.py hides from a process what MONAI imports
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ORDINARY, os.environ.get("PYTHONPATH")]))


def write_blobs(path: Path, seed: int, size: tuple[int, int, int] = (40, 44, 36)) -> None:
    """Write a CT-like volume of smooth tissue blobs in air, in HU, with 2 mm voxels."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(size), 3)
    values = np.clip(smooth / smooth.std() * 400 - 300, -1024, 1500).astype(np.int16)
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetSpacing((2.0, 2.0, 2.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of four small made-up CT scans, of four patients."""
    folder = tmp_path_factory.mktemp("blobs")
    for number in range(4):
        write_blobs(folder / f"scan{number}.nii.gz", number)
    return mg.prepare(folder, folder.parent / "blob-store", modality="CT", workers=1, salt="test")


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """The small recipe, made tiny."""
    plan = {"steps": 6, "batch_size": 2, "validate_every": 3, "val_cubes": 2, "warmup_steps": 1, "precision": "32-true"}
    return small().but(cubes={"size": (16, 16, 16)}, backbone_args={"width": 2}, plan=plan)


@pytest.fixture(scope="session")
def tiny_run(small_store: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    return mg.pretrain(tiny_recipe, small_store, tmp_path_factory.mktemp("tiny") / "run", seed=3)


@pytest.fixture(autouse=True)
def openvino_only_where_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests marked openvino need it; others do without, since tracing takes seconds and they are of other things."""
    if request.node.get_closest_marker("openvino") is None:
        monkeypatch.setitem(sys.modules, "openvino", None)
    elif any(find_spec(name) is None for name in NEEDED):
        pytest.skip("OpenVINO is not installed: pip install -c constraints.txt '.[fast]'")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same width of printed tables wherever tests run."""
    monkeypatch.setenv("COLUMNS", "160")
