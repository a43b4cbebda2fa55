"""Image formats: one file each, found by being here; what several share is in `base/`. Here: which one a file is in."""

import functools
import re
from pathlib import Path

from modelsgenesis.core.errors import refusal
from modelsgenesis.core.files import IrregularFileError, open_regular
from modelsgenesis.core.image_format import ImageFormat
from modelsgenesis.core.naming import find_class, members
from modelsgenesis.core.remote import is_here
from modelsgenesis.data.problems import UnreadableError

HEAD_BYTES = 352
OTHER_PICTURES = (".bmp", ".gif", ".webp", ".jp2", ".pgm", ".heic")
ARCHIVES = (".zip", ".npz", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
FLAT = "a 2D picture, not a volume"
OTHER_VOLUMES = (
    *(".mnc", ".par", ".img.gz", ".hdr.gz", ".vtk", ".bdf", ".mif", ".mif.gz", ".head", ".nii.bz2", ".nii.xz"),
    *(".nii.zst", ".nii.zip"),
)
# What DICOM begins with where the 128 bytes and DICM are missing: an element of group 2 or 8 with its type or length.
BARE_DICOM = re.compile(rb"\x02\0[\0-\x10]\0(UL|OB|UI)|\x08\0[\0-\x18]\0(UL|CS|UI|DA|TM|[\x02-\x40]\0\0\0)", re.DOTALL)


@functools.cache
def formats() -> tuple[ImageFormat, ...]:
    """Every format of the room, in the order of their files' names."""
    return tuple(find_class("data.formats", name, ImageFormat)() for name in members("data.formats"))


@functools.cache
def _by_ending() -> dict[str, ImageFormat]:
    """{ending: its format}, the longest endings first: .nii.gz before .gz."""
    known = {ending: each for each in formats() for ending in each.endings}
    return dict(sorted(known.items(), key=lambda pair: (-len(pair[0]), pair[0])))


def ending_of(path: Path) -> str:
    """The ending of a file's name that identifies a format, in lower case; "" when none does."""
    name = path.name.lower()
    return next((ending for ending in _by_ending() if name.endswith(ending)), "")


def stem_of(path: Path) -> str:
    """The name of a file without the ending that identifies a format."""
    return path.name[: len(path.name) - len(ending_of(path))]


def classify(file: Path, *, pictures: bool = False) -> ImageFormat | None:
    """Say what format a file is in; None when it is no concern of ours.

    Args:
        file: to look at.
        pictures: whether 2D pictures are wanted.
    Raises:
        UnreadableError: it is or claims to be an image, but cannot be read as one.
    """
    ending = ending_of(file)
    claimed = _by_ending().get(ending)
    if claimed and claimed.axes == 2 and not pictures:
        raise UnreadableError(FLAT, "leave it out; 3D volumes are prepared here")
    found, name = _recognised(file, claimed)
    if claimed and name != claimed.endings[ending]:
        if found is None:
            called = claimed.endings[ending]
            raise UnreadableError(f"not a {called} file, though called {ending}", "copy or export it again")
        raise UnreadableError(
            f"a {name} file by content, but called {ending}", f"rename it to end in {_usual_ending(name)}"
        )
    if found is None:
        _refuse_others(file)
        return None
    if found.is_directory and pictures:
        found = found.as_picture(file) or found
    if found.axes == 2 and not pictures:
        if not ending:
            return None
        raise UnreadableError(FLAT, "leave it out; 3D volumes are prepared here")
    if not ending and found.needs_ending:
        raise UnreadableError(f"a {name} file whose name does not say so", f"rename it to end in {_usual_ending(name)}")
    return found


def _recognised(file: Path, claimed: ImageFormat | None) -> tuple[ImageFormat | None, str]:
    """The format of a scan's file by its content, and what people call it; the one that its name claims comes first.

    Returns:
        None and "" when it is none of ours.
    Raises:
        UnreadableError: the file is empty, cannot be opened, or is DICOM that lacks its beginning.
    """
    if claimed and not is_here(file):  # it comes when it is read, by whoever reads it
        return claimed, claimed.endings[ending_of(file)]
    try:
        with open_regular(file) as opened:
            head = opened.read(HEAD_BYTES)
    except IrregularFileError as error:
        raise UnreadableError(str(error.strerror), "leave it out; it is not opened") from error
    except OSError as error:
        if why := refusal(error):
            raise UnreadableError(*why.split("; ", 1)) from error
        raise UnreadableError(f"the file cannot be opened ({error.strerror})", "copy it again") from error
    if not head and claimed:
        raise UnreadableError("the file is empty", "copy or export it again")
    for each in (claimed, *formats()) if claimed else formats():
        if each.stands_alone and (name := each.recognise(head, file)):
            return each, name
    if not claimed or claimed.endings[ending_of(file)] == "DICOM":
        _refuse_bare_dicom(head)
    return None, ""


def _refuse_bare_dicom(head: bytes) -> None:
    """Refuse by name what archives of old keep, which other programs read by guessing."""
    if BARE_DICOM.match(head):
        raise UnreadableError(
            "DICOM without the 128 bytes and DICM that begin a file",
            "write it as a file, for example by DCMTK: dcmconv",
        )


def _refuse_others(file: Path) -> None:
    name = file.name.lower()
    if name.endswith(OTHER_PICTURES):
        raise UnreadableError(
            f"a picture of a kind that is not read ({file.suffix})", "leave it out, or save it as PNG"
        )
    if name.endswith(ARCHIVES):
        raise UnreadableError(
            "an archive", "unpack it beside, or prepare it by itself; genesis prepare takes a .zip or .tar for a folder"
        )
    if name.endswith(OTHER_VOLUMES):
        raise UnreadableError("a format that is not read here", "convert it to .nii.gz")


def _usual_ending(name: str) -> str:
    """The usual ending of files of what people call a format: .nii.gz of gzipped NIfTI."""
    return next(ending for each in formats() for ending, called in each.endings.items() if called == name)
