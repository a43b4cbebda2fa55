"""genesis view, in a real browser: what lies left is shown left, it draws, obeys, and asks no one for anything."""

import base64
import json
import re
import signal
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from tests.browser import Browser, browser, find_chromium
from tests.data.scan_files import make_image, write_series
from tests.inference.runs import ORGANS, make_run
from tests.radiographs import write_picture

import modelsgenesis as mg
from modelsgenesis.benchmarking.trial import TEST
from modelsgenesis.cli import main
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.provenance import write_provenance
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.reading import read_seen
from modelsgenesis.figures.viewer import coarser_step, pack
from modelsgenesis.reports.viewing.scans import scan_scenes
from modelsgenesis.reports.viewing.server import address_of, make_server

needs_browser = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium is installed: make browser installs Debian's"
)
SIZE, SPACING = (40, 36, 30), (2.0, 2.5, 3.0)
AIR, BODY, HEAD, FRONT, LEFT = -1000, 60, 120, 180, 240  # HU; the markers lie at the head, in front, and to the left
BLACK, WHITE = 0.0, 300.0


def phantom() -> np.ndarray:
    """A body, (X, Y, Z) in LPS, with a box at its left, a smaller one in front, and one towards the head."""
    values = np.full(SIZE, AIR, np.int16)
    values[4:36, 4:32, 3:27] = BODY
    values[29:35, 13:23, 10:20] = LEFT
    values[15:25, 5:10, 10:20] = FRONT
    values[15:25, 13:23, 22:26] = HEAD
    return values


def grey(value: float) -> int:
    """The grey level of a value in HU, 0 to 255."""
    return round(255 * (value - BLACK) / (WHITE - BLACK))


def middle_of(picture: np.ndarray, value: float) -> tuple[float, float]:
    """The middle of all pixels of a value, (x, y)."""
    close = np.abs(picture.astype(int) - grey(value)).max(axis=-1) <= 3
    assert close.sum() > 20, f"nothing of {value} HU is shown"
    rows, columns = np.nonzero(close)
    return float(columns.mean()), float(rows.mean())


def to_ras(values: np.ndarray) -> nib.Nifti1Image:
    """The phantom for nibabel, whose world is RAS, in axes that run to the right, front and head."""
    affine = np.diag([*SPACING, 1.0])
    return nib.Nifti1Image(values[::-1, ::-1], affine)


def write_phantoms(folder: Path) -> None:
    """The phantom in every format, some in other axes than LPS, by writers that are not ours."""
    values = phantom()
    folder.mkdir()
    of_ras = to_ras(values)
    of_ras.set_sform(of_ras.affine, 1)
    of_ras.set_qform(None, 0)
    nib.save(of_ras, folder / "sform-ras.nii.gz")
    of_ras.set_qform(of_ras.affine, 1)
    of_ras.set_sform(None, 0)
    nib.save(of_ras, folder / "qform-ras.nii")
    turned = np.array([[0, 0, -SPACING[0], 0], [-SPACING[1], 0, 0, 0], [0, SPACING[2], 0, 0], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(values.transpose(1, 2, 0), turned), folder / "axes-psl.nii.gz")
    of_las = np.diag([SPACING[0], -SPACING[1], SPACING[2], 1.0])
    nib.save(nib.MGHImage(values[::-1].astype(np.int16), of_las), folder / "ras-to-the-back.mgz")
    for ending in (".nrrd", ".mha", ".mhd"):
        sitk.WriteImage(make_image(values, SPACING), str(folder / f"lps{ending}"))
    flipped = sitk.Flip(make_image(values, SPACING), (True, True, False))  # its direction says so
    sitk.WriteImage(flipped, str(folder / "flipped.nrrd"))
    oblique = make_image(values, SPACING)
    c, s = np.cos(0.15), np.sin(0.15)
    oblique.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    sitk.WriteImage(oblique, str(folder / "oblique.nii.gz"))
    write_series(folder / "series", values)
    np.save(folder / "array.npy", values)
    silent = nib.Nifti1Image(values, np.eye(4))
    silent.set_sform(None, 0)
    silent.set_qform(None, 0)
    nib.save(silent, folder / "silent.nii.gz")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of phantoms."""
    folder = tmp_path_factory.mktemp("view") / "phantoms"
    write_phantoms(folder)
    return folder


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as made:
        made.size(500, 640)  # small, since a processor draws it
        yield made


def cut_out(window: Browser, pane: int = 0) -> np.ndarray:
    """The pixels of a pane, as the window shows them."""
    x, y, wide, tall = window.run(
        f"(() => {{ const r = state.panes[{pane}].canvas.getBoundingClientRect();"
        " return [r.left, r.top, r.width, r.height].map(Math.round); })()"
    )
    return window.screenshot()[y : y + tall, x : x + wide]


@needs_browser
def test_what_lies_left_is_shown_left_in_every_format(phantoms: Path, tmp_path: Path, window: Browser) -> None:
    """The patient's left is on the picture's right, with its letter; its front, its head up; in the pixels."""
    page = mg.view(phantoms, tmp_path / "page.html", cases=20)
    window.open(page.as_uri())
    titles = window.run("page.scenes.map((scene) => scene.title)")
    assert len(titles) == len(list(phantoms.iterdir())) - 1  # the .mhd keeps its voxels beside
    for number, title in enumerate(titles):
        window.run(f"show({number}).then(() => set_limits({BLACK}, {WHITE}))")
        window.run("find('view').value = '0'; set_view()")
        axial = cut_out(window)
        middle = axial.shape[1] / 2, axial.shape[0] / 2
        assert middle_of(axial, LEFT)[0] > middle[0] + 20, title
        assert middle_of(axial, FRONT)[1] < middle[1] - 20, title
        window.run("find('view').value = '1'; set_view()")
        coronal = cut_out(window)
        assert middle_of(coronal, LEFT)[0] > middle[0] + 20, title
        assert middle_of(coronal, HEAD)[1] < middle[1] - 20, title
        oriented = title not in ("array.npy", "silent.nii.gz")
        assert window.run(f"page.scenes[{number}].oriented") == oriented
        assert window.run("state.panes[0].viewer.opts.isOrientationTextVisible") == oriented
        assert ("does not say which way its axes point" in window.run("find('note').textContent")) is not oriented
    assert window.errors == []
    assert window.strangers() == []


def coloured_phantom() -> np.ndarray:
    """Red to the patient's right, green to the left, blue behind; (X, Y, Z, 3) in LPS."""
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[:20, ..., 0], colours[20:, ..., 1] = 200, 150
    colours[:, 24:] = (0, 0, 250)
    return colours


def write_odd_scans(folder: Path) -> None:
    """A series, colours and single slices, by writers that are not ours."""
    folder.mkdir()
    grey, colours = phantom(), coloured_phantom()
    series = np.stack([grey, np.where(grey == LEFT, FRONT, grey)], axis=-1)
    nib.save(nib.Nifti1Image(series[::-1, ::-1], np.diag([*SPACING, 1.0])), folder / "series.nii.gz")
    volumes = [make_image(series[..., k], SPACING) for k in range(2)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(folder / "series.nrrd"))
    nib.save(nib.MGHImage(series[::-1, ::-1], np.diag([*SPACING, 1.0])), folder / "series.mgz")
    rgb = np.ascontiguousarray(colours[::-1, ::-1]).view([(name, "u1") for name in "RGB"])[..., 0]
    nib.save(nib.Nifti1Image(rgb, np.diag([*SPACING, 1.0])), folder / "colours.nii.gz")
    image = sitk.GetImageFromArray(colours.transpose(2, 1, 0, 3), isVector=True)
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(folder / "colours.mha"))
    Image.fromarray(colours[:, :, 15].transpose(1, 0, 2)).save(folder / "colours.png")
    sitk.WriteImage(make_image(grey[:, :, 15:16], SPACING), str(folder / "axial.nrrd"))
    sitk.WriteImage(make_image(grey[:, 18:19], SPACING), str(folder / "coronal.nii.gz"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scans that are not one grey volume."""
    folder = tmp_path_factory.mktemp("view") / "odd"
    write_odd_scans(folder)
    return folder


@needs_browser
def test_series_colours_and_single_slices_are_shown(odd: Path, tmp_path: Path, window: Browser) -> None:
    """The volumes of a series by a slider and keys, colours as colours, a slice in its plane; left is left in all."""
    window.open(mg.view(odd, tmp_path / "page.html", cases=20).as_uri())
    titles = window.run("page.scenes.map((scene) => scene.title)")
    assert len(titles) == len(list(odd.iterdir()))
    for number, title in enumerate(titles):
        window.run(f"show({number}).then(() => set_limits({BLACK}, {WHITE}))")
        if title.startswith("coronal"):
            assert window.run("find('view').value") == "1"
        else:
            window.run("find('view').value = '0'; set_view()")
        shown = cut_out(window)
        middle = shown.shape[1] / 2, shown.shape[0] / 2
        assert window.run("find('volume').closest('label').hidden") != title.startswith("series")
        assert window.run("find('window').closest('label').hidden") == title.startswith("colours")
        told = "state.panes[0].place.textContent"
        if title.startswith("colours"):
            (red, _), (green, _) = where(shown, (200, 0, 0)), where(shown, (0, 150, 0))
            assert red < middle[0] - 20 < middle[0] + 20 < green, title
            assert where(shown, (0, 0, 250))[1] > middle[1] + 20, title
            assert window.run(told).startswith("0, 150, 0"), title
            continue
        assert middle_of(shown, LEFT)[0] > middle[0] + 20, title
        if title.startswith("series"):
            assert "volume 1 of 2" in window.run(told)
            window.press(".")
            shown = cut_out(window)
            assert (np.abs(shown.astype(int) - grey(LEFT)).max(axis=-1) <= 3).sum() < 20, title
            assert middle_of(shown, FRONT)[0] > middle[0] + 10, title
            assert "volume 2 of 2" in window.run(told)
            window.press(",")
            assert middle_of(cut_out(window), LEFT)[0] > middle[0] + 20
    assert window.errors == []
    assert window.strangers() == []


def where(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    """The middle of all pixels of a colour, (x, y)."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - colour).max(axis=-1) <= 3)
    assert len(rows) > 20, f"nothing of {colour} is shown"
    return float(columns.mean()), float(rows.mean())


def test_series_too_large_for_a_page_shows_its_first_volumes(odd: Path, tmp_path: Path) -> None:
    """As many as fit, as they are, and how many do not is said; served, all of them."""
    values = np.random.default_rng(0).integers(0, 2000, (20, 16, 12, 9), np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])), tmp_path / "noise.nii")
    scenes, _ = scan_scenes(tmp_path / "noise.nii", None, 1)
    packed = pack(scenes, 50_000)
    (scene,) = packed.scenes
    shown = scene["panes"][0]["num"]
    assert 3 <= shown < 9
    assert scene["panes"][0]["step"] == [1, 1, 1]
    assert f"The first {shown} volumes: {9 - shown} more are too large" in scene["note"]
    assert len(packed.volumes["v0"]) * 4 / 3 <= 50_000
    (tmp_path / "v0.nii.gz").write_bytes(packed.volumes["v0"])
    assert np.array_equal(np.asarray(nib.load(tmp_path / "v0.nii.gz").dataobj), values[..., :shown])  # type: ignore[attr-defined]
    assert pack(scenes, None).scenes[0]["panes"][0]["num"] == 9


def test_series_and_colours_are_read_as_others_read_them(tmp_path: Path) -> None:
    """Volumes with their slope, as nibabel has them; colours of 16 bits by their upper 8; opacity is told."""
    image = nib.Nifti1Image(np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3), np.diag([-1.0, -1, 1, 1]))
    image.header.set_slope_inter(0.5, -7)
    nib.save(image, tmp_path / "scaled.nii")
    seen = read_seen(one_source(tmp_path / "scaled.nii", tmp_path))
    wanted = np.moveaxis(nib.load(tmp_path / "scaled.nii").get_fdata(), 3, 0)  # type: ignore[attr-defined]
    assert not seen.coloured
    np.testing.assert_allclose(seen.volume.values, wanted)
    deep = np.random.default_rng(0).integers(0, 2**16, (6, 5, 4), np.uint16)  # (rows, columns, 4)
    sitk.WriteImage(sitk.GetImageFromArray(deep[..., :3].copy(), isVector=True), str(tmp_path / "deep.png"))
    seen = read_seen(one_source(tmp_path / "deep.png", tmp_path))
    assert seen.coloured
    np.testing.assert_array_equal(seen.volume.values, deep[..., :3].T // 256)
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / "clear.mha"))
    seen = read_seen(one_source(tmp_path / "clear.mha", tmp_path))
    assert seen.volume.notes == ("some of it is transparent: it is shown opaque",)
    np.testing.assert_array_equal(seen.volume.values, deep[..., :3].T // 256)
    grey = np.repeat(deep[..., :1], 3, axis=2)
    sitk.WriteImage(sitk.GetImageFromArray(grey, isVector=True), str(tmp_path / "grey.png"))
    seen = read_seen(one_source(tmp_path / "grey.png", tmp_path))
    assert not seen.coloured
    np.testing.assert_array_equal(seen.volume.values[0], deep[..., 0].T)


def test_series_that_claims_more_than_its_bytes_hold_is_refused(tmp_path: Path) -> None:
    """Before memory is taken for it."""
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.int16), np.eye(4)), tmp_path / "series.nii")
    data = bytearray((tmp_path / "series.nii").read_bytes())
    struct.pack_into("<h", data, 48, 30_000)  # volumes
    (tmp_path / "series.nii").write_bytes(data)
    with pytest.raises(DataError, match="claims"):
        mg.view(tmp_path / "series.nii", tmp_path / "page.html")


def test_what_is_neither_grey_nor_coloured_is_refused_with_a_line(tmp_path: Path) -> None:
    """Vectors are no colours, an array of four axes does not say which counts volumes; the file is named."""
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.float32), isVector=True), str(tmp_path / "v.mha"))
    np.save(tmp_path / "four.npy", np.zeros((4, 5, 6, 3), np.int16))
    for name, why in (("v.mha", "3 values a voxel: colour or vectors"), ("four.npy", "4D")):
        with pytest.raises(DataError, match=f"{name}: .*{why}"):
            mg.view(tmp_path / name, tmp_path / "page.html")


@needs_browser
def test_cursor_tells_the_value_and_the_place_of_the_file(phantoms: Path, tmp_path: Path, window: Browser) -> None:
    """In HU and in mm of the world that SimpleITK has, for axes in any order, and oblique."""
    for name in ("axes-psl.nii.gz", "oblique.nii.gz", "ras-to-the-back.mgz"):
        window.open(mg.view(phantoms / name, tmp_path / "page.html").as_uri())
        window.run(f"set_limits({BLACK}, {WHITE}); find('view').value = '0'; set_view()")
        x, y = middle_of(cut_out(window), LEFT)
        left, top = window.run(
            "(() => { const r = state.panes[0].canvas.getBoundingClientRect(); return [r.left, r.top]; })()"
        )
        window.point(left + x, top + y)
        told = window.run("state.panes[0].place.textContent")
        assert told.startswith(f"{LEFT} HU"), told
        voxel = [int(each) for each in re.search(r"voxel (\d+),(\d+),(\d+)", told).groups()]  # type: ignore[union-attr]
        assert phantom()[tuple(voxel)] == LEFT
        found = re.search(r"([LR]) ([\d.]+), ([AP]) ([\d.]+), ([SI]) ([\d.]+) mm", told)
        assert found, told
        signs = {"L": 1, "R": -1, "P": 1, "A": -1, "S": 1, "I": -1}
        told_mm = [signs[found[at]] * float(found[at + 1]) for at in (1, 3, 5)]
        wanted = place_mm(phantoms / name, voxel)
        assert told_mm == pytest.approx(wanted, abs=0.06 + max(SPACING) / 2), name


def place_mm(path: Path, voxel: list[int]) -> np.ndarray:
    """Where a voxel of the phantom lies in LPS, by nibabel."""
    image: Any = nib.load(path)
    turned = {"axes-psl.nii.gz": lambda v: (v[1], v[2], v[0]), "oblique.nii.gz": tuple,
              "ras-to-the-back.mgz": lambda v: (SIZE[0] - 1 - v[0], v[1], v[2])}  # fmt: skip
    return np.diag([-1, -1, 1]) @ (image.affine @ [*turned[path.name](voxel), 1])[:3]


HOSTILE = '<img src=x onerror="document.title=1">' + "without_a_break" * 12


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of two cases, of which the second was predicted worse, with a label whose name is no text."""
    folder = tmp_path_factory.mktemp("evaluation")
    for name, moved in (("good", 1), ("bad", 4)):
        truth = np.zeros(SIZE, np.uint8)
        truth[8:20, 12:24, 8:20] = 1
        truth[24:32, 12:24, 8:20] = 2
        for place, values in {"data/images": phantom(), "data/labels": truth, "out": np.roll(truth, moved, 1)}.items():
            (folder / place).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(make_image(values, SPACING), str(folder / place / f"{name}.nii.gz"))
    (folder / "data" / "labels.json").write_text(json.dumps({"background": 0, HOSTILE: 1, "spleen": 2}))
    return mg.evaluate(folder / "out", folder / "data", folder / "scores", workers=0, quiet=True)


def config_of(page: Path) -> dict[str, Any]:
    """The description of the scenes inside a page."""
    text = re.search(r'id="scenes">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert text
    return dict(json.loads(text[1]))


def volume_of(page: Path, name: str, folder: Path) -> Any:
    """A volume inside a page, as nibabel reads it."""
    text = re.search(rf'id="{name}">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert text
    (folder / f"{name}.nii.gz").write_bytes(base64.b64decode(text[1]))
    return nib.load(folder / f"{name}.nii.gz")


def test_evaluation_shows_the_worst_case_first_with_its_difference(evaluation: Path, tmp_path: Path) -> None:
    """Truth, prediction, and what was missed and added, whose volumes are those of the masks."""
    page = mg.view(evaluation, tmp_path / "page.html")
    first, second = config_of(page)["scenes"]
    assert (first["title"], second["title"]) == ("bad", "good")
    assert [pane["title"] for pane in first["panes"]] == ["truth", "prediction", "difference"]
    assert len({pane["volume"] for pane in first["panes"]}) == 1  # the image is inside once
    one_ml = np.prod(SPACING) / 1000
    labels = first["panes"][0]["layers"][0]["labels"]
    assert [label["size"] for label in labels] == [f"{side * 12 * 12 * one_ml:.1f} ml" for side in (12, 8)]
    (layer,) = first["panes"][2]["layers"]
    assert {label["value"]: label["size"] for label in layer["labels"]} == dict.fromkeys(
        (1, 2), f"{4 * 12 * 20 * one_ml:.1f} ml"
    )
    found = np.asarray(volume_of(page, layer["volume"], tmp_path).dataobj)
    assert (found[10, 13, 10], found[10, 25, 10], found[10, 20, 10]) == (1, 2, 0)  # moved to the back


@needs_browser
def test_page_obeys_mouse_and_keyboard(evaluation: Path, tmp_path: Path, window: Browser) -> None:
    """It draws, scrolls, turns labels and windows, links its panes, and goes on to the next case."""
    window.open(mg.view(evaluation, tmp_path / "page.html").as_uri())
    window.run("find('view').value = '0'; set_view()")
    assert window.run("find('list').textContent").startswith(HOSTILE)
    assert window.run("document.title + document.querySelectorAll('img').length") == "scores0"
    drawn = cut_out(window)
    assert drawn.std() > 10
    coloured = (np.ptp(drawn.astype(int), axis=-1) > 40).sum()
    window.press("l")
    plain = cut_out(window)
    assert (np.ptp(plain.astype(int), axis=-1) > 40).sum() < coloured / 3  # the crosshair has a colour too
    window.press("l")
    assert np.array_equal(cut_out(window), drawn)
    window.run("document.querySelectorAll('#list input').forEach((each) => each.click())")
    assert np.array_equal(cut_out(window), plain)
    window.run("document.querySelectorAll('#list input').forEach((each) => each.click())")
    window.press("[")
    assert window.run("state.opacity") == pytest.approx(0.4)
    before = window.run("state.panes[0].place.textContent")
    x, y = window.run(
        "(() => { const r = state.panes[0].canvas.getBoundingClientRect(); return [r.x + r.width / 2, r.y + 90]; })()"
    )
    window.wheel(x, y, 100)
    window.wait(f"state.panes[0].place.textContent !== {json.dumps(before)}")
    places = window.run("shown_panes().map((pane) => Array.from(pane.viewer.scene.crosshairPos))")
    assert len(places) == 3
    assert places[1] == pytest.approx(places[0], abs=1e-6)
    assert places[2] == pytest.approx(places[0], abs=1e-6)
    window.press("2")
    assert window.run("find('window').selectedIndex") == 1
    assert window.run("state.limits") == pytest.approx(config_of(tmp_path / "page.html")["scenes"][0]["windows"][1][1:])
    window.press("n")
    window.wait("state.scene === 1 && document.body.dataset.state === 'ready'")
    assert window.run("find('note').textContent").startswith(f"Dice: {HOSTILE}")
    assert window.errors == []
    assert window.strangers() == []


@needs_browser
def test_page_fits_narrow_windows_and_follows_the_system(evaluation: Path, tmp_path: Path, window: Browser) -> None:
    """Nothing sticks out at 500 pixels; its ground is dark where the system is; and its policy lets nothing out."""
    window.open(mg.view(evaluation, tmp_path / "page.html").as_uri())
    try:
        assert window.run("document.documentElement.scrollWidth") <= 500
        light = window.screenshot()[2, 2].mean()
        window.size(500, 640, dark=True)
        assert window.screenshot()[2, 2].mean() < 60 < 200 < light
        ask = "fetch('http://127.0.0.1:9/').then(() => 'left', () => 'stayed')"
        assert window.run(ask) == "stayed"
        assert any("Content Security Policy" in error for error in window.errors)
        window.errors.clear()
        long = tmp_path / f"{'without_a_break' * 12}.npy"
        np.save(long, phantom())
        window.open(mg.view(long, tmp_path / "long.html").as_uri())
        assert window.run("document.documentElement.scrollWidth") <= 500
        assert window.run("(() => { try { return eval('1'); } catch (error) { return error.name; } })()") == "EvalError"
    finally:
        window.size(500, 640)


def test_notes_of_a_scan_are_sentences(tmp_path: Path) -> None:
    """What is known of a scan begins with a capital letter and ends with a stop, one after the other."""
    turned = nib.Nifti1Image(phantom(), np.diag([-1.0, -1, 1, 1]) @ np.array(
        [[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    ))  # fmt: skip
    nib.save(turned, tmp_path / "turned.nii")
    note = scan_scenes(tmp_path / "turned.nii", None, 1)[0][0].note
    assert note.endswith(" voxels of 1 x 1 x 1 mm. Its axes lie 37 degrees off LPS; the nearest axes are taken.")


def test_page_of_a_folder_says_why_some_are_missing(tmp_path: Path) -> None:
    """More cases help where there are more; those that cannot be read are not promised."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(2):
        np.save(folder / f"{number}.npy", phantom() + np.int16(number))
    np.save(folder / "2.npy", np.full(SIZE, np.nan, np.float32))
    for cases, words in ((1, "1 of 3 cases: --cases shows more."), (8, "2 of 3 cases; the others cannot be read.")):
        page = mg.view(folder, tmp_path / "page.html", cases=cases)
        assert f"A scan as its file has it. {words}" in page.read_text(encoding="utf-8")


def test_prediction_lies_on_the_scan_it_was_made_for(tmp_path: Path) -> None:
    """A folder, or one mask of it; names and volumes of the labels are there."""
    run = make_run(tmp_path / "run")
    (tmp_path / "scans").mkdir()
    for name in ("one", "two"):
        sitk.WriteImage(make_image(phantom(), SPACING), str(tmp_path / "scans" / f"{name}.nrrd"))
    out = mg.predict(run, tmp_path / "scans", tmp_path / "out", quiet=True, accelerator="cpu")
    assert main(["view", str(out)]) == 0
    scenes = config_of(out / "view.html")["scenes"]
    assert [scene["title"] for scene in scenes] == ["one", "two"]
    mask = np.asarray(nib.load(out / "one.nii.gz").dataobj)
    (layer,) = scenes[0]["panes"][0]["layers"]
    told = {label["name"]: label["size"] for label in layer["labels"]}
    ml = {label.name: np.count_nonzero(mask == label.values[0]) * np.prod(SPACING) / 1000 for label in ORGANS.labels}
    assert told.keys() == ml.keys()
    assert [float(size.split()[0]) for size in told.values()] == pytest.approx(list(ml.values()), abs=0.05)
    page = mg.view(out / "two.nii.gz", tmp_path / "one.html")
    assert [scene["title"] for scene in config_of(page)["scenes"]] == ["two"]
    (tmp_path / "scans" / "two.nrrd").unlink()
    with pytest.raises(DataError, match="is not there any more"):
        mg.view(out / "two.nii.gz", tmp_path / "one.html")


def test_prediction_lies_on_its_volume_of_a_file_of_several(tmp_path: Path) -> None:
    """It is shown on the one it was made for, not on the first."""
    first, second = phantom(), phantom()[::-1].copy()
    sitk.WriteImage(sitk.JoinSeries([make_image(each) for each in (first, second)]), str(tmp_path / "both.nii.gz"))
    (tmp_path / "t.csv").write_text("image\nboth.nii.gz#1\n", encoding="utf-8")
    out = mg.predict(make_run(tmp_path / "run"), tmp_path / "t.csv", tmp_path / "out", quiet=True, accelerator="cpu")
    page = mg.view(out, tmp_path / "page.html")
    (pane,) = config_of(page)["scenes"][0]["panes"]
    shown, own = (np.asarray(volume_of(page, pane["volume"], tmp_path).dataobj), nib.load(tmp_path / "both.nii.gz"))
    assert np.array_equal(np.squeeze(shown), np.asarray(own.dataobj)[..., 1])


def test_sample_of_a_store_with_its_deformations_and_restoration(
    small_store: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """The cube, what each deformation alone makes of it, what the network saw, and what it restored, linked."""
    page = mg.view(small_store, tmp_path / "page.html", run=tiny_run, sample=3)
    (scene,) = config_of(page)["scenes"]
    titles = [pane["title"] for pane in scene["panes"]]
    assert titles[0] == "original"
    assert titles[-3:] == ["what the network saw", "restoration", "restoration less original"]
    assert scene["linked"]
    values = [np.asarray(volume_of(page, pane["volume"], tmp_path).dataobj) for pane in scene["panes"]]
    assert np.allclose(values[-1], values[-2] - values[0], atol=1e-6)
    told = [float(each) for each in re.findall(r"0\.\d{4}", scene["note"])]
    wanted = [np.mean(values[-1] ** 2), np.mean((values[-3] - values[0]) ** 2), values[0].var()]
    assert told == pytest.approx(wanted, abs=6e-5)
    again = mg.view(small_store, tmp_path / "again.html", run=tiny_run, sample=3)
    assert page.read_bytes() == again.read_bytes()
    with pytest.raises(DataError, match="say with --run"):
        mg.view(small_store, tmp_path / "page.html")


def test_large_scan_is_shown_at_a_step_that_is_said(tmp_path: Path) -> None:
    """Noise hardly shrinks: so many voxels are left that the limit holds, the first of each step, at their places."""
    values = np.random.default_rng(0).integers(-1000, 2000, (64, 60, 20), np.int16)
    sitk.WriteImage(make_image(values, (1.0, 1.0, 4.0)), str(tmp_path / "noise.nrrd"))
    scenes, _ = scan_scenes(tmp_path / "noise.nrrd", None, 1)
    packed = pack(scenes, 60_000)
    assert 20_000 < len(packed.volumes["v0"]) * 4 / 3 <= 60_000
    step = packed.scenes[0]["panes"][0]["step"]
    assert step[0] == step[1] > step[2]
    assert f"one voxel of each {step[0]} x {step[1]} x {step[2]}" in packed.scenes[0]["note"]
    (tmp_path / "v0.nii.gz").write_bytes(packed.volumes["v0"])
    shown: Any = nib.load(tmp_path / "v0.nii.gz")
    assert np.array_equal(np.asarray(shown.dataobj), values[:: step[0], :: step[1], :: step[2]])
    assert shown.affine @ [1, 2, 1, 1] == pytest.approx([-step[0], -2 * step[1], 4 * step[2], 1])
    whole = pack(scenes, None)
    assert "step" not in whole.scenes[0]["note"]
    assert coarser_step((512, 512, 100), (0.7, 0.7, 5.0), 7_000_000) == (2, 2, 1)


def asked(address: str, **headers: str) -> tuple[int, bytes]:
    """The status and the bytes that a server answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_server_gives_only_its_files_to_this_machine_by_its_secret() -> None:
    """Whole or a range; no list, no other name, no other host's page."""
    server = make_server({"": ("text/html", b"page"), "v0.nii.gz": ("application/octet-stream", bytes(range(100)))})
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        page = address_of(server)
        assert page.startswith("http://127.0.0.1:")
        assert asked(page) == (200, b"page")
        assert asked(f"{page}v0.nii.gz", Range="bytes=10-19") == (206, bytes(range(10, 20)))
        assert asked(f"{page}v0.nii.gz", Range="bytes=-5") == (206, bytes(range(95, 100)))
        assert asked(f"{page}v0.nii.gz", Range="bytes=98-") == (206, bytes((98, 99)))
        assert asked(f"{page}v0.nii.gz", Range="bytes=100-")[0] == 416
        root = page[: page.index("/", 8) + 1]
        for stranger in (
            root,
            f"{root}v0.nii.gz",
            f"{page}..",
            f"{page}../",
            f"{page}v1.nii.gz",
            page.rstrip("/") + "x/",
        ):
            assert asked(stranger) == (404, b""), stranger
        assert asked(page, Host="evil.example") == (404, b"")
    finally:
        server.shutdown()
        server.server_close()


@needs_browser
def test_served_page_draws_and_ends_with_ctrl_c(phantoms: Path, window: Browser) -> None:
    """The command says its address, serves the whole scan to the browser, and exits with success."""
    words = [sys.executable, "-m", "modelsgenesis", "view", str(phantoms / "lps.nrrd"), "--serve"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as served:  # fmt: skip
        try:
            assert served.stdout is not None
            first = served.stdout.readline()
            assert re.fullmatch(r"view: http://127\.0\.0\.1:\d+/[\w-]{32}/\n", first), first
            window.open(first.split()[1])
            assert window.run("document.body.dataset.state") == "ready"
            assert cut_out(window).std() > 10
            assert window.errors == []
            assert window.strangers() == []
            served.send_signal(signal.SIGINT)
            assert served.wait(30) == 0
        finally:
            served.kill()


def test_what_cannot_be_seen_is_refused_with_a_remedy(
    phantoms: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and no page is left."""
    (tmp_path / "empty").mkdir()
    page = str(tmp_path / "page.html")
    write_picture(tmp_path / "pictures" / "one.png", np.arange(240, dtype=np.uint8).reshape(20, 12))
    mg.embed("raw", tmp_path / "pictures", tmp_path / "vectors", quiet=True)
    (tmp_path / "probed").mkdir()
    write_provenance(tmp_path / "probed", "probe", {}, inputs=[])
    for words, why in (
        ([str(tmp_path / "vectors"), page], "genesis report draws a map of them"),
        ([str(tmp_path / "probed"), page], f"its page is {tmp_path / 'probed' / 'report.html'}"),
        ([str(tmp_path / "nowhere"), page], "no such folder or file"),
        ([str(tmp_path / "empty"), page], "holds no scan"),
        ([str(tiny_run), page], "genesis report shows it"),
        ([str(phantoms / "lps.nrrd"), page, "--run", "x"], "--run is of a store"),
        ([str(phantoms), page, "--labels", "x"], "name it"),
        ([str(phantoms / "lps.nrrd"), str(tmp_path / "page.png")], "ends in .html"),
    ):
        assert main(["view", *words]) == 1
        assert why in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))


@needs_browser
def test_report_pages_sort_zoom_and_darken(evaluation: Path, window: Browser) -> None:
    """A table by the numbers of a column, undefined ones last, both ways; a picture in its own size; a dark ground."""
    window.open((evaluation / "report.html").as_uri(), ready="")
    column = "[...document.querySelectorAll('table.sortable')[0].rows].slice(1).map((row) => row.cells[3].textContent)"
    head = "document.querySelectorAll('table.sortable th')[3]"
    for order in (1, -1):
        window.run(f"{head}.click()")
        shown = [float(each) for each in window.run(column) if each != "–"]
        assert shown == sorted(shown, reverse=order < 0)
        assert len(set(shown)) > 2
    assert window.run(f"{head}.getAttribute('aria-sort')") == "descending"
    narrow, own = window.run(
        "(() => { const p = document.querySelector('.picture img'), before = p.clientWidth; p.click();"
        " return [before, [p.clientWidth, p.naturalWidth]]; })()"
    )
    assert own[0] == own[1] > narrow
    assert window.run("document.documentElement.scrollWidth") <= 500
    assert window.run("document.querySelectorAll('a').length") == 0  # no viewer was written beside it
    assert window.run("[...document.querySelectorAll('pre')].map((each) => each.textContent)") == [
        "genesis view . view.html"
    ]
    window.size(500, 640, dark=True)
    assert window.screenshot()[2, 2].mean() < 60
    window.size(500, 640)
    assert window.errors == []
    assert window.strangers() == []


def test_benchmark_shows_the_worst_case_of_all_arms_first(evaluation: Path, tmp_path: Path) -> None:
    """The truth, and each arm's mask with its score; of the arms' one seed."""
    rows, of_case = ["task,arm,cases,seed,metric,value"], {"good": 1, "bad": 4}
    by_case, data = ["task,arm,cases,seed,case,patient,metric,value"], evaluation.parent / "data"
    for arm, more in (("scratch", 2), ("ours", 0)):
        place = tmp_path / "bench" / "runs" / arm / "cases-3" / "seed-0"
        (place / "run").mkdir(parents=True)
        (place / "predictions").mkdir()
        for name, moved in of_case.items():
            truth = sitk.GetArrayFromImage(sitk.ReadImage(str(data / "labels" / f"{name}.nii.gz")))
            mask = make_image(np.roll(truth, moved + more, 1).transpose(2, 1, 0), SPACING)
            sitk.WriteImage(mask, str(place / "predictions" / f"{name}.nii.gz"))
        listed = [f"{name},{data}/images/{name}.nii.gz,{data}/labels/{name}.nii.gz" for name in of_case]
        (place / "run" / TEST).write_text("\n".join(["id,image,label", *listed]) + "\n")
        (place / "run" / "labels.json").write_text((data / "labels.json").read_text())
        mg.evaluate(place / "predictions", place / "run" / TEST, place / "scores", workers=0, quiet=True)
        scored = read_rows(place / "scores" / "cases.csv")
        mean = np.mean([float(row["dice"]) for row in scored])
        for name in of_case:
            own = np.mean([float(row["dice"]) for row in scored if row["id"] == name])
            by_case.append(f"t,{arm},3,0,{name},{name},dice,{own}")
        rows.append(f"t,{arm},3,0,dice,{mean}")
    (tmp_path / "bench" / "cases.csv").write_text("\n".join(by_case) + "\n")
    (tmp_path / "bench" / "runs.csv").write_text("\n".join(rows) + "\n")
    page = mg.view(tmp_path / "bench", tmp_path / "page.html")
    first, second = config_of(page)["scenes"]
    assert (first["title"], second["title"]) == ("bad", "good")
    assert [pane["title"].split(":")[0] for pane in first["panes"]] == ["truth", "scratch", "ours"]
    drawn = [np.asarray(volume_of(page, p["layers"][0]["volume"], tmp_path).dataobj) for p in first["panes"]]
    overlap = [
        2 * np.sum((mask == 1) & (drawn[0] == 1)) / (np.sum(mask == 1) + np.sum(drawn[0] == 1)) for mask in drawn
    ]
    assert overlap[0] == 1 > overlap[2] > overlap[1]
