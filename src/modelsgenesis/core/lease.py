"""One process at a time works on a folder, on all machines that see it: a file there names it, and is renewed."""

import contextlib
import json
import os
import platform
import re
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import PART, aside_of, reason, remove_leftovers
from modelsgenesis.core.process_id import WORD, ProcessId, this_process

FILE = ".lease"
RENEWED_S = 20.0
STALE_S = 180.0  # a process that did not renew for so long is taken for dead; file servers start again in half of it


LOOK = re.compile(rf"\.[a-z0-9_]+\.{WORD.pattern}{re.escape(PART)}")
LOOK_S = 0.5  # between two looks at a hold that is waited for


def is_a_look(path: Path) -> bool:
    """Whether a file was written to ask the file server for its time."""
    return LOOK.fullmatch(path.name) is not None


class HeldError(DataError):
    """Another process holds a folder.

    Args:
        message: what is said of it.
        verb: that it works on; "command" where that is not known.
        process: that holds it, in words.
        alive: it is known to run.
    """

    def __init__(self, message: str, verb: str = "command", process: str = "", *, alive: bool = False) -> None:
        super().__init__(message)
        self.verb, self.process, self.alive = verb, process, alive


@contextlib.contextmanager
def held(
    folder: Path, verb: str, *, after: str = "", tell: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Hold a folder for this process alone; files that dead processes left unfinished there are deleted.

    The hold ends with the process, however it ends: at once for those of the same machine, for others when it has not
    been renewed for STALE_S, by the clock of the file server.

    Args:
        folder: that is worked on; made if it is not there, and deleted again if nothing was written.
        verb: that works on it.
        after: a verb that is soon done, whose end is waited for rather than refused; "" is none.
        tell: called with a line, once, when it is waited for.
    Raises:
        HeldError: another process holds it.
        DataError: it cannot be written.
    """
    new = not folder.exists()
    lease = Lease(folder, verb)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _take_after(lease, after, tell)
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


def _take_after(lease: "Lease", after: str, tell: Callable[[str], None]) -> None:
    """Become the holder, when those who hold the folder for a verb that is soon done have ended."""
    told = False
    while True:
        try:
            return lease.take()
        except HeldError as error:
            if not after or error.verb not in (after, "command"):  # its file may be empty yet
                raise
            if not told:
                tell(f"waiting for genesis {after} ({error.process})")
            told = True
        time.sleep(LOOK_S)


def await_end(folder: Path, tell: Callable[[str], None]) -> None:
    """Wait until the holder of a folder is known to be dead; one of another machine that is may take STALE_S.

    Args:
        folder: that may be held.
        tell: called with a line, once, when it is waited for.
    Raises:
        HeldError: it lives, as it does when it renews its hold meanwhile.
    """
    lease = Lease(folder, "")
    first: float | None = None
    with contextlib.suppress(FileNotFoundError):  # it was given back
        while True:
            renewed = lease.path.stat().st_mtime
            content, age_s = lease.look()
            if _is_dead(content, age_s):
                return
            error = lease.refusal(content, age_s)
            if error.alive or renewed != (first := renewed if first is None else first):
                raise error
            tell(f"waiting to learn whether {error.process} lives, for up to {max(1, round(STALE_S - age_s))} s")
            tell = _say_nothing
            time.sleep(LOOK_S)


def _say_nothing(line: str) -> None:
    """What is called once the line was told."""


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
            HeldError: another is, and is not known to be dead.
            OSError: the folder cannot be written.
        """
        before: bytes | None = None
        while not self._create():
            with contextlib.suppress(FileNotFoundError):  # it was given back in this moment
                content, age_s = self.look()
                if not _is_dead(content, age_s):
                    raise self.refusal(content, age_s)
                before = content if self._remove(content) else before
        if before is not None:
            sys.stderr.write(f"{self.verb}: {self.path.parent} is taken over from a dead run ({_in_words(before)})\n")

    def refusal(self, content: bytes, age_s: float) -> HeldError:
        """The error of a folder that another holds.

        Args:
            content: of the other's file.
            age_s: since it was renewed, in seconds.
        """
        verb, who = str(_told(content).get("verb", "command")), _in_words(content)
        line = (
            f"another genesis {verb} works on {self.path.parent} ({who}); wait until it is done. If it is dead, its "
            f"hold ends in {max(1, round(STALE_S - age_s))} s"
        )
        process = ProcessId.parse(str(_told(content).get("process")))
        return HeldError(line, verb, who, alive=process is not None and process.is_here)

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

    def look(self) -> tuple[bytes, float]:
        """What the file holds, and how long ago it was renewed, by the clock of the file server."""
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".", suffix=f".{this_process()}{PART}") as fresh:
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
