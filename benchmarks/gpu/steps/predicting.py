"""Step 5: a mask of a whole CT by our sliding window, and by MONAI's."""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.measuring import Results, Settings, wait

from modelsgenesis.core.device import find_machine
from modelsgenesis.core.labels import Label
from modelsgenesis.data.images import Image
from modelsgenesis.data.volume import Geometry
from modelsgenesis.inference.ensemble import Ensemble
from modelsgenesis.inference.volume_prediction import segment
from modelsgenesis.inference.windows import Windows
from modelsgenesis.nets import UNet3D
from modelsgenesis.targets.segmentation import Segmentation

OVERLAP, LIMITS = 0.25, (-1000.0, 1000.0)
TARGET = Segmentation((Label("one", (1,)), Label("two", (2,))))
LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def make_image(size: tuple[int, ...]) -> Image:
    """A CT of noise."""
    values = np.random.default_rng(0).integers(-1000, 1000, (1, *size), np.int16)
    return Image(values, (LIMITS,), (1.0, 1.0, 1.0), Geometry(size, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), LPS))


def measured(results: Results, name: str, work: Callable[[], Any]) -> Any:
    """Seconds and peak memory of one prediction, after one that warms up."""
    work()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    wait()
    begin = time.perf_counter()
    found = work()
    wait()
    results.add(f"{name}: time", round(time.perf_counter() - begin, 2), "s")
    if torch.cuda.is_available():
        results.add(f"{name}: peak of the GPU", round(torch.cuda.max_memory_allocated() / 2**30, 2), "GiB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    results.add(f"{name}: peak of the process so far", round(peak, 2), "GiB")
    return found


def with_monai(image: Image, network: torch.nn.Module, patch: tuple[int, ...], device: torch.device) -> np.ndarray:
    """Scale, slide and decide as MONAI's tutorials do, on the whole volume."""
    from monai.inferers import sliding_window_inference

    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        whole = torch.from_numpy(image.scaled())[None].to(device)
        prediction = sliding_window_inference(whole, patch, 1, network, OVERLAP, mode="gaussian")
        return prediction.argmax(1)[0].to(torch.uint8).cpu().numpy()  # type: ignore[union-attr]


def main() -> None:
    """Ours, then theirs."""
    settings = Settings.given()
    results, tiny = Results(settings, "predicting"), settings.tiny
    size, patch = ((40, 36, 32), (32, 32, 16)) if tiny else ((512, 512, 400), (128, 128, 64))
    torch.manual_seed(0)
    network = UNet3D(1, TARGET.num_outputs, width=2 if tiny else 16, activation="identity").eval()
    machine = find_machine(settings.accelerator, "bf16-mixed")
    image, windows = make_image(size), Windows(size, patch, OVERLAP)
    ensemble = Ensemble([network], TARGET, machine)
    results.add("windows", len(windows.places), f"of {patch} in {size}, width {2 if tiny else 16}, bf16")
    mask = measured(results, "ours", lambda: segment(image, ensemble, TARGET, windows).classes[0])

    def beside() -> None:
        other = measured(results, "MONAI", lambda: with_monai(image, ensemble.networks[0], patch, machine.device))
        results.add("voxels on which both agree", round(float(np.mean(other == mask)), 5))

    results.tried("MONAI", beside)


if __name__ == "__main__":
    main()
