"""Writing files so that a half-written one is never mistaken for a whole one: aside, fsync, rename."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError

UNFIT = re.compile(r"[^\w.+=@-]+")  # for the name of a file


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    Raises:
        DataError: the disk is full or the folder cannot be written; what was at `path` before is still there.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise DataError(f"{path}: could not be written ({reason(error)})") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def reason(error: OSError) -> str:
    """Explain in words, with the remedy, why the system refused a write."""
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write here; choose another folder or change its permissions"
    return f"{error.strerror or error}; run the same command again once this is mended"


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; DataError when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: not there; is {path.parent} the right folder?") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


@contextlib.contextmanager
def held(path: Path, verb: str) -> Iterator[None]:
    """Hold a file, and with it its folder, for this process alone; the hold ends with the process, however it ends.

    Args:
        path: of a file that is there.
        verb: that works on the folder.
    Raises:
        DataError: another process holds it.
    """
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"another genesis {verb} works on {path.parent}; wait until it is done") from error
        yield


def sha256(path: Path) -> str:
    """Hash a file without loading it whole."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fit(name: str) -> str:
    """Replace every character that is unfit for a file's name by an underline."""
    return UNFIT.sub("_", name).strip("_.") or "_"
