"""A store, once made, is all that pre-training takes: what reads hospitals' files is not needed, nor waited for."""

import subprocess
import sys
from pathlib import Path

BLOCKED = "import sys\nfor name in ('SimpleITK', 'pydicom', 'highdicom', 'monai'):\n    sys.modules[name] = None\n"

WORK = """
import numpy as np, torch
import modelsgenesis as mg
from modelsgenesis.core.labels import Label
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.deformations import apply_batch, genesis
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.core.device import find_machine
from modelsgenesis.inference.volume_prediction import segment
from modelsgenesis.inference.windows import Windows
from modelsgenesis.nets import UNet3D

recipe = mg.recipes.small().but(backbone_args={"width": 2}, cubes={"size": (16, 16, 16)})
run = mg.pretrain(recipe, sys.argv[1], sys.argv[2], steps=3, batch_size=2, val_cubes=2, validate_every=3, workers=1,
    accelerator="cpu")
cubes = torch.rand(2, 1, 16, 16, 16)
assert mg.load(run)(cubes).shape == cubes.shape
for deformation in (genesis(), mg.deformations.Blur(), mg.deformations.Gibbs()):
    draws = [deformation.draw((1, 16, 16, 16), np.random.default_rng(seed)) for seed in range(2)]
    alone = torch.stack([deformation.apply(cube, drawn) for cube, drawn in zip(cubes, draws)])
    assert torch.allclose(apply_batch(deformation, cubes, draws), alone, atol=1e-6)
geometry = Geometry((24, 20, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1, 0, 0, 0, 1))
image = Image(np.zeros((1, 24, 20, 16), np.int16), ((-1000.0, 1000.0),), (1.0, 1.0, 1.0), geometry)
target = Segmentation((Label("one", (1,)),))
ensemble = Ensemble([UNet3D(1, 2, width=2, activation="identity")], target, find_machine("cpu", "32-true"))
assert segment(image, ensemble, target, Windows(image.size, (16, 16, 16))).classes.shape == (1, 24, 20, 16)
"""

FIRST = """
import importlib, os

def done(*_):
    slow = {"SimpleITK", "pydicom", "highdicom", "monai", "lightning_fabric", "torchmetrics", "torch._dynamo"}
    slow |= {"matplotlib", "tensorboard", "scipy.ndimage", "scipy.stats"}
    there = sorted(slow & set(sys.modules))
    sys.stdout.write(" ".join(["first step:", *there]))
    sys.stdout.flush()
    os._exit(0)

def watched(*given, load=importlib.import_module, **named):
    module = load(*given, **named)
    if given[0] == "modelsgenesis.commands.pretrain":
        from torch.optim.optimizer import register_optimizer_step_post_hook
        register_optimizer_step_post_hook(done)
    return module

importlib.import_module = watched
from modelsgenesis.cli import main
tiny = "--width 2 --size 16 16 16 --accelerator cpu --precision 32-true".split()
sys.exit(main(["pretrain", "small", *sys.argv[1:], *tiny]))
"""


def run(code: str, store: Path, into: Path) -> str:
    """What a fresh Python says."""
    command = [sys.executable, "-c", code, str(store), str(into)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_store_is_enough(small_store: Path, tmp_path: Path) -> None:
    """Pre-training, restoring, deforming and sweeping an array take no SimpleITK, pydicom, highdicom or MONAI."""
    assert run(BLOCKED + WORK, small_store, tmp_path / "run") == ""


def test_first_step_waits_for_nothing_that_it_does_not_use(small_store: Path, tmp_path: Path) -> None:
    """Neither readers nor Fabric, torch's compiler, pictures or event files are imported before it is done."""
    assert run("import sys\n" + FIRST, small_store, tmp_path / "run") == "first step:"
