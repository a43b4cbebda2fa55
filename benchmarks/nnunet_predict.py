"""How long predicting takes against nnU-Net's own `nnUNetv2_predict`, with the network that nnU-Net planned.

Run: python benchmarks/nnunet_predict.py NNUNET_BIN --work FOLDER [--scan CT --size 256 256 160] [--memory 4]

NNUNET_BIN is the folder of nnU-Net's commands, in an environment of its own (docs/how-to/nnunet.md). nnU-Net plans its
3d_fullres for four made-up torsos; `genesis pretrain --plans` and `genesis finetune` build that network and teach it
lungs and bones for a few steps on small patches, and the same weights are written as a checkpoint of nnU-Net. Both then
predict one torso that neither saw, or a real scan, from file to file with the plan's windows, a step of half a window
and no mirroring: processor seconds and peak memory of the whole command with its children, on one thread. The first
call by OpenVINO also traces the network and compares it with PyTorch. FOLDER keeps what is made: the same command goes
on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.predict import bring_to_size

import modelsgenesis as mg
from modelsgenesis.inference.engines.openvino import FOLDER as CACHE
from modelsgenesis.nets.planned_unet import PlannedUNet
from modelsgenesis.phantom import write_phantoms
from modelsgenesis.weights.files import load_network, read_notes, save_network

SIZE = (192, 160, 128)
DATASET, CONFIGURATION = "Dataset005_Torso", "3d_fullres"
LABELS = {"lung": (1, 2), "bone": (14, 15, 16)}  # of the torsos' label maps
CUBE = (32, 32, 32)  # to learn from
ENGINES = ("openvino bf16-mixed", "openvino bf16-mixed", "openvino 32-true", "torch 32-true")
SEEN = 4  # torsos to plan for and to learn from; the next one is predicted


class Road:
    """The folders of both programs, and how to call them."""

    def __init__(self, work: Path, commands: Path, memory_gb: float) -> None:
        self.work, self.commands, self.memory_gb = work, commands, memory_gb
        self.raw = work / "raw" / DATASET
        self.plans = work / "preprocessed" / DATASET / "nnUNetPlans.json"
        self.run, self.theirs, self.new = work / "run", work / "theirs", work / "new"
        folders = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
        named = {name: str(work / folder) for name, folder in folders.items()}
        quiet = {"nnUNet_compile": "f", "nnUNet_def_n_proc": "1"}
        self.environment = {**os.environ, **named, **quiet, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def call(self, command: str, *words: object) -> None:
        """Run one of nnU-Net's commands."""
        with open(self.work / "nnunet.log", "ab") as log:
            subprocess.run(
                [self.commands / command, *map(str, words)], env=self.environment, stdout=log, stderr=log, check=True
            )

    def plan(self) -> dict[str, Any]:
        """Let nnU-Net plan for the torsos, once; its configuration."""
        if not self.plans.is_file():
            write_dataset(self.work / "torsos", self.raw)
            words = (
                "-d",
                5,
                "-c",
                CONFIGURATION,
                "-npfp",
                1,
                "-np",
                1,
                "--no_pp",
                "-gpu_memory_target",
                self.memory_gb,
            )
            self.call("nnUNetv2_plan_and_preprocess", *words)
        configuration: dict[str, Any] = json.loads(self.plans.read_bytes())["configurations"][CONFIGURATION]
        return configuration

    def teach(self, configuration: dict[str, Any], steps: int) -> None:
        """Build the planned network, teach it a little, and write it for both programs."""
        spacing = tuple(configuration["spacing"][::-1])
        store, first, tuned = self.work / "store", self.work / "first", self.work / "tuned"
        mg.prepare(self.raw / "imagesTr", store, spacing=spacing, modality="CT", salt="benchmark")
        mg.pretrain(
            "any", store, first, plans=self.plans, steps=1, val_cubes=2, size=CUBE, batch_size=2, accelerator="cpu"
        )
        mg.finetune(
            self.raw, tuned, from_=first, steps=steps, val=0, lr=1e-3, validate_every=steps, size=CUBE, batch_size=2,
            accelerator="cpu",
        )  # fmt: skip
        network, notes = load_network(tuned / "model.safetensors"), read_notes(tuned / "model.safetensors")
        if not isinstance(network, PlannedUNet):
            raise SystemExit(f"{tuned} holds no planned network")
        self.run.mkdir(exist_ok=True)
        patch = configuration["patch_size"][::-1]
        save_network(self.run / "model.safetensors", network, {**notes, "patch": patch})
        (self.run / "made.json").write_bytes((tuned / "made.json").read_bytes())
        (fold := self.theirs / "fold_0").mkdir(parents=True, exist_ok=True)
        for name, source in (("plans.json", self.plans), ("dataset.json", self.raw / "dataset.json")):
            (self.theirs / name).write_bytes(source.read_bytes())
        checkpoint = {
            "network_weights": network.network.state_dict(),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": CONFIGURATION},
            "inference_allowed_mirroring_axes": None,
        }
        torch.save(checkpoint, fold / "checkpoint_final.pth")


def write_dataset(torsos: Path, into: Path) -> None:
    """Write made-up torsos with two labels as a raw data set of nnU-Net."""
    for folder in ("imagesTr", "labelsTr"):
        (into / folder).mkdir(parents=True, exist_ok=True)
    for scan in write_phantoms(torsos, SEEN, size=SIZE, with_labels=True):
        name = scan.name.removesuffix(".nii.gz")
        (into / "imagesTr" / f"{name}_0000.nii.gz").write_bytes(scan.read_bytes())
        labels = sitk.ReadImage(str(torsos / "labels" / scan.name))
        known = sitk.GetArrayFromImage(labels)
        chosen = sum(number * np.isin(known, values) for number, values in enumerate(LABELS.values(), start=1))
        mask = sitk.GetImageFromArray(np.asarray(chosen, np.uint8))
        mask.CopyInformation(labels)
        sitk.WriteImage(mask, str(into / "labelsTr" / scan.name))
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{name: number for number, name in enumerate(LABELS, start=1)}},
        "numTraining": SEEN,
        "file_ending": ".nii.gz",
    }
    (into / "dataset.json").write_text(json.dumps(described), encoding="utf-8")


def measure(command: Sequence[object], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds on the clock and of the processor, and the peak MiB of a command's largest process."""
    program = (
        "import resource, subprocess, sys, time\n"
        "begin = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "clock, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
        "sys.exit(done.stderr.decode()[-2000:] if done.returncode else 0)\n"
    )
    words = [sys.executable, "-c", program, *map(str, command)]
    answer = subprocess.run(words, env=environment, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"{command[0]} failed:\n{answer.stderr}")
    clock, busy, peak = map(float, answer.stdout.split())
    return clock, busy, peak


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", type=Path, metavar="NNUNET_BIN")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--memory", type=float, default=4.0, help="GB of GPU memory that nnU-Net plans for")
    parser.add_argument("--steps", type=int, default=60, help="of fine-tuning")
    parser.add_argument("--scan", type=Path, help="a real CT, brought to --size; by default a torso")
    parser.add_argument("--size", type=int, nargs=3, default=SIZE)
    parser.add_argument("--engines", nargs="+", default=ENGINES)
    options = parser.parse_args()
    road = Road(options.work.resolve(), options.commands.resolve(), options.memory)
    road.work.mkdir(parents=True, exist_ok=True)
    configuration = road.plan()
    if not (road.theirs / "fold_0" / "checkpoint_final.pth").is_file():
        road.teach(configuration, options.steps)
    road.new.mkdir(exist_ok=True)
    scan = road.new / "new_0000.nii.gz"
    if options.scan:
        bring_to_size(options.scan, tuple(options.size), scan)
    else:
        (made,) = write_phantoms(road.work / "torsos", 1, seed=SEEN, size=tuple(options.size))
        scan.write_bytes(made.read_bytes())
    features = configuration["architecture"]["arch_kwargs"]["features_per_stage"]
    print(f"planned: windows of {configuration['patch_size'][::-1]}, {features} features, ", end="")
    print(f"{[round(mm, 3) for mm in configuration['spacing'][::-1]]} mm; a scan of {tuple(options.size)}")
    print(f"{'way':24s} {'clock s':>8s} {'CPU s':>8s} {'peak MiB':>9s} {'agrees':>9s}")
    common = ("-i", road.new, "-o", road.work / "masks", "-f", 0, "-device", "cpu", "-npp", 1, "-nps", 1)
    predictor = road.commands / "nnUNetv2_predict_from_modelfolder"
    theirs = measure((predictor, "-m", road.theirs, *common, "--disable_tta", "--not_on_device"), road.environment)
    print(f"{'nnU-Net':24s} {theirs[0]:8.1f} {theirs[1]:8.1f} {theirs[2]:9.0f}", flush=True)
    wanted = sitk.GetArrayFromImage(sitk.ReadImage(str(road.work / "masks" / "new.nii.gz")))
    print(f"{'':24s} labels {np.unique(wanted, return_counts=True)[1].tolist()}")
    shutil.rmtree(road.run / CACHE, ignore_errors=True)  # so that the first call is one
    for turn, engine in enumerate(options.engines):
        name, precision = engine.split()
        into = road.work / "ours" / f"{time.time():.0f}-{turn}"
        words = ["-m", "modelsgenesis", "predict", road.run, scan, into, "--engine", name, "--precision", precision]
        ours = measure((sys.executable, *words, "--overlap", 0.5, "--accelerator", "cpu"), road.environment)
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(next(into.glob("*.nii.gz")))))
        same = np.mean(mask == wanted)
        ratio = f"{theirs[1] / ours[1]:.2f} times as fast, {ours[2] / theirs[2]:.2f} of the memory"
        print(f"{engine:24s} {ours[0]:8.1f} {ours[1]:8.1f} {ours[2]:9.0f} {same:9.4%}  {ratio}", flush=True)


if __name__ == "__main__":
    main()
