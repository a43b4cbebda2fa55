"""Which process wrote a file: a name that no other process has, and by which its own machine knows whether it lives."""

import contextlib
import functools
import hashlib
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

WORD = re.compile(r"([0-9a-f]{8})-(\d+)-(\d+)")
PROC = Path("/proc")
ENDED = "ZX"  # states of a process that was killed and that nobody has waited for yet


@dataclass(frozen=True)
class ProcessId:
    """A process among those of all machines.

    Attributes:
        machine: where process numbers are counted: a container, or a computer since it was started.
        number: of the process there.
        started: when, in ticks since the machine's start, since numbers are used again; 0 where that is not told.
    """

    machine: str
    number: int
    started: int

    @classmethod
    def parse(cls, word: str) -> Self | None:
        """Read what `str` writes; None if it is something else."""
        found = WORD.fullmatch(word)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    def __str__(self) -> str:
        return f"{self.machine}-{self.number}-{self.started}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, where this process does."""
        return self.machine == _machine()

    @property
    def lives(self) -> bool:
        """Whether it runs; to be asked only where it would be."""
        return _started(self.number) == self.started


def this_process() -> ProcessId:
    """The process that asks."""
    return _of_number(os.getpid())


@functools.cache
def _of_number(number: int) -> ProcessId:
    return ProcessId(_machine(), number, _started(number) or 0)


@functools.cache
def _machine() -> str:
    """A name of this machine since its start, or of the container in it, from which nobody learns what it is called."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8")
        name = boot + os.readlink(PROC / "self/ns/pid")
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _started(number: int) -> int | None:
    """When a process of this machine started; None when there is none of this number."""
    if (PROC / "self/stat").is_file():
        with contextlib.suppress(OSError):
            # The second field, a name in brackets, may hold anything.
            state, *fields = (PROC / f"{number}/stat").read_bytes().rpartition(b")")[2].split()
            return None if state.decode() in ENDED else int(fields[18])
        return None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0  # it is somebody else's
    return 0
