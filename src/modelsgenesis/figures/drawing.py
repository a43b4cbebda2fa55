"""The strokes that every picture shares: places in inches, letters, scale bars, and a file written whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import written_aside
from modelsgenesis.figures.planes import Array, Plane

INK = "#1b2430"
PALE = "#667384"
MARK = "#ffd84d"
DIFFERENCES = "RdBu_r"
DOTS_PER_INCH = 130
HALO = (patheffects.withStroke(linewidth=1.8, foreground="#000000b0"),)  # keeps marks legible on white tissue
ON_PICTURE: dict[str, Any] = {"color": MARK, "path_effects": HALO}


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks or frame at a place in inches, from the left and from the top."""
    w, h = figure.get_size_inches()
    axes = figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))
    axes.set_axis_off()
    return axes


def text(figure: Figure, left: float, top: float, words: str, **style: Any) -> None:
    """Write at a place in inches, from the left and from the top; on the baseline, left-aligned by default."""
    w, h = figure.get_size_inches()
    figure.text(left / w, 1 - top / h, words, **{"color": INK, "size": 9, **style})


def frame(figure: Figure, left: float, title: str, footnote: str) -> None:
    """Write the title above a figure and the footnote below it."""
    text(figure, left, 0.34, title, size=12, weight="bold")
    text(figure, left, float(figure.get_size_inches()[1]) - 0.14, footnote, size=7.5, color=PALE)


def draw_picture(axes: Axes, picture: Array, kind: str, limits: tuple[float, float]) -> None:
    """Draw a picture that fills its axes.

    Args:
        axes: to fill.
        picture: (rows, columns).
        kind: "image" in grey, "difference" in colour.
        limits: values shown black and white, or in full blue and full red.
    """
    colours = DIFFERENCES if kind == "difference" else "gray"
    style: dict[str, Any] = {"interpolation": "bilinear", "interpolation_stage": "data", "aspect": "auto"}
    axes.imshow(picture, cmap=colours, norm=Normalize(*limits), **style)


def write_letters(axes: Axes, plane: Plane) -> None:
    """Write which way the patient lies at the four sides of a picture."""
    places = (
        (0.03, 0.5, "left", "center"),
        (0.97, 0.5, "right", "center"),
        (0.5, 0.98, "center", "top"),
        (0.5, 0.03, "center", "bottom"),
    )
    for letter, (x, y, ha, va) in zip(plane.letters, places, strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, size=7, weight="bold", **ON_PICTURE)


def scale_bar(axes: Axes, plane: Plane) -> None:
    """Draw a round length, at most a third of the plane's width; none on a picture, whose spacing is not known."""
    if plane.name == "image":
        return
    width_mm = plane.size_mm[0]
    length = max((mm for mm in (1, 2, 5, 10, 20, 50, 100, 200) if mm <= width_mm / 3), default=width_mm / 3)
    start, end = 0.95 - length / width_mm, 0.95
    style: dict[str, Any] = {"transform": axes.transAxes, **ON_PICTURE}
    axes.plot([start, end], [0.06, 0.06], lw=1.5, solid_capstyle="butt", scalex=False, scaley=False, **style)
    axes.text(end, 0.08, f"{length:g} mm", ha="right", va="bottom", size=6, **style)


def difference_limit(differences: Sequence[Array]) -> float:
    """The difference drawn with full colour, one for all so that they can be compared; 0 for none."""
    if not differences:
        return 0.0
    return max(max(float(np.percentile(np.abs(values), 99.5)) for values in differences), 1e-3)


def colour_bar(figure: Figure, left: float, top: float, height: float, spread: float) -> None:
    """Draw the scale of the differences."""
    axes = place(figure, left, top, 0.09, height)
    axes.imshow(np.linspace(1, -1, 128)[:, None], cmap=DIFFERENCES, aspect="auto")
    for y, value in ((1, spread), (0.5, 0.0), (0, -spread)):
        words = f"{value:+.2g}" if value else "0"
        axes.text(1.4, y, words, transform=axes.transAxes, va="center", size=6.5, color=PALE)


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG, whole or not at all, without the versions that would change its bytes."""
    path = png(path)
    with written_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path


def png(path: Path | str) -> Path:
    """The path of a picture as a PNG.

    Raises:
        DataError: its name promises another format.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise DataError(f"pictures are written as PNG, so give a name that ends in .png, got {path.name}")
    return path
