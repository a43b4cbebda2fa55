"""How fast the deformations are, beside the authors' code, MONAI's, batchgeneratorsv2's and a mere copy of the cube.

    python benchmarks/deformations.py --official FOLDER_WITH_THE_AUTHORS_CLONE [--into results.md]

FOLDER/pytorch/utils.py and config.py are run as they are, never changed. One thread throughout; every number is the
mean over seeds, of the least of some repeats for each, so that another process on the machine counts little.
Compilation is cached on disk and not counted.
"""

import argparse
import random
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelsgenesis.deformations import Flip, genesis

ARMS = ("local_shuffling", "non_linear", "out_painting", "in_painting")
SIZES = {(64, 64, 32): 100, (160, 160, 160): 30}  # the ratio to reach over the authors' generator
Row = tuple[str, float]


def official_code(clone: Path) -> Any:
    """Load the authors' utils.py; what it imports for drawing figures alone is replaced by empty modules."""
    for name in ("imageio", "skimage", "skimage.transform"):
        sys.modules.setdefault(name, types.ModuleType(name))
    vars(sys.modules["skimage.transform"]).setdefault("resize", None)
    folder = clone / "pytorch" if (clone / "pytorch").is_dir() else clone
    sys.path.insert(0, str(folder))
    import utils  # type: ignore[import-not-found]

    return utils


def seconds(action: Callable[[int], Any], num_seeds: int, repeats: int) -> float:
    """Mean over seeds of the least time of `repeats` runs under each."""
    action(0)
    total = 0.0
    for seed in range(num_seeds):
        times = []
        for _ in range(repeats):
            random.seed(seed)
            np.random.seed(seed)
            begin = time.perf_counter()
            action(seed)
            times.append(time.perf_counter() - begin)
        total += min(times)
    return total / num_seeds


def ours(cube: np.ndarray, num: int, repeats: int) -> list[Row]:
    """The recipe with its flip, as the authors' generator has it, and each law alone."""
    flip = Flip()

    def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        axes = flip.draw(cube.shape, rng)
        target = flip.apply(cube, axes) if axes else cube
        return genesis()(target, rng), target

    rows = [("ours: the recipe, flip and target", seconds(pair, num, repeats))]
    rows += [("ours: genesis()(cube, rng)", seconds(lambda s: genesis()(cube, np.random.default_rng(s)), num, repeats))]
    for arm in ARMS:
        law = genesis(arm=arm)  # type: ignore[arg-type]
        rows.append((f"ours: {arm}", seconds(lambda s, law=law: law(cube, np.random.default_rng(s)), num, repeats)))
    tiled = genesis(arm="local_shuffling", variant="tiled")
    rows.append(
        ("ours: local_shuffling, tiled", seconds(lambda s: tiled(cube, np.random.default_rng(s)), num, repeats))
    )
    rows.append(("copy of the cube", seconds(lambda s: cube.copy(), num, repeats)))
    return rows


def theirs(cube: np.ndarray, clone: Path, num: int, repeats: int) -> list[Row]:
    """The authors' pair generator, and each of their functions, always acting."""
    code = official_code(clone)
    double = cube.astype(np.float64)  # as their cubes are stored
    settings = types.SimpleNamespace(
        save_samples=None,
        flip_rate=0.4,
        local_rate=0.5,
        nonlinear_rate=0.9,
        paint_rate=0.9,
        outpaint_rate=0.8,
        inpaint_rate=0.2,
    )
    generator = code.generate_pair(double[None], 1, settings)
    functions = {
        "local_shuffling": lambda s: code.local_pixel_shuffling(double, prob=1.0),
        "non_linear": lambda s: code.nonlinear_transformation(double, prob=1.0),
        "out_painting": lambda s: code.image_out_painting(double.copy()),
        "in_painting": lambda s: code.image_in_painting(double.copy()),
    }
    rows = [("authors: generate_pair", seconds(lambda s: next(generator), num, repeats))]
    return rows + [(f"authors: {arm}", seconds(functions[arm], max(2, num // 4), repeats)) for arm in ARMS]


def libraries(cube: np.ndarray, num: int) -> list[Row]:
    """The nearest transforms of MONAI and batchgeneratorsv2."""
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from monai.transforms import RandCoarseDropout, RandCoarseShuffle, RandHistogramShift

    tensor = torch.from_numpy(cube)
    most = [max(1, side // 10) for side in cube.shape[1:]]
    sixth = [side // 6 for side in cube.shape[1:]]
    shuffle = RandCoarseShuffle(holes=10_000, spatial_size=[1, 1, 1], max_spatial_size=most, prob=1.0)
    shift = RandHistogramShift(prob=1.0)
    hide = RandCoarseDropout(holes=5, spatial_size=sixth, dropout_holes=True, fill_value=(0.0, 1.0), prob=1.0)
    keep = RandCoarseDropout(
        holes=5, spatial_size=[3 * s for s in sixth], dropout_holes=False, fill_value=(0, 1), prob=1.0
    )
    gamma = GammaTransform((0.5, 2.0), p_invert_image=0, synchronize_channels=True, p_per_channel=1, p_retain_stats=0)
    return [
        ("MONAI: RandCoarseShuffle, 10,000 holes", seconds(lambda s: shuffle(tensor), max(2, num // 8), 1)),
        ("MONAI: RandHistogramShift", seconds(lambda s: shift(tensor), num, 2)),
        ("MONAI: RandCoarseDropout, outside 5 holes", seconds(lambda s: keep(tensor), num, 2)),
        ("MONAI: RandCoarseDropout, in 5 holes", seconds(lambda s: hide(tensor), num, 2)),
        ("batchgeneratorsv2: GammaTransform", seconds(lambda s: gamma(image=tensor.clone()), num, 2)),
    ]


def start_up() -> float:
    """Seconds from starting Python to the first deformed cube, in a fresh process with a warm cache."""
    code = (
        "import numpy as np; from modelsgenesis.deformations import genesis;"
        "[genesis(arm=a)(np.zeros((1, 64, 64, 32), np.float32), np.random.default_rng(0))"
        " for a in ('all', 'local_shuffling', 'out_painting')]"
    )
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - begin)
    return min(times)


def table(size: tuple[int, ...], clone: Path | None, quick: bool) -> list[str]:
    """Measure at one size and write the rows."""
    large = np.prod(size) > 1e6
    num, repeats = (8 if quick else 24, 2) if large else (100 if quick else 400, 3)
    cube = np.random.default_rng(0).random((1, *size), dtype=np.float32)
    rows = ours(cube, num, repeats)
    if clone is not None:
        rows += theirs(cube, clone, max(4, num // 4), 1 if large else 2)
    rows += libraries(cube, max(2, num // 8))
    times = dict(rows)
    lines = [f"## {' x '.join(map(str, size))}", "", "| what | ms a cube | cubes/s |", "|---|---:|---:|"]
    lines += [f"| {name} | {value * 1e3:.3f} | {1 / value:,.0f} |" for name, value in rows]
    if clone is not None:
        lines += ["", "| authors' time over ours | ratio |", "|---|---:|"]
        ratio = times["authors: generate_pair"] / times["ours: the recipe, flip and target"]
        lines.append(f"| the pair generator (target: {SIZES[size]}) | **{ratio:.0f}** |")
        for arm in ARMS:
            lines.append(f"| {arm} | {times[f'authors: {arm}'] / times[f'ours: {arm}']:.0f} |")
    copies = times["ours: genesis()(cube, rng)"] / times["copy of the cube"]
    return [*lines, "", f"The recipe takes {copies:.0f} times a mere copy of the cube.", ""]


def main() -> None:
    """Measure, print, and write the Markdown if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--official", type=Path, help="folder of the authors' clone; left out, only ours is measured")
    parser.add_argument("--into", type=Path, help="write the result here, as Markdown")
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    parser.add_argument("--machine", default="this machine", help="words for the machine, such as '2 cores of an EPYC'")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# Deformations: time for one cube, one thread", "", f"Machine: {given.machine}. Made by:", ""]
    lines += ["    python benchmarks/deformations.py --official PATH" + (" --quick" if given.quick else ""), ""]
    for size in SIZES:
        lines += table(size, given.official, given.quick)
    lines += [
        f"Start-up: {start_up():.2f} s from starting Python to deformed cubes, with a warm cache (target: 2 s).",
        "",
    ]
    print("\n".join(lines))
    if given.into is not None:
        given.into.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
