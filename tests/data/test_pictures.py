"""Pictures as images of two axes: what a PNG or JPEG holds is what a network of pictures sees."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from tests.data.scan_files import make_ct, write_series
from tests.radiographs import write_radiograph

from modelsgenesis.commands.prepare import prepare
from modelsgenesis.core.labels import Label
from modelsgenesis.core.randomness import generator_for
from modelsgenesis.core.tables import read_rows
from modelsgenesis.core.target import find_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.image_size import axes_of, image_size_of
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth, Percentiles, Window
from modelsgenesis.data.intensity_statistics import sample_of, summarise
from modelsgenesis.data.masks import read_label_map
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.reading import read_volume
from modelsgenesis.data.sampling.patches import CentredPatches, PatchSampler
from modelsgenesis.data.source_table import read_table
from modelsgenesis.data.sources import Source, find_sources
from modelsgenesis.data.store.arrays import StoredArray, write_array
from modelsgenesis.data.store.case_cache import CaseCache, cache_case
from modelsgenesis.data.store.store import Store
from modelsgenesis.data.volume import Geometry
from modelsgenesis.targets.classification import Classification

ILL = Classification((Label("ill"), Label("well")))
LEVELS = generator_for(1, 0, "levels").integers(0, 256, (20, 30)).astype(np.uint8)  # (rows, columns)


def found(path: Path) -> Source:
    """The one picture at a path."""
    (source,), problems = find_sources(path, pictures=True)
    assert problems == []
    return source


def saved(path: Path, values: np.ndarray, **options: object) -> Source:
    """Write a picture and find it again."""
    Pillow.fromarray(values).save(path, **options)
    return found(path)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colours", [1, 3, 4], ids=["grey", "alike", "opaque"])
def test_grey_levels_are_the_files(bits: int, colours: int, tmp_path: Path) -> None:
    """X runs along the rows and Y down the columns; three colours that are alike are one, in 8 and 16 bits."""
    levels = LEVELS.astype(np.uint16) * 251 if bits == 16 else LEVELS
    write_png(
        tmp_path / "a.png",
        np.stack([levels] * min(colours, 3) + [np.full_like(levels, np.iinfo(levels.dtype).max)] * (colours > 3), -1),
    )
    volume = read_volume(found(tmp_path / "a.png"))
    np.testing.assert_array_equal(volume.values, levels.T[None])
    assert (volume.spacing_mm, volume.notes, volume.values.dtype) == ((1.0, 1.0), (), levels.dtype)
    assert volume.modality == "unknown"
    assert image_size_of(found(tmp_path / "a.png")).size == (30, 20)
    assert axes_of(found(tmp_path / "a.png")) == 2


def write_png(path: Path, values: np.ndarray, significant: int = 0) -> None:
    """Write (rows, columns, channels) of 8 or 16 bits: Pillow knows no colours of 16."""
    rows, columns, channels = values.shape
    head = struct.pack(">IIBBBBB", columns, rows, 8 * values.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    bits = [(b"sBIT", bytes([significant]))] if significant else []
    parts = [(b"IHDR", head), *bits, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_jpeg_is_read_and_its_dots_per_inch_are_no_spacing(tmp_path: Path) -> None:
    """What a printer should do says nothing of a patient."""
    smooth = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8) * 2
    volume = read_volume(saved(tmp_path / "a.jpg", smooth, dpi=(72, 72), quality=95))
    np.testing.assert_allclose(volume.values[0].T.astype(float), smooth, atol=3)
    assert volume.spacing_mm == (1.0, 1.0)


def test_colours_become_their_brightness_with_a_note(tmp_path: Path) -> None:
    """0.299 R + 0.587 G + 0.114 B, rounded."""
    colours = generator_for(2, 0, "colours").integers(0, 256, (20, 30, 3)).astype(np.uint8)
    volume = read_volume(saved(tmp_path / "a.png", colours))
    np.testing.assert_array_equal(volume.values[0].T, np.rint(colours @ [0.299, 0.587, 0.114]).astype(np.uint8))
    assert volume.notes == ("colour: made grey by 0.299 R + 0.587 G + 0.114 B",)


def test_palette_is_looked_up(tmp_path: Path) -> None:
    """A picture of few levels saved with a palette has its levels, not their numbers."""
    few = (LEVELS // 64 * 80).astype(np.uint8)
    Pillow.fromarray(few).convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(found(tmp_path / "a.png")).values[0].T, few)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_is_read_as_written(dtype: type, compression: str, tmp_path: Path) -> None:
    """Of 8 and 16 bits, however compressed."""
    levels = LEVELS.astype(dtype) * (257 if dtype == np.uint16 else 1)
    Pillow.fromarray(levels).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_volume(found(tmp_path / "a.tif")).values[0].T, levels)


def test_tiff_whose_zero_is_white_is_shown_as_meant(tmp_path: Path) -> None:
    """Black is the least value that is read, whichever way the file counts."""
    Pillow.fromarray(255 - LEVELS).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with Pillow.open(tmp_path / "a.tif") as picture:
        np.testing.assert_array_equal(read_volume(found(tmp_path / "a.tif")).values[0].T, np.asarray(picture))


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(side: int = 200) -> np.ndarray:
    """A picture that does not compress."""
    return generator_for(3, 0, "noise").integers(0, 256, (side, side)).astype(np.uint8)


def hollow(path: Path) -> None:
    """A few bytes that claim a huge picture."""
    head = struct.pack(">IIBBBBB", 2**20, 2**20, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


def lying(path: Path) -> None:
    """A photo of a camera that was held upright."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(noise()).save(path, exif=exif)


BAD = {
    "lying.jpg": (lying, r"turn it \(EXIF orientation 6\)"),
    "cut.jpg": (lambda p: (Pillow.fromarray(noise()).save(p), cut(p)), "cut off: it lacks the end of a JPEG"),
    "cut.png": (lambda p: (Pillow.fromarray(noise()).save(p), cut(p)), "cut off or damaged"),
    "empty.png": (lambda p: p.write_bytes(b""), "the file is empty"),
    "text.png": (lambda p: p.write_text("no picture"), "not a PNG file, though called .png"),
    "other.png": (lambda p: Pillow.fromarray(noise()).save(p, "JPEG"), "a JPEG file by content"),
    "glass.png": (lambda p: write_png(p, np.stack([LEVELS] * 4, -1)), "some of it is transparent"),
    "veil.png": (lambda p: write_png(p, np.stack([LEVELS] * 2, -1)), "some of it is transparent"),
    "pane.png": (lambda p: Pillow.fromarray(noise()).save(p, transparency=0), "some of it is transparent"),  # by tRNS
    "huge.png": (hollow, "damaged|claims"),
    "pages.tif": (
        lambda p: Pillow.fromarray(LEVELS).save(p, save_all=True, append_images=[Pillow.fromarray(LEVELS)]),
        "2 pictures in one file",
    ),
    "print.jpg": (lambda p: Pillow.fromarray(np.stack([LEVELS] * 4, -1), "CMYK").save(p), "CMYK"),
    "half.tif": (lambda p: Pillow.fromarray(LEVELS.astype(np.float32)).save(p), "fractions"),
    "line.png": (lambda p: Pillow.fromarray(LEVELS[:1]).save(p), "two pixels a side"),
    "flat.png": (lambda p: Pillow.fromarray(np.full((9, 9), 7, np.uint8)).save(p), "every voxel is 7"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_picture_is_refused_with_a_remedy(name: str, tmp_path: Path) -> None:
    """Whatever its kind of damage: what is wrong, and what to do."""
    write, what = BAD[name]
    write(tmp_path / name)  # type: ignore[no-untyped-call]
    sources, problems = find_sources(tmp_path, pictures=True)
    if sources:
        with pytest.raises(UnreadableError, match=what) as raised:
            read_image(sources, Reading(BitDepth()))
        problems = [raised.value.at(tmp_path / name)]
    (problem,) = problems
    assert problem.remedy
    assert re.search(what, problem.problem + problem.remedy)


def test_pictures_are_wanted_or_not(tmp_path: Path) -> None:
    """Among volumes a picture is a problem, and one whose name does not say so is no concern of ours."""
    saved(tmp_path / "a.png", LEVELS)
    (tmp_path / "a.png").rename(tmp_path / "thumbnail")
    assert find_sources(tmp_path) == ([], [])
    _, (problem,) = find_sources(tmp_path, pictures=True)
    assert "does not say so" in problem.problem
    saved(tmp_path / "b.png", LEVELS)
    _, (problem,) = find_sources(tmp_path)
    assert problem.problem == "a 2D picture, not a volume"


@pytest.mark.parametrize(("greatest", "levels"), [(200, 255), (255, 255), (256, 1023), (4095, 4095), (65535, 65535)])
def test_bit_depth_is_the_least_that_holds_the_picture(greatest: int, levels: int) -> None:
    """Of 8, 10, 12, 14 and 16 bits, whatever the file's own type."""
    values = np.linspace(0, greatest, 100).astype(np.uint16).reshape(1, 10, 10)
    summary = summarise(values, sample_of(values), "unknown")
    assert BitDepth().limits(summary) == (0.0, levels)
    assert float(BitDepth().scale(values, summary).max()) == pytest.approx(greatest / levels)


def test_no_picture_has_hounsfield_units(tmp_path: Path) -> None:
    """A window of HU makes no sense of grey levels, nor bit depth of HU."""
    with pytest.raises(UnreadableError, match="Hounsfield units, but this is a picture"):
        read_image([saved(tmp_path / "a.png", LEVELS)], Reading(Window()))
    values = np.linspace(-1000, 1000, 64).reshape(1, 4, 4, 4)
    with pytest.raises(UnreadableError, match=r"grey levels lie in 0\.\.65535, its values are -1000 to 1000"):
        BitDepth().limits(summarise(values, sample_of(values), "CT"))


@pytest.mark.parametrize(("fit", "size"), [((10, 10), (10, 7)), ((60, 60), (60, 40)), ((90, 20), (30, 20))])
def test_pictures_just_fit_in(fit: tuple[int, ...], size: tuple[int, ...], tmp_path: Path) -> None:
    """Shrunk or enlarged, proportions kept; a ramp stays a ramp."""
    ramp = np.broadcast_to(np.linspace(0, 200, 30), (20, 30)).astype(np.uint8)
    image = read_image([saved(tmp_path / "a.png", ramp)], Reading(BitDepth(), fit=fit))
    assert image.size == size
    row = image.values[0, :, size[1] // 2].astype(float)
    np.testing.assert_allclose(row, np.linspace(0, 200, size[0]), atol=12)


def test_regions_and_patches_are_what_the_picture_holds(tmp_path: Path) -> None:
    """Cut anywhere, beyond the borders too; a small picture lies in the middle of its patch."""
    case = Case("a", (saved(tmp_path / "a.png", LEVELS),), values=(1.0,))
    prepared = cache_case(case, target=ILL, reading=Reading(BitDepth()), into=tmp_path / "cases")
    case_cache, seen = CaseCache(tmp_path / "cases"), LEVELS.T / np.float32(255)
    assert prepared.size == (30, 20)
    region = case_cache.image(prepared, (-2, 5), (10, 20))
    np.testing.assert_allclose(region[0], np.pad(seen, ((2, 0), (0, 5)))[:10, 5:25], atol=1e-6)
    middle = CentredPatches(case_cache, [prepared], (32, 32))[0]
    np.testing.assert_allclose(middle["image"][0], np.pad(seen, ((1, 1), (6, 6))), atol=1e-6)
    assert middle["values"].tolist() == [1.0]
    patch = PatchSampler(case_cache, [prepared], (8, 8)).sample(generator_for(0, 0, "patch"))
    x, y = patch.lower
    np.testing.assert_allclose(patch.arrays["image"][0], seen[x : x + 8, y : y + 8], atol=1e-6)


def test_large_pictures_are_kept_in_chunks(tmp_path: Path) -> None:
    """More than a chunk along both axes, channels apart."""
    values = generator_for(4, 0, "large").integers(0, 2**16, (1, 2, 1500, 1100)).astype(np.uint16)
    write_array(tmp_path / "a.b2nd", values.shape, "<u2", values.__getitem__, {})
    stored = StoredArray(tmp_path / "a.b2nd")
    np.testing.assert_array_equal(stored.read((slice(0, 1), slice(1, 2), slice(900, 1400), slice(3, 1100))),
                                  values[:, 1:2, 900:1400, 3:1100])  # fmt: skip


def test_geometry_of_two_axes_goes_there_and_back() -> None:
    """Flipped and swapped axes in 2D as in 3D."""
    values = np.arange(12.0).reshape(1, 3, 4)
    turned = Geometry((3, 4), (1.0, 2.0), (0.0, 0.0), (0.0, -1.0, 1.0, 0.0))
    assert (turned.order, turned.flips) == ((1, 0), (True, False))
    np.testing.assert_array_equal(turned.from_lps(turned.to_lps(values)), values)
    np.testing.assert_array_equal(turned.to_lps(values)[0], values[0].T[::-1])


def test_percentiles_read_pictures_too(tmp_path: Path) -> None:
    """Any intensity but a window of HU may be taken."""
    image = read_image([saved(tmp_path / "a.png", LEVELS)], Reading(Percentiles()))
    scaled = image.scaled((slice(2, 9), slice(None)))
    assert scaled.shape == (1, 7, 20)
    assert 0 <= float(scaled.min()) < float(scaled.max()) <= 1


@pytest.mark.parametrize(
    ("bits", "spread", "white"), [(12, 1, 4095), (12, 16, 65535), (9, 1, 511), (16, 1, 1023)], ids=str
)
def test_significant_bits_of_a_png_are_its_depth(bits: int, spread: int, white: int, tmp_path: Path) -> None:
    """Though 300 would fit in ten bits: as they are, or spread over all bits as the standard says; all say nothing."""
    levels = LEVELS.astype(np.uint16) * spread
    levels[0, 0] = 300 * spread
    write_png(tmp_path / "a.png", levels[..., None], significant=bits)
    volume = read_volume(found(tmp_path / "a.png"))
    np.testing.assert_array_equal(volume.values[0].T, levels)
    seen = read_image([found(tmp_path / "a.png")], Reading(BitDepth()))
    limits = seen.limits[0]
    assert limits == (0, white)
    mask, _ = read_label_map(found(tmp_path / "a.png"))
    np.testing.assert_array_equal(mask.T, levels)


def slices_of(folder: Path) -> None:
    """Two slices of a CT."""
    write_series(folder / "ct", make_ct()[:, :, :2])


AMONG_PICTURES = {
    "film": (
        lambda f: write_radiograph(f / "film.dcm", np.stack([LEVELS] * 3), Rows=20, Columns=30, NumberOfFrames=3),
        "frames",
    ),
    "colour": (
        lambda f: write_radiograph(
            f / "colour.dcm",
            np.zeros((20, 90), np.uint8),
            Columns=30,
            SamplesPerPixel=3,
            PhotometricInterpretation="RGB",
            PlanarConfiguration=0,
        ),
        "colour",
    ),
    "broken": (lambda f: broken(f / "broken.jpg"), "cut off or damaged"),
    "animation": (lambda f: Pillow.fromarray(LEVELS).save(f / "a.gif"), "save it as PNG"),
    **{
        name: (lambda f, name=name: BAD[name][0](f / name), BAD[name][1])
        for name in ("cut.jpg", "print.jpg", "glass.png")
    },
}


def broken(path: Path) -> None:
    """A JPEG with markers where its pixels are."""
    Pillow.fromarray(noise()).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8] = b"\xff" * 8
    path.write_bytes(data)


@pytest.mark.parametrize("name", AMONG_PICTURES)
def test_what_is_no_picture_is_one_clear_line(name: str, tmp_path: Path) -> None:
    """In problems.csv, with what to do; the good picture beside it is prepared."""
    make, words = AMONG_PICTURES[name]
    folder = tmp_path / "pictures"
    folder.mkdir()
    Pillow.fromarray(noise(40)).save(folder / "good.png")
    make(folder)  # type: ignore[no-untyped-call]
    store = prepare(folder, tmp_path / "store", workers=0, quiet=True)
    (problem,) = read_rows(store / "problems.csv")
    assert words in problem["problem"] + problem["remedy"]
    assert (problem["severity"], bool(problem["remedy"])) == ("error", True)
    assert len(Store.open(store).scans) == 1


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGB"])
def test_palette_bits_and_opaque_alpha_are_read(mode: str, tmp_path: Path) -> None:
    """Grey levels as they are shown, one bit as black and white."""
    shown = np.where(LEVELS > 127, 255, 0).astype(np.uint8) if mode == "1" else LEVELS
    Pillow.fromarray(shown).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(found(tmp_path / "a.png")).values[0].T, shown)


def test_volumes_among_pictures_of_a_table_and_the_reverse(tmp_path: Path) -> None:
    """A folder of a CT series named as a picture, and a radiograph named among scans, are a line each."""
    slices_of(tmp_path)
    write_radiograph(tmp_path / "a.dcm", LEVELS.astype(np.uint16))
    (tmp_path / "table.csv").write_text("image\nct\na.dcm\n")
    sources, (problem,) = read_table(tmp_path / "table.csv")
    assert [source.path.name for source in sources] == ["ct"]
    assert (problem.path.name, problem.remedy) == ("a.dcm", "name pictures in a table of their own")
    sources, problems = find_sources(tmp_path, pictures=False)
    assert (len(sources), [one.problem for one in problems]) == (1, ["a 2D picture, not a volume"])


def test_patient_in_two_folds_and_a_row_without_a_picture(tmp_path: Path) -> None:
    """Both are a line, with what to do; the others are taken."""
    for name in "abc":
        saved(tmp_path / f"{name}.png", noise(30) if name == "a" else noise(31 if name == "b" else 32))
    rows = ("a.png,one,0", "b.png,one,1", "c.png,two,1", "d.png,three,0")
    (tmp_path / "table.csv").write_text("\n".join(("image,patient,fold", *rows)) + "\n")
    sources, problems = read_table(tmp_path / "table.csv")
    assert [source.path.name for source in sources] == ["a.png", "c.png"]
    assert [(one.path.name, one.problem.split(",")[0], bool(one.remedy)) for one in problems] == [
        ("d.png", "it is named", True), ("b.png", "its patient is in fold 0 in one row and in fold 1 in this one", True)
    ]  # fmt: skip


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    """By both sizes, and what to do."""
    image, mask = saved(tmp_path / "a.png", noise(40)), saved(tmp_path / "b.png", (noise(30) > 99).astype(np.uint8))
    target = find_target("segmentation")((Label("lung", (1,)),))
    with pytest.raises(UnreadableError, match=r"different sizes, \(30, 30\) and \(40, 40\); resample one"):
        cache_case(Case("a", (image,), (mask,)), target=target, reading=Reading(BitDepth()), into=tmp_path)
