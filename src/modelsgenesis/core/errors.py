"""The few typed errors: all but the missing extra are ValueErrors; messages name what was given and what to do."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class GenesisError(ValueError):
    """The base class of every error that this package raises; the command line prints it as one line."""


class ShapeError(GenesisError):
    """A size, a number of axes or a number of channels does not fit."""


class DataError(GenesisError):
    """A scan, a store or a table is not what it should be."""


class WeightsError(GenesisError):
    """A weights file is broken, hostile or of another network."""


class TrainingError(GenesisError):
    """A run that cannot go on, or cannot be resumed with these settings."""


class MissingExtraError(ImportError):
    """An optional library is absent; the message holds the line that installs it."""


class AwayError(OSError):
    """What an object store has cannot be had: it does not answer, refuses, or has it no more.

    Args:
        message: what is wrong, and what to do.
        gone: the store answers that there is no such object.
    """

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


REFUSALS = {  # by the system, for which the content of the file is not to blame
    **dict.fromkeys((errno.EACCES, errno.EPERM), "no permission to read it; change its permissions"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open; raise the limit with ulimit -n"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "the disk is full; free some space and run the same command again"),
    errno.EIO: "the disk or the network failed while it was read; try again, or look at the disk",
    errno.ESTALE: "it was deleted or moved on its server while it was open; run the same command again",
}


def refusal(error: BaseException | None) -> str:
    """Why the system refused to read a file, with the remedy; "" where the file itself may be to blame."""
    if isinstance(error, AwayError):
        return str(error)
    return REFUSALS.get(error.errno or 0, "") if isinstance(error, OSError) else ""


@contextlib.contextmanager
def blamed_on(file: Path | str, kind: type[GenesisError], what: str) -> Iterator[None]:
    """Turn whatever is raised for what a file holds, which may be of any shape, into one error that names the file.

    Args:
        file: that is read.
        kind: of the error.
        what: is wrong, and what to do.
    Raises:
        GenesisError: of the kind; one of that kind that names the file already passes as it is.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        if isinstance(error, kind) and str(file) in str(error):
            raise
        if why := refusal(error):
            raise kind(f"{file}: {why}") from error
        reason = str(error) if isinstance(error, GenesisError) else f"{type(error).__name__}: {error}"
        raise kind(f"{file}: {what} ({reason[:300]})") from error
