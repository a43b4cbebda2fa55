"""What a file is by its first bytes, whatever it is called."""

import gzip
import zlib
from pathlib import Path

ENDINGS = {
    ".nii": "NIfTI",
    ".hdr": "NIfTI",
    ".nii.gz": "gzipped NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mhd": "MetaImage",
    ".mha": "MetaImage",
    ".npy": "NumPy",
    ".dcm": "DICOM",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
USUAL_ENDING = {
    "NIfTI": ".nii",
    "gzipped NIfTI": ".nii.gz",
    "NRRD": ".nrrd",
    "MetaImage": ".mha",
    "NumPy": ".npy",
    "DICOM": ".dcm",
    "PNG": ".png",
    "JPEG": ".jpg",
}
PICTURES = ("PNG", "JPEG")
HEAD_BYTES = 352


def ending_of(path: Path) -> str:
    """The ending that tells the format, lower case; "" when it tells none."""
    name = path.name.lower()
    return next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if name.endswith(ending)), "")


def content_of(path: Path) -> str:
    """The format by content, one of USUAL_ENDING; "" when it is none of them.

    Raises:
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:2] == b"\x1f\x8b":
        return "gzipped NIfTI" if _is_nifti(_unzipped_head(path)) else ""
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[:6] == b"\x93NUMPY":
        return "NumPy"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:7] == b"NRRD000":
        return "NRRD"
    if _is_nifti(head):
        return "NIfTI"
    return "MetaImage" if b"ObjectType" in head or b"NDims" in head else ""


def _is_nifti(head: bytes) -> bool:
    return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def _unzipped_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(HEAD_BYTES)
    except (EOFError, OSError, zlib.error):
        return b""
