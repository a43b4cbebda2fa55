"""Writing files so that a half-written one is never mistaken for a whole one: aside, fsync, rename."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from modelsgenesis.core.errors import DataError, refusal
from modelsgenesis.core.process_id import ProcessId, this_process

FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or what of it a user may have
LONGEST_NAME = 200  # bytes of the 255 that a file system takes, the rest for what is written around it
MIRROR = "url="  # how the name of a folder begins that mirrors one of an object store
PART = ".part"  # what files end in until they are whole
ABANDONED_S = 3600.0  # since another machine last wrote to such a file
UNFIT = re.compile(r"[^\w.+=@-]+")  # for the name of a file


class IrregularFileError(OSError):
    """A named pipe, a socket or a device where a file is wanted: opened, it may never answer."""


def check_regular(path: Path) -> Path:
    """Refuse what is no regular file, also behind a link, before a library opens it by its name.

    Returns:
        The path; a folder passes too, since every library refuses to open one.
    Raises:
        IrregularFileError: it is a named pipe, a socket or a device.
        OSError: it is not there, or may not be looked at.
        AwayError: it is of an object store, and cannot be had.
    """
    if MIRROR in str(path):  # of an object store: it may not be here yet
        from modelsgenesis.core.remote import bring

        bring(path)
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return path
    what = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    raise IrregularFileError(errno.EINVAL, f"{what}, not a file", str(path))


def name_in_utf8(path: Path) -> str:
    """The name of a regular file for a library that takes UTF-8 alone; one of them ends the process on another.

    Raises:
        UnicodeEncodeError: it is not UTF-8.
        OSError: as `check_regular`.
    """
    name = str(check_regular(path))
    name.encode()
    return name


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file to read its bytes; every file of anybody's is opened here or passes `check_regular`.

    Raises:
        IrregularFileError: it is a named pipe, a socket or a device.
        OSError: it cannot be opened.
    """
    return open(check_regular(path), "rb")


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
    except (OSError, RuntimeError) as error:
        refused = error.__context__ if isinstance(error, RuntimeError) else error  # torch's own writer hides it behind
        if not isinstance(refused, OSError):
            raise
        raise DataError(f"{path}: could not be written ({reason(refused)})") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def aside_of(path: Path) -> Path:
    """The file beside another that this process, and no other, writes first."""
    return path.with_name(f".{path.name}.{this_process()}{PART}")


def is_leftover(path: Path, *names: str) -> bool:
    """Whether a file was written aside, by whatever process, to become one of these names."""
    return path.name.endswith(PART) and path.name.startswith(tuple(f".{name}." for name in names))


def remove_leftovers(folder: Path, *, alone: bool = False) -> None:
    """Delete what dead processes left unfinished in a folder and the two floors below; that of live ones stays.

    Args:
        folder: to tidy up.
        alone: no other process is left that works there, on whatever machine: what is no file of this machine's live
            processes is deleted at once, not an hour after it was last written.
    """
    for pattern in (".*", "*/.*", "*/*/.*"):
        for path in folder.glob(f"{pattern}{PART}"):
            if not is_being_written(path, alone=alone):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def is_being_written(path: Path, *, alone: bool) -> bool:
    """Whether the process that a file is named after may still write to it.

    Args:
        path: of a file that was written aside.
        alone: no process of another machine is left that may.
    """
    process = ProcessId.parse(path.name.removesuffix(PART).rpartition(".")[2])
    if process is None:
        return False
    if process.is_here:
        return process.lives
    if alone:
        return False
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < ABANDONED_S
    return False


def reason(error: OSError) -> str:
    """Explain in words, with the remedy, why the system refused a write."""
    if error.errno in FULL:
        return refusal(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write here; choose another folder or change its permissions"
    return f"{error.strerror or error}; run the same command again once this is mended"


def read_object(path: Path) -> dict[str, Any]:
    """Read JSON that is an object; DataError when it is missing, broken or something else."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: should hold a JSON object, and holds {str(data)[:40]!r}; is it the right file?")
    return data


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON, whole or not at all; what of a file's name is not UTF-8 is written as JSON's own escapes."""
    with written_aside(path) as aside:
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_secret(path: Path, text: str) -> None:
    """Write text that its owner alone may read, whole or not at all."""
    with written_aside(path) as aside:
        aside.touch(mode=0o600)
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_text(path: Path, *, errors: Literal["strict", "replace"] = "strict") -> str:
    """Read a regular file as UTF-8.

    Raises:
        OSError: it cannot be opened, or is no file.
        UnicodeDecodeError: it is not UTF-8, and errors are not replaced.
    """
    return check_regular(path).read_text(encoding="utf-8", errors=errors)


def read_json(path: Path) -> Any:
    """Read JSON; DataError when it is missing or broken."""
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: not there; is {path.parent} the right folder?") from error
    except (OSError, ValueError, RecursionError) as error:  # nested without end, or a number of 5,000 digits
        raise DataError(f"{path}: {refusal(error) or f'cannot be read as JSON ({error})'}") from error


def sha256(path: Path) -> str:
    """Hash a file without loading it whole."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bytes_of(name: str) -> bytes:
    """The bytes of a name to hash it by; a file's may hold what is no UTF-8, and a table's what is no text."""
    return name.encode(errors="surrogatepass")


def fit(name: str) -> str:
    """Replace every character that is unfit for a file's name by an underline; a hash ends a name that is too long."""
    name = UNFIT.sub("_", name).strip("_.") or "_"
    encoded = name.encode()
    if len(encoded) <= LONGEST_NAME:
        return name
    return f"{encoded[: LONGEST_NAME - 17].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:16]}"
