"""Writing files so that a half-written one is never mistaken for a whole one: aside, fsync, rename."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.process_id import ProcessId, this_process

PART = ".part"  # what files end in until they are whole
ABANDONED_S = 3600.0  # since another machine last wrote to such a file
UNFIT = re.compile(r"[^\w.+=@-]+")  # for the name of a file


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    Raises:
        DataError: the disk is full or the folder cannot be written; what was at `path` before is still there.
    """
    aside = aside_of(path)
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


def aside_of(path: Path) -> Path:
    """The file beside another that this process, and no other, writes first."""
    return path.with_name(f".{path.name}.{this_process()}{PART}")


def is_leftover(path: Path, *names: str) -> bool:
    """Whether a file was written aside, by whatever process, to become one of these names."""
    return path.name.endswith(PART) and path.name.startswith(tuple(f".{name}." for name in names))


def remove_leftovers(folder: Path) -> None:
    """Delete what dead processes left unfinished in a folder and the two floors below; that of live ones stays."""
    for pattern in (".*", "*/.*", "*/*/.*"):
        for path in folder.glob(f"{pattern}{PART}"):
            if not _is_being_written(path):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _is_being_written(path: Path) -> bool:
    """Whether the process that a file is named after may still write to it."""
    process = ProcessId.parse(path.name.removesuffix(PART).rpartition(".")[2])
    if process is None:
        return False
    if process.is_here:
        return process.lives
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < ABANDONED_S
    return False


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


def sha256(path: Path) -> str:
    """Hash a file without loading it whole."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fit(name: str) -> str:
    """Replace every character that is unfit for a file's name by an underline."""
    return UNFIT.sub("_", name).strip("_.") or "_"
