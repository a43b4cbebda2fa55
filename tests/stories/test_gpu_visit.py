"""The visit to a GPU, rehearsed on a CPU: every step, and what becomes of one that hangs or fails."""

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pytest
import torch
from benchmarks.gpu.visit import STEPS, Step, do

import modelsgenesis as mg

VISIT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "visit.py"

# Stand-ins with the names that the authors' clone has; nothing of it is in them.
GENERATOR = """
def generate_pair(cubes, batch, settings):
    while True:
        yield cubes[:batch] * 0.5, cubes[:batch]
"""
NETWORK = """
import torch
class UNet3D(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Conv3d(1, 1, 1)
    def forward(self, x):
        return torch.sigmoid(self.last(x))
"""
HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """What was carried: no store, and a stand-in for the authors' clone."""
    folder = tmp_path / "pack" / "official" / "pytorch"
    folder.mkdir(parents=True)
    (folder / "utils.py").write_text(GENERATOR, encoding="utf-8")
    (folder / "unet3d.py").write_text(NETWORK, encoding="utf-8")
    return tmp_path / "pack"


@pytest.mark.slow
def test_rehearsal_does_every_step(tmp_path: Path, pack: Path) -> None:
    """All are done, nothing fails within, eight files are enough, and the runs that come back restore."""
    into = tmp_path / "out"
    command = [sys.executable, str(VISIT), "--rehearse", "--into", str(into), "--pack", str(pack)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    results = (into / "results.md").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr + results
    assert "failed" not in results
    steps = json.loads((into / "results.json").read_text(encoding="utf-8"))["steps"]
    assert list(steps) == [step.name for step in STEPS]
    assert all(step["went"].startswith("done") and step["rows"] for step in steps.values())
    parts = sorted(into.glob("visit.tar.*"))
    assert sorted(into.iterdir()) == sorted([into / "results.json", into / "results.md", *parts])
    assert len(parts) <= 6
    (tmp_path / "whole.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(tmp_path / "whole.tar") as tar:
        tar.extractall(tmp_path / "back", filter="data")
    runs = sorted((tmp_path / "back" / "runs").iterdir())
    assert [run.name for run in runs] == ["chest-16", "hippocampus-16", "hippocampus-8", "hippocampus-mae-8"]
    assert all(torch.isfinite(mg.load(run)(torch.rand(1, 1, 16, 16, 16))).all() for run in runs)


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are steps too."""
    folder = tmp_path / "more" / "benchmarks" / "gpu" / "steps"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "more"), os.environ.get("PYTHONPATH", "")]))
    return folder


def test_hung_step_is_killed_with_its_children(steps: Path, tmp_path: Path) -> None:
    """At the end of its time."""
    (steps / "hangs.py").write_text(HANGS, encoding="utf-8")
    assert do(Step("hangs", "", None), "{}", 2, tmp_path / "log.txt").startswith("killed after 2 s")
    child = int((tmp_path / "log.txt").read_text(encoding="utf-8"))
    for _ in range(50):  # the system ends it in its own time
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("the child of a killed step lives on")


def test_broken_step_is_a_line(steps: Path, tmp_path: Path) -> None:
    """Its last words are kept."""
    (steps / "breaks.py").write_text("raise OSError('no such GPU')", encoding="utf-8")
    assert do(Step("breaks", "", None), "{}", 30, tmp_path / "log.txt").endswith("s: OSError: no such GPU")
