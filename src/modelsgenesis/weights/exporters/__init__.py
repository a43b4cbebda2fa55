"""Formats that weights are exported to, one file each; `find_exporter` looks them up by name.

An exporter is a module with

    export(run: Path, into: Path) -> Path    writes its files into the folder `into`, which is there and empty
    USAGE: str                               Markdown for the model card: how to load what was written

`read_given(run)` gives the network, its notes and what follows from them. The stage `export` adds the model card and
the provenance.
"""

from pathlib import Path
from typing import Protocol, cast

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.naming import load_module, members
from modelsgenesis.weights.exporters.base.given import Given, read_given

__all__ = ["Exporter", "Given", "find_exporter", "read_given"]

ROOM = "weights/exporters"


class Exporter(Protocol):
    """The interface of an exporter's module."""

    USAGE: str

    def export(self, run: Path, into: Path) -> Path:
        """Write a network's files into an empty folder."""
        ...


def find_exporter(name: str) -> Exporter:
    """Find the module of an export format by its name.

    Args:
        name: of the file here, dashes or underscores.
    Raises:
        GenesisError: there is none of that name; the message lists what there is.
    """
    module = name.replace("-", "_")
    if module not in members(ROOM):
        there = ", ".join(member.replace("_", "-") for member in members(ROOM))
        raise GenesisError(f"no format {name!r} to export to; there are: {there}")
    return cast(Exporter, load_module(f"{__name__}.{module}"))
