"""Image formats: one file each, found by being here; what several share is in `base/`."""

import functools
from pathlib import Path

from modelsgenesis.core.image_format import ImageFormat
from modelsgenesis.core.naming import find, members

HEAD_BYTES = 352


@functools.cache
def formats() -> tuple[ImageFormat, ...]:
    """Every format of the room, in the order of their files' names."""
    return tuple(find("data.formats", name, ImageFormat)() for name in members("data.formats"))


@functools.cache
def _by_ending() -> dict[str, ImageFormat]:
    """{ending: its format}, the longest endings first: .nii.gz before .gz."""
    known = {ending: each for each in formats() for ending in each.endings}
    return dict(sorted(known.items(), key=lambda pair: (-len(pair[0]), pair[0])))


def ending_of(path: Path) -> str:
    """The ending that tells the format, lower case; "" when it tells none."""
    name = path.name.lower()
    return next((ending for ending in _by_ending() if name.endswith(ending)), "")


def format_of_ending(ending: str) -> ImageFormat | None:
    """The format whose files end so, or None."""
    return _by_ending().get(ending)


def recognise(path: Path) -> tuple[ImageFormat | None, str]:
    """The format of a scan's file by its content, and what people call it; (None, "") when it is none of ours.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    for each in formats():
        if each.stands_alone and (name := each.recognise(head, path)):
            return each, name
    return None, ""


def usual_ending(name: str) -> str:
    """The usual ending of files of what people call a format: .nii.gz of gzipped NIfTI."""
    return next(ending for each in formats() for ending, called in each.endings.items() if called == name)
