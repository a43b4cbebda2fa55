"""Folders of an object store: a URL becomes a folder of this machine, whose files come when they are first opened.

In a cache, a folder `url=...` mirrors what a URL names, so that the path of a file says where it comes from: every
process that opens it by `check_regular` gets it, whole, by one request. A file that is not here yet is missing, or a
placeholder: empty, of its size and time, marked by the sticky bit. Those that were not used for longest become
placeholders again when the cache is full. Nothing is held but by locks of the system, which end with their process.
"""

import contextlib
import functools
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from modelsgenesis.core.errors import AwayError, DataError, refusal
from modelsgenesis.core.files import (
    MIRROR,
    PART,
    aside_of,
    is_being_written,
    read_object,
    reason,
    sha256,
    write_json,
)
from modelsgenesis.core.locations import Location, local_path, location_of, parse
from modelsgenesis.core.transfers import ask

SPOOL = "spool="  # how the name of a folder begins that is uploaded
LOCKS, LIMIT = ".locks", "cache.json"
MADE = "made.json"  # the folder has it: its other files are named by what is in it, and need no listing
AWAY = stat.S_ISVTX  # the mark of a placeholder
LONGEST = 220  # letters of a folder's name in a cache
GIB = 2**30
SPARED_S = 60.0  # a file that was used so recently stays: somebody may be about to open it
NUM_LOCKS = 256


@dataclass(frozen=True)
class Cache:
    """Where files of object stores are kept on this machine.

    Attributes:
        folder: on a local disk; None where there is none, so that URLs are refused.
        gib: that it may fill, in GiB.
    """

    folder: Path | None
    gib: float


def here(place: str | Path, cache: Cache) -> Path:
    """The place on this machine where what is given is read: itself, or the mirror of a URL in a cache.

    Args:
        place: a path, or the URL of a folder, an object, or a table that names others beside it.
        cache: for URLs.
    Raises:
        DataError: it makes no sense; nothing is there; the object store cannot be reached; or there is no cache.
        MissingExtraError: obstore is not installed.
    """
    if (path := local_path(place)) is not None:
        return path
    location = parse(str(place))
    try:
        return _mirror(location, _prepared(location, cache))
    except OSError as error:
        raise DataError(refusal(error) or f"{cache.folder}: cannot be written ({error.strerror})") from error


def spool_of(place: str, cache: Cache) -> tuple[Path, Location]:
    """The folder of this machine where what is uploaded to a URL is made, and what the URL names."""
    location = parse(place)
    return _prepared(location, cache) / _named(SPOOL, location), location


def _prepared(location: Location, cache: Cache) -> Path:
    """The cache's folder, with its limit written down for every process that fills it."""
    if cache.folder is None:
        raise DataError(f"{location}: its files are kept on this machine; say where with --cache FOLDER")
    if not cache.gib > 0:
        raise DataError(f"--cache-gib must be above 0, got {cache.gib:g}; 500 is the default")
    folder = cache.folder.absolute()
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    if not (folder / LIMIT).is_file() or read_object(folder / LIMIT).get("gib") != cache.gib:
        write_json(folder / LIMIT, {"gib": cache.gib})
    return folder


def _named(kind: str, location: Location) -> str:
    name = kind + quote(str(location), safe="")
    if len(name) > LONGEST:
        raise DataError(f"{location} is too long a URL for the name of a folder; put what it names nearer to its root")
    return name


def _mirror(location: Location, cache: Path) -> Path:
    """Make the mirror of a folder, of an object, or of a table and all that lies beside it, by its newest listing."""
    table = location.key.lower().endswith(".csv")
    folder, _, name = location.key.rpartition("/")
    beside = Location(location.bucket, folder)
    root = cache / _named(MIRROR, beside if table else location)
    if not table:
        top = _listed(location, below=False)
        if f"{location.prefix}{MADE}" in top and _is_store(root, location, top):
            return root
    found = _listed(beside if table else location, below=True)
    if found and (not table or location.key in found):
        _place(root, beside if table else location, found)
        return root / name if table else root
    alone = {key: each for key, each in _listed(beside, below=False).items() if key == location.key}
    if not alone:
        raise DataError(f"{location}: nothing is there; is it spelled right?")
    root = cache / _named(MIRROR, beside)
    _place(root, beside, alone, others_stay=True)
    return root / name


def _listed(location: Location, *, below: bool) -> dict[str, tuple[int, int]]:
    """The bytes and times of the objects in a folder, by key."""
    answers = ask("list", location.bucket, url=str(location), prefix=location.prefix, below=below)
    return {each["key"]: (each["bytes"], each["ns"]) for each in answers}


def _is_store(root: Path, location: Location, top: dict[str, tuple[int, int]]) -> bool:
    """Mirror the files at the top of a folder that has a made.json; whether it names its other files itself.

    Of a store that is another than before, nothing is kept.
    """
    key = f"{location.prefix}{MADE}"
    if not _is_same(root / MADE, *top[key]):
        for path in _files(root):
            path.unlink(missing_ok=True)
    _place(root, location, top, others_stay=True)
    return read_object(root / MADE).get("verb") == "prepare"


def _place(root: Path, location: Location, found: dict[str, tuple[int, int]], *, others_stay: bool = False) -> None:
    """Put a placeholder where a file is not here, or is another than there; delete what is there no more."""
    wanted = {root / key.removeprefix(location.prefix): told for key, told in found.items() if not key.endswith("/")}
    for key in found:
        if key.endswith("/"):
            (root / key.removeprefix(location.prefix)).mkdir(parents=True, exist_ok=True)
    for path, (num_bytes, ns) in wanted.items():
        if not _is_same(path, num_bytes, ns):
            _put_placeholder(path, num_bytes, ns)
    for path in [] if others_stay else list(_files(root)):
        if path not in wanted and not path.name.endswith(PART):
            path.unlink(missing_ok=True)


def _is_same(path: Path, num_bytes: int, ns: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        known = path.stat()
        return (known.st_size, known.st_mtime_ns) == (num_bytes, ns)
    return False


def _put_placeholder(path: Path, num_bytes: int, ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    with open(aside, "wb") as file:
        file.truncate(num_bytes)
    os.utime(aside, ns=(ns, ns))
    os.chmod(aside, 0o600 | AWAY)
    os.replace(aside, path)


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names)


def is_here(path: Path) -> bool:
    """Whether a file is on this machine, as all are but those of a mirror that did not come yet."""
    return location_of(path) is None or (path.is_file() and not path.stat().st_mode & AWAY)


def bring(path: Path, checksum: str = "") -> None:
    """See that a file of a mirror is here, and count it as used; of any other file, do nothing.

    Args:
        path: to be opened next.
        checksum: SHA-256 that its content must have, looked at when it comes; "" is not known.
    Raises:
        AwayError: it cannot be had.
        DataError: its content is another, or the disk is full.
    """
    location = location_of(path)
    if location is None or _is_used(path):
        return
    with _locked(path, "file"):
        if not _is_used(path):  # nobody brought it meanwhile
            _fetch(path, location, checksum)


def _is_used(path: Path) -> bool:
    """Count a file as used now, if it is here; then it stays for SPARED_S."""
    with contextlib.suppress(FileNotFoundError), _locked(path, "use"):
        known = path.stat()
        if stat.S_ISREG(known.st_mode) and not known.st_mode & AWAY:
            os.utime(path, ns=(time.time_ns(), known.st_mtime_ns))
        return not known.st_mode & AWAY or stat.S_ISDIR(known.st_mode)
    return False


def _fetch(path: Path, location: Location, checksum: str) -> None:
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        (told,) = ask("get", location.bucket, url=str(location), key=location.key, path=str(aside))
        if checksum and (came := sha256(aside)) != checksum:
            raise DataError(
                f"{location}: is not what was written (SHA-256 {came[:12]}..., not {checksum[:12]}...); prepare the "
                "scan again, or copy the store anew"
            )
        listed = path.stat() if path.exists() else None  # whose time some servers round otherwise than that of a file
        same = listed is not None and listed.st_size == told["bytes"]
        os.utime(aside, ns=(time.time_ns(), listed.st_mtime_ns if listed and same else told["ns"]))
        os.replace(aside, path)
    except AwayError:
        raise
    except OSError as error:
        raise DataError(f"{path}: could not be written ({reason(error)})") from error
    finally:
        aside.unlink(missing_ok=True)
    _room(_cache_of(path)).filled(told["bytes"])


def _cache_of(path: Path) -> Path:
    """The cache that a file of a mirror is in."""
    return next(folder.parent for folder in path.parents if folder.name.startswith(MIRROR) and location_of(folder))


@contextlib.contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock of the system, which ends with the process, on a file or on its use; some files share one."""
    import fcntl

    number = sum(os.fsencode(path)) % NUM_LOCKS
    with open(_cache_of(path) / LOCKS / f"{what}-{number}", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def _room(cache: Path) -> "_Room":
    return _Room(cache)


class _Room:
    """What this process has put into a cache since it last looked whether it is full.

    Args:
        cache: its folder.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.since = -1  # bytes; it has not looked yet

    def filled(self, num_bytes: int) -> None:
        """Count what was put there; look after each hundredth of the limit, and make room."""
        limit = read_object(self.cache / LIMIT)["gib"] * GIB
        self.since += num_bytes
        if self.since < num_bytes or self.since > limit / 100:
            self.since = 0
            make_room(self.cache, limit)


def make_room(cache: Path, limit: float) -> None:
    """Turn the files that were not used for longest into placeholders, until those here are within a limit.

    Args:
        cache: its folder.
        limit: in bytes. What was used within SPARED_S stays, so that it may be passed for a while.
    """
    there: list[tuple[float, int, Path]] = []
    for root in cache.glob(f"{MIRROR}*"):
        for path in _files(root):
            with contextlib.suppress(FileNotFoundError):
                known = path.stat()
                if path.name.endswith(PART) and not is_being_written(path, alone=False):
                    path.unlink()
                elif not known.st_mode & AWAY:
                    there.append((known.st_atime, known.st_size, path))
    held = sum(num_bytes for _, num_bytes, _ in there)
    for used, num_bytes, path in sorted(there):
        if held <= limit or time.time() - used < SPARED_S:
            return
        held -= num_bytes * _put_away(path)


def _put_away(path: Path) -> bool:
    """Turn a file into a placeholder, unless it was used meanwhile."""
    with contextlib.suppress(FileNotFoundError), _locked(path, "use"):
        known = path.stat()
        if time.time() - known.st_atime >= SPARED_S:
            _put_placeholder(path, known.st_size, known.st_mtime_ns)
            return True
    return False


def upload(location: Location, files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Copy files into a folder of an object store, each whole, and yield the name and mark of each once it is there.

    Raises:
        DataError: the object store cannot be reached or refuses.
    """
    keys = {f"{location.prefix}{name}": str(path) for name, path in files.items()}
    with _told_as_data():
        for each in ask("put", location.bucket, url=str(location), files=keys):
            yield each["key"].removeprefix(location.prefix), each["mark"]


def delete(location: Location, names: list[str]) -> None:
    """Delete objects of a folder; one that is not there is no error.

    Raises:
        DataError: the object store cannot be reached or refuses.
    """
    keys = [f"{location.prefix}{name}" for name in names]
    with _told_as_data():
        list(ask("delete", location.bucket, url=str(location), keys=keys) if keys else ())


def marks_in(location: Location) -> dict[str, str]:
    """The marks of all objects in a folder, by name; a mark is another when the content is.

    Raises:
        DataError: the object store cannot be reached or refuses.
    """
    with _told_as_data():
        answers = ask("list", location.bucket, url=str(location), prefix=location.prefix, below=True)
        return {each["key"].removeprefix(location.prefix): each["mark"] for each in answers}


@contextlib.contextmanager
def _told_as_data() -> Iterator[None]:
    try:
        yield
    except AwayError as error:
        raise DataError(str(error)) from error
