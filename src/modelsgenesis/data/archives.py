"""Archives of scans, unpacked beside what is made of them; what their names say is not trusted."""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import check_regular
from modelsgenesis.data.problems import Problem

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
Member = tuple[str, int, IO[bytes] | None]  # name, size, and what is in it: None of a link or a device


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that is unpacked here, by its name."""
    return path.is_file() and path.name.lower().endswith(ENDINGS)


def unpack(archive: Path, into: Path) -> list[Problem]:
    """Write every file of an archive below a folder, under its name in the archive.

    Args:
        archive: one of ENDINGS.
        into: a new folder.
    Returns:
        A problem for each member that is left out: its name leads elsewhere, it is no file, or there twice.
    Raises:
        DataError: it is damaged, locked, or larger than the disk has room for.
    """
    problems: list[Problem] = []
    into.mkdir()
    try:
        with _members(archive) as members:
            for name, size, content in members:
                target = into / name
                if wrong := _wrong_with(name, content, target):
                    problems.append(Problem(archive, f"{name!r} in it {wrong[0]}", wrong[1]))
                    continue
                if size > (free := shutil.disk_usage(into).free):
                    raise DataError(f"{archive}: {name} has {size} bytes, and there is room for {free}; make room")
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "xb") as file, content or file as source:
                    shutil.copyfileobj(source, file)
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, or of a name that it cannot have
        raise DataError(f"{archive}: cut off or damaged ({error}); copy it again") from error
    except (RuntimeError, NotImplementedError) as error:
        raise DataError(f"{archive}: cannot be unpacked ({error}); unpack it yourself, and name the folder") from error
    return problems


def _wrong_with(name: str, content: IO[bytes] | None, target: Path) -> tuple[str, str] | None:
    """What is wrong with a member, and what to do; None when nothing is."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
        return "leads out of the folder", "unpack it by hand, if you trust it"
    if content is None:
        return "is a link or a device, no file", "unpack it by hand, if you trust it"
    if target.exists() or any(parent.is_file() for parent in target.parents):
        return "is there twice, or is a folder too", "rename one of them"
    return None


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive, in its order; folders are none."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(check_regular(archive)) as zipped:
            yield ((one.filename, one.file_size, zipped.open(one)) for one in zipped.infolist() if not one.is_dir())
    else:
        with tarfile.open(check_regular(archive)) as tar:
            yield (
                (one.name, one.size, tar.extractfile(one) if one.isfile() else None) for one in tar if not one.isdir()
            )
