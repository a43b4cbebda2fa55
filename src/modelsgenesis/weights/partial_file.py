"""The beginning of a file that is being downloaded, and what its resuming needs, side by side on disk."""

import os
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_json, write_json


class PartialFile:
    """The part of a file that has been downloaded so far.

    Args:
        into: the file it becomes.
        url: it comes from.
    """

    def __init__(self, into: Path, url: str) -> None:
        self.into, self.url = into, url
        self.path = into.with_name(f"{into.name}.part")
        self._notes = into.with_name(f"{into.name}.part.json")

    @property
    def length(self) -> int:
        """The number of bytes there are."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str:
        """The server's mark of the version that these bytes are of; empty if they cannot be gone on from."""
        try:
            notes = read_json(self._notes)
            return str(notes["validator"]) if notes["url"] == self.url else ""
        except (DataError, LookupError, TypeError):
            return ""

    def begin(self, validator: str) -> None:
        """Start anew with the server's present version of the file."""
        self.discard()
        write_json(self._notes, {"url": self.url, "validator": validator})

    def discard(self) -> None:
        """Delete what there is."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def finish(self) -> None:
        """Rename the part to the file."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.into)
        self._notes.unlink(missing_ok=True)

    def kept(self) -> str:
        """Describe in words what is kept for the next try."""
        if self.length and self.validator:
            return f"{self.length} bytes are kept in {self.path}, and the same command goes on from there"
        return "the same command starts anew"
