"""One process at a time works on a folder, on all machines that see it: a file there names it, and is renewed."""

import contextlib
import json
import os
import platform
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import aside_of, reason, remove_leftovers
from modelsgenesis.core.process_id import ProcessId, this_process

FILE = ".lease"
RENEWED_S = 20.0
STALE_S = 180.0  # a process that did not renew for so long is taken for dead; file servers start again in half of it


@contextlib.contextmanager
def held(folder: Path, verb: str) -> Iterator[None]:
    """Hold a folder for this process alone; files that dead processes left unfinished there are deleted.

    The hold ends with the process, however it ends: at once for those of the same machine, for others when it has not
    been renewed for STALE_S, by the clock of the file server.

    Args:
        folder: that is worked on; made if it is not there, and deleted again if nothing was written.
        verb: that works on it.
    Raises:
        DataError: another process holds it, or it cannot be written.
    """
    new = not folder.exists()
    lease = Lease(folder, verb)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lease.take()
    except OSError as error:
        raise DataError(f"{folder}: could not be written ({reason(error)})") from error
    ended = threading.Event()
    renewal = threading.Thread(target=lease.renew, args=(ended,), daemon=True)
    renewal.start()
    try:
        remove_leftovers(folder)
        yield
    finally:
        ended.set()
        renewal.join()
        lease.give_back()
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()


class Lease:
    """The file that names a folder's holder.

    Args:
        folder: that is held.
        verb: that works on it.
    """

    def __init__(self, folder: Path, verb: str) -> None:
        self.path, self.verb = folder / FILE, verb
        since = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"process": str(this_process()), "host": platform.node(), "verb": verb, "since": since}
        self.content = json.dumps({**who, "key": secrets.token_hex(8)}).encode()

    def take(self) -> None:
        """Become the holder.

        Raises:
            DataError: another is, and is not known to be dead.
            OSError: the folder cannot be written.
        """
        before: bytes | None = None
        while not self._create():
            with contextlib.suppress(FileNotFoundError):  # it was given back in this moment
                content, age_s = self._look()
                if not _is_dead(content, age_s):
                    raise DataError(
                        f"another genesis {_told(content).get('verb', 'command')} works on {self.path.parent} "
                        f"({_in_words(content)}); wait until it is done. If it is dead, its hold ends in "
                        f"{max(1, round(STALE_S - age_s))} s"
                    )
                before = content if self._remove(content) else before
        if before is not None:
            sys.stderr.write(f"{self.verb}: {self.path.parent} is taken over from a dead run ({_in_words(before)})\n")

    def renew(self, ended: threading.Event) -> None:
        """Keep the hold until the event; a process that has lost it writes nothing more, and ends."""
        while not ended.wait(RENEWED_S):
            try:
                content = self.path.read_bytes()
                if content == self.content:
                    os.utime(self.path)  # to the file server's time
                    continue
            except FileNotFoundError:
                with contextlib.suppress(OSError):  # the whole folder may be gone
                    self._create()
                continue
            except OSError:
                continue  # the file server may answer again before the hold is stale
            sys.stderr.write(
                f"{self.verb}: {self.path.parent} was taken over ({_in_words(content)}), since this process had not "
                f"renewed its hold for {STALE_S:g} s; was it suspended? It ends here\n"
            )
            os._exit(1)

    def give_back(self) -> None:
        """Delete the file, if it is this holder's."""
        with contextlib.suppress(OSError):
            if self.path.read_bytes() == self.content:
                self.path.unlink()

    def _create(self) -> bool:
        """Write the file, unless there is one."""
        try:
            with open(self.path, "xb") as file:
                file.write(self.content)
        except FileExistsError:
            return False
        return True

    def _look(self) -> tuple[bytes, float]:
        """What the file holds, and how long ago it was renewed, by the clock of the file server."""
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".", suffix=f".{this_process()}.part") as fresh:
            now = os.fstat(fresh.fileno()).st_mtime
        with open(self.path, "rb") as file:  # over NFS, what is opened is seen as it is on the server
            return file.read(), now - os.fstat(file.fileno()).st_mtime

    def _remove(self, dead: bytes) -> bool:
        """Delete the file of a dead holder; return False if another process was quicker, whose file stays."""
        aside = aside_of(self.path)
        os.replace(self.path, aside)
        if aside.read_bytes() != dead:
            os.replace(aside, self.path)
            return False
        aside.unlink()
        return True


def _is_dead(content: bytes, age_s: float) -> bool:
    """Whether a holder runs no more, or has not renewed for too long."""
    process = ProcessId.parse(str(_told(content).get("process")))
    return age_s > STALE_S or (process is not None and process.is_here and not process.lives)


def _told(content: bytes) -> dict[str, Any]:
    """What the file says; nothing when it is being written."""
    with contextlib.suppress(ValueError):
        told = json.loads(content)
        return told if isinstance(told, dict) else {}
    return {}


def _in_words(content: bytes) -> str:
    told = _told(content)
    process = ProcessId.parse(str(told.get("process")))
    number = process.number if process else "unknown"
    return f"process {number} of {told.get('host', 'an unknown machine')}, since {told.get('since', 'just now')}"
