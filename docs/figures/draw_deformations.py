"""Draw the figures of docs/deformations.md from a made-up scan: python docs/figures/draw_deformations.py."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import Deformation, LocalShuffling, NonLinear, gallery, genesis
from modelsgenesis.phantom import torso

HERE = Path(__file__).parent
RANGE_HU = (-1000.0, 1000.0)
LAWS = {
    "local_shuffling": "local shuffling",
    "non_linear": "non-linear map",
    "out_painting": "out-painting",
    "in_painting": "in-painting",
}
LATER = ["blur", "noise", "low_dose", "slice_thickness", "gamma", "block_mask"]
LATER += ["bias_field", "gibbs", "motion", "patch_swap"]


def made_up_cube() -> np.ndarray:
    """A block through the chest of a made-up scan, float32 (1, X, Y, Z) in [0, 1]."""
    scan = torso(seed=3, size=(144, 112, 64), spacing_mm=(2.5, 2.5, 4.0))
    low, high = RANGE_HU
    return np.clip((scan.values.astype(np.float32) - low) / (high - low), 0, 1)


def slice_of(axes: Axes, image: np.ndarray, title: str, plane: str = "axial") -> None:
    """Show the middle axial slice as a radiologist sees it, or the coronal one, head up."""
    if plane == "axial":
        picture, aspect = image[0, :, :, image.shape[3] // 2].T, 1.0
    else:
        picture, aspect = image[0, :, image.shape[2] // 2, ::-1].T, 4.0 / 2.5
    axes.imshow(picture, cmap="gray", vmin=0, vmax=0.8, aspect=aspect, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def save(figure: Figure, name: str) -> None:
    """Write one picture."""
    FigureCanvasAgg(figure).print_png(HERE / name)


def draw_laws(cube: np.ndarray) -> None:
    """The four laws and three draws of all together, axial above coronal."""
    columns = [("original", cube)]
    for index, (arm, title) in enumerate(LAWS.items()):
        columns.append((title, genesis(arm=arm)(cube, generator_for(0, index))))  # type: ignore[arg-type]
    columns += [(f"all, draw {k}", genesis()(cube, generator_for(9, k))) for k in (1, 2, 3)]
    figure = Figure(figsize=(14, 3.4), layout="constrained")
    panels = figure.subplots(2, len(columns))
    for (title, image), (above, below) in zip(columns, panels.T, strict=True):
        slice_of(above, image, title)
        slice_of(below, image, "", "coronal")
    save(figure, "laws.png")


def draw_curves() -> None:
    """Twenty drawn maps: those that rise and those that fall."""
    figure = Figure(figsize=(4, 3.4), layout="constrained")
    axes = figure.subplots()
    ramp = np.linspace(0, 1, 512, dtype=np.float32)
    for index in range(20):
        curve = NonLinear().draw((1, 8, 8), generator_for(1, index))
        out = NonLinear().apply(ramp.reshape(1, 8, 64), curve).ravel()
        axes.plot(ramp, out, color="#1f77b4" if curve.rising else "#d62728", linewidth=1)
    axes.set_xlabel("grey level, as a part of the range")
    axes.set_ylabel("what it is shown as")
    axes.set_title("20 non-linear maps: rising (blue), falling (red)", fontsize=9)
    save(figure, "maps.png")


def draw_shuffling() -> None:
    """The two laws of shuffling on a ramp, large enough to see single voxels."""
    ramp = np.add.outer(np.linspace(0, 0.6, 60), np.linspace(0, 0.4, 60)).astype(np.float32)
    ramp = np.repeat(ramp[None, :, :, None], 10, axis=3)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    laws = {"a ramp": None, 'variant="exact"': LocalShuffling(), 'variant="tiled"': LocalShuffling(variant="tiled")}
    for axes, (title, law) in zip(panels, laws.items(), strict=True):
        image = ramp if law is None else law(ramp, generator_for(2, 0))
        axes.imshow(image[0, :, :, 5], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    save(figure, "shuffling.png")


def draw_later(cube: np.ndarray) -> None:
    """The further deformations, each once."""
    kinds: dict[str, Deformation] = gallery()
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    panels = figure.subplots(2, 6).ravel()
    slice_of(panels[0], cube, "original")
    for index, (axes, name) in enumerate(zip(panels[1:], LATER, strict=False)):
        plane = "coronal" if name == "slice_thickness" else "axial"
        slice_of(axes, kinds[name](cube, generator_for(3, index)), name.replace("_", " "), plane)
    for axes in panels[1 + len(LATER) :]:
        axes.set_axis_off()
    save(figure, "later.png")


def main() -> None:
    """Draw all of them."""
    cube = made_up_cube()
    draw_laws(cube)
    draw_curves()
    draw_shuffling()
    draw_later(cube)


if __name__ == "__main__":
    main()
