"""How fast crops of pictures come out of a store, on one core, beside decoding the pictures each time.

Run: python benchmarks/pictures.py
Makes up radiographs as JPEGs (--side 1024 as those of ChestX-ray14, 2500 about as those of MIMIC-CXR-JPG), prepares
them with --longest-side 512, and prints processor seconds for each of: decoding a JPEG; the same, shrunk and deformed
window by window as scripts do; a crop of 224 x 224 from the store; such a crop deformed by the recipe chest-xray. All
in one run, in turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import modelsgenesis as mg
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.data.sampling.cubes import CubeSampler
from modelsgenesis.data.sampling.stream import CubeStream
from modelsgenesis.nets import UNet3D
from modelsgenesis.recipes import chest_xray
from modelsgenesis.recipes.recipe import make_learner

KEPT, CROP = 512, 224


def write_radiographs(folder: Path, num: int, side: int) -> list[Path]:
    """Write smooth, grainy pictures, which compress as radiographs do."""
    folder.mkdir()
    paths = []
    for number in range(num):
        rng = np.random.default_rng(number)
        broad = gaussian_filter(rng.normal(size=(side, side)).astype(np.float32), 40)
        fine = gaussian_filter(rng.normal(size=(side, side)).astype(np.float32), 2)
        levels = 128 + 50 * broad / broad.std() + 12 * fine / fine.std() + rng.normal(0, 3, (side, side))
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def deformed_by_loops(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deform a picture (rows, columns) in [0, 1] window by window in NumPy, with the family's counts."""
    rows, columns = image.shape
    result = image.copy()
    for _ in range(40):
        tall, wide = rng.integers(1, rows // 10 + 1), rng.integers(1, columns // 10 + 1)
        top, left = rng.integers(0, rows - tall + 1), rng.integers(0, columns - wide + 1)
        window = image[top : top + tall, left : left + wide].flatten()
        rng.shuffle(window)
        result[top : top + tall, left : left + wide] = window.reshape(tall, wide)
    if rng.random() < 0.9:
        t = np.linspace(0, 1, 500)
        a, b, c, d = rng.random(4)
        x = 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * c + t**3
        y = 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * d + t**3
        x, y = (np.sort(x), np.sort(y)) if rng.random() < 0.5 else (np.sort(x), y)
        result = np.interp(result, x, y)
    if rng.random() < 0.9:
        noise = rng.random(image.shape)
        for _ in range(5):
            tall, wide = (
                rows - rng.integers(3 * rows // 7, 4 * rows // 7),
                columns - rng.integers(3 * columns // 7, 4 * columns // 7),
            )
            top, left = rng.integers(3, rows - tall - 3), rng.integers(3, columns - wide - 3)
            noise[top : top + tall, left : left + wide] = result[top : top + tall, left : left + wide]
        result = noise
    return result


def processor_seconds(work: Callable[[int], object], num: int) -> float:
    """Processor seconds of one of `num` turns."""
    begin = time.process_time()
    for number in range(num):
        work(number)
    return (time.process_time() - begin) / num


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--crops", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write_radiographs(Path(name) / "pictures", options.pictures, options.side)
        store = mg.Store.open(mg.prepare(paths[0].parent, Path(name) / "store", longest_side=KEPT, quiet=True))
        recipe = chest_xray()
        sampler = CubeSampler(store, recipe.cubes)
        stream = CubeStream(sampler, make_learner(recipe, UNet3D(width=2, axes=2)).views, seed=0, name="train")

        def decoded(number: int) -> np.ndarray:
            return np.asarray(Image.open(paths[number % len(paths)]))

        def by_script(number: int) -> np.ndarray:
            picture = Image.open(paths[number % len(paths)]).resize((CROP, CROP), Image.Resampling.BILINEAR)
            return deformed_by_loops(np.asarray(picture) / 255.0, np.random.default_rng(number))

        works: dict[str, tuple[Callable[[int], object], int]] = {
            f"decode a JPEG of {options.side} x {options.side}": (decoded, options.pictures),
            "decode, shrink and deform by loops": (by_script, options.pictures),
            "a crop of 224 x 224 from the store": (lambda n: sampler.sample(generator_for(0, n)), options.crops),
            "a crop and its deformed view": (lambda n: stream[n], options.crops),
        }
        taken: dict[str, list[float]] = {work: [] for work in works}
        for turn in range(options.repeats + 1):
            for work, (do, num) in works.items():
                seconds = processor_seconds(do, num)
                if turn:
                    taken[work].append(seconds)
    medians = {work: statistics.median(each) for work, each in taken.items()}
    decode, script, crop, view = medians.values()
    print("| work | processor ms each | a second |\n|---|---:|---:|")
    for work, seconds in medians.items():
        print(f"| {work} | {seconds * 1000:.3f} | {1 / seconds:,.0f} |")
    print(
        f"\nA crop over decoding alone: {decode / crop:.1f} times as fast; a view over the script: {script / view:.1f}."
    )


if __name__ == "__main__":
    main()
