"""Files that may be gzipped: their first bytes as they are inside."""

import gzip
import zlib
from pathlib import Path

MAGIC = b"\x1f\x8b"


def head_inside(path: Path, count: int) -> bytes:
    """The first bytes of what a gzipped file holds; b"" when it is cut off or broken."""
    try:
        with gzip.open(path) as file:
            return file.read(count)
    except (EOFError, OSError, zlib.error):
        return b""
