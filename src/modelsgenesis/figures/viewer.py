"""A page to scroll through volumes in: NiiVue and the volumes are inside, and nothing is loaded from elsewhere."""

import base64
import gzip
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.core.files import written_aside
from modelsgenesis.figures.page import environment, hash_source, policy_of, template_text
from modelsgenesis.figures.viewpoint import bounds, widest

Array = NDArray[Any]

NIIVUE = Path(__file__).parent / "niivue"
MOST_BYTES = 30_000_000  # of a page
RESERVED = 1_300_000  # of them, for NiiVue, its licence and the words
OFFSET = 352  # bytes of a NIfTI header and the four that say that nothing else is there
RGB = np.dtype([("red", "u1"), ("green", "u1"), ("blue", "u1")])  # a voxel of a coloured volume
NIFTI_TYPES = {"uint8": (2, 8), "int16": (4, 16), "int32": (8, 32), "float32": (16, 32), RGB.name: (128, 24)}
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
GUESSED_FROM = 8  # planes, of which one is compressed to guess how small the whole becomes
SHY = 0.95  # of the room is filled, since the guess is one


@dataclass(frozen=True)
class LabelEntry:
    """One label of a layer, as the list beside the pictures shows it.

    Attributes:
        value: of its voxels, from 1 to 255.
        name: of the label.
        colour: #rrggbb.
        size: its volume or area in words, such as "12.3 ml".
    """

    value: int
    name: str
    colour: str
    size: str = ""


@dataclass(frozen=True)
class Layer:
    """A label map that lies on the image of a pane, voxel for voxel.

    Attributes:
        classes: (X, Y, Z) or (X, Y), whole numbers from 0, which is nothing, to 255.
        labels: the values that are listed and drawn.
    """

    classes: Array
    labels: tuple[LabelEntry, ...]


@dataclass(frozen=True)
class Pane:
    """One image with its crosshair, and what lies on it.

    Attributes:
        title: above it.
        values: (X, Y, Z) in LPS, (X, Y) of a picture, or (X, Y, Z, volumes) of a series; colours have the type RGB.
        affine: (4, 4), from a voxel's number to mm in LPS.
        layers: drawn over it.
        display: values shown black and white, where the windows of the scene are not meant for it.
        diverging: blue below zero, red above, black at zero.
        unit: of its values.
        at: the voxel where the planes meet first; by default where most is labelled, or else the middle.
    """

    title: str
    values: Array
    affine: NDArray[np.float64]
    layers: tuple[Layer, ...] = ()
    display: tuple[float, float] | None = None
    diverging: bool = False
    unit: str = ""
    at: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Scene:
    """Panes that are looked at together, such as truth, prediction and difference of one case.

    Attributes:
        title: in the list of scenes.
        panes: side by side.
        windows: {name: values shown black and white}; the first is taken.
        note: a sentence below the title.
        oriented: whether left and right are known; otherwise no orientation letters are shown.
        linked: whether the crosshairs move together.
    """

    title: str
    panes: tuple[Pane, ...]
    windows: Mapping[str, tuple[float, float]]
    note: str = ""
    oriented: bool = True
    linked: bool = True


@dataclass
class Packed:
    """The volumes of a page, compressed, and the description of its scenes.

    Attributes:
        scenes: as viewer.js reads them.
        volumes: {name: bytes of a gzipped NIfTI file}.
    """

    scenes: list[dict[str, Any]] = field(default_factory=list)
    volumes: dict[str, bytes] = field(default_factory=dict)


def write_viewer(path: Path | str, title: str, lead: str, scenes: Sequence[Scene], *, footer: str = "") -> Path:
    """Write a page that holds NiiVue and all volumes, at most 30 MB, whole or not at all.

    Volumes that are too large for it are shown at a coarser step, which the page states.

    Args:
        path: of the HTML file.
        title: its heading.
        lead: a sentence under it.
        scenes: one or more.
        footer: its last line.
    Raises:
        ShapeError: there is no scene, or a layer is of another shape than its image.
    """
    packed = pack(scenes, MOST_BYTES - RESERVED)
    path = Path(path)
    with written_aside(path) as aside:
        aside.write_text(viewer_html(title, lead, packed, footer=footer), encoding="utf-8")
    return path


def viewer_html(title: str, lead: str, packed: Packed, *, footer: str = "", served: bool = False) -> str:
    """Render the page; its policy lets no request leave it, and every text in it is escaped.

    Args:
        title: its heading.
        lead: a sentence under it.
        packed: what it shows.
        footer: its last line.
        served: the volumes lie beside the page, called NAME.nii.gz, on a server that it may ask.
    """
    script, style = template_text("viewer.js"), template_text("page.css", "viewer.css")
    bundle = (NIIVUE / "niivue.umd.js.gz").read_bytes()
    policy = {
        "script-src": f"{hash_source(script.encode())} {hash_source(gzip.decompress(bundle))}",
        "style-src": hash_source(style.encode()),
        "connect-src": "'self'" if served else "'none'",
    }
    described = json.dumps({"scenes": packed.scenes, "served": served}, ensure_ascii=True)
    return (
        environment()
        .get_template("viewer.html")
        .render(
            title=title,
            lead=lead,
            footer=footer,
            policy=policy_of(policy),
            script=script,
            style=style,
            niivue=as_text(bundle),
            licenses=(NIIVUE / "LICENSES.txt").read_text(encoding="utf-8"),
            scenes=described.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
            volumes={} if served else {name: as_text(each) for name, each in packed.volumes.items()},
        )
    )


def as_text(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def pack(scenes: Sequence[Scene], most_bytes: int | None) -> Packed:
    """Compress the volumes of some scenes, each array once, and describe the scenes.

    Args:
        scenes: one or more.
        most_bytes: of all volumes together in base64; None for no limit.
    Raises:
        ShapeError: there is no scene, or a layer is of another shape than its image.
    """
    if not scenes or not all(scene.panes for scene in scenes):
        raise ShapeError("a viewer needs at least one scene with a pane, got none; give something to look at")
    packed, names = Packed(), dict[int, str]()
    whole = sum(array.nbytes for scene in scenes for array in arrays_of(scene))
    parts = [sum(array.nbytes for array in arrays_of(scene)) / whole for scene in scenes]
    shares = [None if most_bytes is None else most_bytes * part for part in parts]
    scenes = [cut_series(scene, share) for scene, share in zip(scenes, shares, strict=True)]
    for scene, share in zip(scenes, shares, strict=True):
        steps, volumes = fitting(scene, share)
        for key, data in volumes.items():
            names[key] = f"v{len(packed.volumes)}"
            packed.volumes[names[key]] = data
        packed.scenes.append(describe_scene(scene, names, steps))
    return packed


def cut_series(scene: Scene, most_bytes: float | None) -> Scene:
    """The scene with as many first volumes of its series as fit as they are, and a line that says how many do not."""
    series = [pane for pane in scene.panes if pane.values.ndim == 4]
    if most_bytes is None or not series:
        return scene
    one = sum(guessed_bytes(pane.values[..., 0]) for pane in series) * 4 / 3
    most = max(1, int(SHY * most_bytes / max(one, 1)))
    missing = max(pane.values.shape[3] for pane in series) - most
    if missing <= 0:
        return scene
    panes = tuple(
        replace(pane, values=pane.values[..., :most]) if pane.values.ndim == 4 else pane for pane in scene.panes
    )
    told = f"The first {most} volumes: {missing} more are too large for one page; --serve shows all of them."
    return replace(scene, panes=panes, note=" ".join(filter(None, [scene.note, told])))


def arrays_of(scene: Scene) -> list[Array]:
    """The images and layers of a scene, each once."""
    arrays = {id(a): a for pane in scene.panes for a in (pane.values, *(layer.classes for layer in pane.layers))}
    return list(arrays.values())


def describe_scene(scene: Scene, names: Mapping[int, str], steps: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """The description of a scene that viewer.js reads; linked panes begin where the first has most labelled."""
    starts = [start_of(scene.panes[0] if scene.linked else pane) for pane in scene.panes]
    panes = [
        {
            "title": pane.title,
            "volume": names[id(pane.values)],
            "display": pane.display,
            "diverging": pane.diverging,
            "unit": pane.unit,
            "at": (LPS_TO_RAS @ pane.affine @ [*shown_voxel(starts[number], step), 1])[:3].tolist(),
            "step": [*step, 1][:3],
            "coloured": pane.values.dtype == RGB,
            "num": pane.values.shape[3] if pane.values.ndim == 4 else 1,
            "layers": [
                {"volume": names[id(layer.classes)], "labels": [vars(label) for label in layer.labels]}
                for layer in pane.layers
            ],
        }
        for number, (pane, step) in enumerate(zip(scene.panes, steps, strict=True))
    ]
    return {
        "title": scene.title,
        "note": " ".join(filter(None, [scene.note, step_in_words(steps)])),
        "oriented": scene.oriented,
        "linked": scene.linked and len(panes) > 1,
        "flat": all(pane.values.ndim == 2 for pane in scene.panes),
        "plane": plane_of(scene.panes[0].values.shape),
        "windows": [[name, *limits] for name, limits in scene.windows.items()],
        "panes": panes,
    }


def plane_of(shape: Sequence[int]) -> int | None:
    """NiiVue's number of the plane that a scan of one slice lies in: axial, coronal or sagittal; None of others."""
    thin = [axis for axis, side in enumerate(shape[:3]) if side == 1]
    return 2 - thin[0] if len(thin) == 1 and len(shape) > 2 else None


def start_of(pane: Pane) -> tuple[int, ...]:
    """The voxel where the planes of a pane meet first."""
    masks = [layer.classes[np.newaxis] for layer in pane.layers]
    held = bounds(masks) if masks else None
    return pane.at or (widest(masks, held) if held else tuple(side // 2 for side in pane.values.shape[:3]))


def shown_voxel(voxel: Sequence[int], step: Sequence[int]) -> list[int]:
    """The voxel that stands for one where not all are shown; three numbers, of a picture too."""
    return [*(place // each * each for place, each in zip(voxel, step, strict=True)), 0][:3]


def step_in_words(steps: Sequence[tuple[int, ...]]) -> str:
    """Say which voxels are shown, where they are not all."""
    coarse = sorted({each for each in steps if max(each) > 1})
    if not coarse:
        return ""
    shown = " or ".join(" x ".join(map(str, each)) for each in coarse)
    return f"Too large for one page: shown at a coarser step, one voxel of each {shown}; --serve shows all of them."


def fitting(scene: Scene, most_bytes: float | None) -> tuple[list[tuple[int, ...]], dict[int, bytes]]:
    """Compress the volumes of a scene with the finest step at which they fit.

    Args:
        scene: whose volumes.
        most_bytes: of all together in base64; None for no limit.
    Returns:
        The step of each pane along its axes, and {id of the array: gzipped NIfTI}.
    """
    share = 1.0
    if most_bytes is not None:
        guessed = sum(guessed_bytes(array) for array in arrays_of(scene)) * 4 / 3
        share = min(1.0, SHY * most_bytes / guessed)
    while True:
        steps, volumes = compressed(scene, share)
        size = sum(map(len, volumes.values())) * 4 / 3
        if most_bytes is None or size <= most_bytes or share * max(a.size for a in arrays_of(scene)) < 1:
            return steps, volumes
        share *= SHY * most_bytes / size


def guessed_bytes(values: Array) -> float:
    """About how many bytes an array takes compressed."""
    few = np.ascontiguousarray(values[..., ::GUESSED_FROM])
    return len(gzip.compress(stored(few).tobytes(), 6)) * values.size / few.size


def compressed(scene: Scene, share: float) -> tuple[list[tuple[int, ...]], dict[int, bytes]]:
    """Compress a share of the voxels of each volume of a scene; its layers get the step of their image."""
    volumes: dict[int, bytes] = {}
    steps = []
    for pane in scene.panes:
        space = pane.values.shape[:3]
        spacing = np.linalg.norm(pane.affine[:3, :3], axis=0)[: len(space)]
        step = coarser_step(space, spacing.tolist(), share * math.prod(space))
        steps.append(step)
        for layer in pane.layers:
            if layer.classes.shape != space:
                shapes = f"{layer.classes.shape} on an image of {pane.values.shape}"
                raise ShapeError(f"a layer lies on its image voxel for voxel, got {shapes}; resample it first")
        for array in (pane.values, *(layer.classes for layer in pane.layers)):
            if id(array) not in volumes:
                volumes[id(array)] = nifti(array, pane.affine, step)
    return steps, volumes


def coarser_step(shape: Sequence[int], spacing_mm: Sequence[float], most_voxels: float) -> tuple[int, ...]:
    """The step along each axis at which so many voxels are left, the finest axis coarsened first.

    Example: >>> coarser_step((512, 512, 100), (0.7, 0.7, 5.0), 7_000_000)
    (2, 2, 1)
    """
    steps = [1] * len(shape)
    while math.prod(kept := [-(-side // step) for side, step in zip(shape, steps, strict=True)]) > max(most_voxels, 1):
        long = [axis for axis, side in enumerate(kept) if side > 1]
        steps[min(long, key=lambda axis: (steps[axis] * spacing_mm[axis], axis))] += 1
    return tuple(steps)


def stored(values: Array) -> Array:
    """The numbers as a NIfTI file of few bytes and every viewer has them, without loss but to float32."""
    if values.dtype == RGB:
        return values
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    low, high = int(values.min()), int(values.max())
    for name in ("uint8", "int16", "int32"):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return values.astype(name, copy=False)
    return values.astype(np.float32)


def nifti(values: Array, affine: NDArray[np.float64], step: Sequence[int]) -> bytes:
    """Write every so many voxels as a gzipped NIfTI file, the same bytes for the same values.

    Args:
        values: (X, Y, Z), (X, Y) or (X, Y, Z, volumes).
        affine: (4, 4), from a voxel's number to mm in LPS.
        step: along each axis of space.
    """
    few = stored(values[tuple(slice(None, None, each) for each in step)])
    few = few[..., np.newaxis] if few.ndim == 2 else few
    placed = LPS_TO_RAS @ affine @ np.diag([*step, *[1] * (4 - len(step))])
    code, bits = NIFTI_TYPES[few.dtype.name]
    spacing = np.linalg.norm(placed[:3, :3], axis=0)
    head = bytearray(OFFSET)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, few.ndim, *few.shape, *(1,) * (7 - few.ndim))
    struct.pack_into("<2h", head, 70, code, bits)
    struct.pack_into("<8f", head, 76, 1.0, *spacing, 1.0 if few.ndim == 4 else 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, OFFSET, 1.0, 0.0)
    head[123] = 2  # mm
    struct.pack_into("<2h", head, 252, 0, 2)  # placed by the rows that follow
    struct.pack_into("<12f", head, 280, *placed[:3].ravel())
    head[344:348] = b"n+1\0"
    little = few.astype(few.dtype.newbyteorder("<"), copy=False)
    return gzip.compress(bytes(head) + little.tobytes(order="F"), 6, mtime=0)
