"""How long predicting a CT takes, and how much memory, against MONAI's sliding window with the same network.

Run: python benchmarks/predict.py
Prints, from one run, for each way from an int16 file to a mask file: seconds on the clock and of the processor, and the
peak memory of a fresh process; with --accelerator gpu also that of the GPU. Ours is `genesis predict` by PyTorch, or by
OpenVINO: "traced" is the first call, which traces the network, and must be named before the others. MONAI's is the
usual way of its tutorials: LoadImage, ScaleIntensityRange, SlidingWindowInferer (mode "gaussian") on the whole volume,
AsDiscrete (argmax), SaveImage; its fastest way is bf16 with channels last. Network, window, overlap and windows at a
time are the same; so is the precision, but for the ways named bf16. Ours leaves windows without body out, but for
"everywhere"; "OpenVINO int8" wants a --run that `genesis weights quantize` was given. --scan names a real scan to be
brought to --size, and --run a run of `genesis finetune`. Voxels are compared within the body, and all of them.
"""

import argparse
import functools
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.cubes import make_scan

SIZE = (512, 512, 400)
PATCH = (128, 128, 64)
LABELS = 2


def make_run(folder: Path, width: int, patch: tuple[int, ...], norm: Any = "batch") -> Path:
    """Write a fine-tuned run of a network with random weights that finds some of every label."""
    import torch

    from modelsgenesis.core.labels import Label
    from modelsgenesis.core.naming import describe
    from modelsgenesis.core.provenance import write_provenance
    from modelsgenesis.data.images import Reading
    from modelsgenesis.nets import UNet3D
    from modelsgenesis.targets.segmentation import Segmentation
    from modelsgenesis.weights.files import save_network

    torch.manual_seed(0)
    network = UNet3D(1, LABELS + 1, width=width, norm=norm, activation="identity").eval()
    with torch.no_grad():  # every class gets its share of the voxels
        noise = network(0.3 + 0.2 * torch.randn(1, 1, 64, 64, 64).clamp(-1, 1))
        network.last.bias -= noise.flatten(2).median(2).values[0]
    target = Segmentation(tuple(Label(str(k), (k,)) for k in range(1, LABELS + 1)))
    notes = {"target": describe(target), "reading": describe(Reading()), "patch": list(patch), "channels": 1}
    folder.mkdir()
    save_network(folder / "model.safetensors", network, notes)
    write_provenance(folder, "finetune", {}, inputs=[])
    return folder


def with_ours(
    run: Path,
    scan: Path,
    into: Path,
    options: argparse.Namespace,
    engine: str = "torch",
    precision: str = "32-true",
    everywhere: bool = False,
) -> None:
    """Predict as a user does."""
    import modelsgenesis as mg

    mg.predict(
        run, scan, into, overlap=options.overlap, batch_size=options.batch_size, precision=precision,
        accelerator=options.accelerator, engine=engine, everywhere=everywhere, quiet=True,
    )  # fmt: skip


def with_monai(run: Path, scan: Path, into: Path, options: argparse.Namespace, bf16: bool = False) -> None:
    """Predict as MONAI's tutorials do, or as fast as MONAI can."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import AsDiscrete, Compose, LoadImage, SaveImage, ScaleIntensityRange

    from modelsgenesis.weights import load

    device = torch.device("cuda" if options.accelerator == "gpu" else "cpu")
    read = Compose([LoadImage(ensure_channel_first=True), ScaleIntensityRange(-1000, 1000, 0, 1, clip=True)])
    inferer = SlidingWindowInferer(options.patch, options.batch_size, overlap=options.overlap, mode="gaussian")
    network = load(run).to(device).eval()
    network = network.to(memory_format=torch.channels_last_3d) if bf16 else network
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        answer = inferer(read(scan)[None].to(device), network)
    mask = AsDiscrete(argmax=True)(answer[0])
    into.mkdir()
    SaveImage(into, output_postfix="", output_dtype=np.uint8, separate_folder=False, print_log=False)(mask)


WAYS = {
    "ours": with_ours,
    "ours bf16": functools.partial(with_ours, precision="bf16-mixed"),
    "traced": functools.partial(with_ours, engine="openvino"),
    "OpenVINO": functools.partial(with_ours, engine="openvino"),
    "OpenVINO bf16": functools.partial(with_ours, engine="openvino", precision="bf16-mixed"),
    "OpenVINO int8": functools.partial(with_ours, engine="openvino-int8"),
    "everywhere": functools.partial(with_ours, engine="openvino", precision="bf16-mixed", everywhere=True),
    "MONAI": with_monai,
    "MONAI bf16": functools.partial(with_monai, bf16=True),
}


def bring_to_size(path: Path, size: tuple[int, ...], into: Path) -> None:
    """Resample a real scan linearly to a number of voxels, 16 bits each, over the same extent."""
    image = sitk.ReadImage(str(path))
    spacing = [step * old / new for step, old, new in zip(image.GetSpacing(), image.GetSize(), size, strict=True)]
    half = [(new - old) / 2 for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    turn = np.array(image.GetDirection()).reshape(3, 3)
    origin = (np.array(image.GetOrigin()) + turn @ half).tolist()
    made = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, image.GetDirection(), -1000, sitk.sitkInt16
    )
    sitk.WriteImage(made, str(into))


def body_of(scan: Path) -> np.ndarray:
    """Where we say that the body is, (Z, Y, X)."""
    from modelsgenesis.data.channels import read_image
    from modelsgenesis.data.images import Reading
    from modelsgenesis.data.sources import find_sources
    from modelsgenesis.inference.body import find_body

    sources, _ = find_sources(scan, skip=scan.parent / "nothing")
    image = read_image(sources, Reading())
    body = find_body(image)
    if body is None:
        raise SystemExit("no body in the scan")
    return image.geometry.from_lps(body.voxels(image.size)).T


def measure(
    way: str, arguments: tuple[Path, Path, Path, argparse.Namespace], answer: "multiprocessing.Queue[tuple[float, ...]]"
) -> None:
    """Answer with seconds on the clock and of the processor, and the peak MiB of this process and of its GPU."""
    begin, busy = time.perf_counter(), time.process_time()
    WAYS[way](*arguments)
    times = time.perf_counter() - begin, time.process_time() - busy
    # Not getrusage: its greatest resident size is inherited from the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    import torch

    answer.put((*times, peak, torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_available() else 0.0))


def run_fresh(way: str, *arguments: object) -> tuple[float, ...]:
    """Measure in a fresh process."""
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[tuple[float, ...]] = context.Queue()
    process = context.Process(target=measure, args=(way, arguments, answer))
    process.start()
    while process.is_alive() and answer.empty():
        time.sleep(0.2)
    if answer.empty():
        raise SystemExit(f"{way} died, with status {process.exitcode}")
    found = answer.get()
    process.join()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=SIZE)
    parser.add_argument("--patch", type=int, nargs=3, default=PATCH)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--norm", default="batch")
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["ours", "MONAI"])
    options = parser.parse_args()
    options.size, options.patch = tuple(options.size), tuple(options.patch)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.scan:
            bring_to_size(options.scan, options.size, folder / "ct.nii.gz")
        else:
            make_scan(folder / "ct.nii.gz", options.size)
        run = options.run or make_run(folder / "run", options.width, options.patch, options.norm)
        kind = "real" if options.scan else "made-up"
        print(f"a {kind} CT of {options.size}, windows of {options.patch}, overlap {options.overlap:g}, ", end="")
        print(f"width {options.width}, norm {options.norm}")
        print(f"{'way':14s} {'clock s':>8s} {'CPU s':>8s} {'peak MiB':>9s} {'GPU MiB':>8s}")
        best: dict[str, tuple[float, ...]] = {}
        for turn in range(options.repeats):
            for way in options.ways:
                found = run_fresh(way, run, folder / "ct.nii.gz", folder / f"{way}{turn}", options)
                best[way] = tuple(map(min, found, best.get(way, found)))
                clock, busy, peak, gpu = found
                print(f"{way:14s} {clock:8.1f} {busy:8.1f} {peak:9.0f} {gpu:8.0f}", flush=True)
        first = options.ways[0]
        mask = {way: sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{way}0" / "ct.nii.gz"))) for way in best}
        body = body_of(folder / "ct.nii.gz")
        print(f"body: {body.mean():.1%} of the voxels")
        print(f"labels {np.unique(mask[first]).tolist()}")
        for way in options.ways[1:]:
            clock, busy, peak, _ = (
                ours / max(theirs, 1e-9) for ours, theirs in zip(best[first], best[way], strict=True)
            )
            same, within = (np.mean((mask[first] == mask[way])[where]) for where in (..., body))
            print(f"{first} / {way}: {clock:.2f} {busy:.2f} {peak:.2f}; agree: {same:.4%}, in the body {within:.4%}")


if __name__ == "__main__":
    main()
