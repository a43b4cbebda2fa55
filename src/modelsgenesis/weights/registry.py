"""Weights that others published, and ours: where each is, what its licence allows, what it fits."""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from modelsgenesis.core.errors import WeightsError

BOX = Path(__file__).parent / "box"  # of weights that the package itself carries
CATALOGUE = Path(__file__).parent / "catalogue.toml"


@dataclass(frozen=True)
class Licence:
    """The licence of weights: what one may do with them.

    Attributes:
        name: of the licence.
        allows: it in a sentence; the text at `url` is what binds.
        url: of its text.
    """

    name: str
    allows: str
    url: str


@dataclass(frozen=True)
class Entry:
    """An entry of the registry: one weights file.

    Attributes:
        name: what it is called here, and, with the suffix of `url`, on disk.
        title: what it is.
        url: of the file; empty for one in the package, and for one that no program may fetch.
        format: of the file.
        fits: which networks start from it.
        licence: that its user accepts.
        citation: of its paper.
        data: it was trained on.
        size: bytes, where its publisher states them.
        sha256: where its publisher states it; else it is recorded on the first download and checked after.
        notes: what else one should know.
        page: of a file that no program may fetch: where its publisher gives it to people, or would.
    """

    name: str
    title: str
    url: str
    format: str
    fits: str
    licence: Licence
    citation: str
    data: str
    size: int | None = None
    sha256: str | None = None
    notes: str = ""
    page: str = ""

    @property
    def by_hand(self) -> str:
        """What its user must do himself; empty where a program may fetch it."""
        here = (
            "nothing is downloaded here; get it there in a browser, if its licence lets you, and give the file's path"
        )
        return f"{self.name} is given to people alone, at {self.page}: {here}" if self.page else ""

    @property
    def file(self) -> str:
        """The file's name on disk."""
        return self.name + (PurePosixPath(urlsplit(self.url).path).suffix or ".safetensors")


def _read() -> tuple[Entry, ...]:
    """Read the catalogue."""
    kept = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    licences = {name: Licence(**licence) for name, licence in kept["licences"].items()}
    return tuple(
        Entry(
            **{
                "url": "",
                **entry,
                "licence": licences[entry["licence"]],
                "citation": kept["citations"][entry["citation"]],
            }
        )
        for entry in kept["weights"]
    )


ENTRIES = _read()


def find_entry(name: str) -> Entry:
    """Find an entry by its name.

    Raises:
        WeightsError: there is none of that name; the message offers the nearest.
    """
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    names = [entry.name for entry in ENTRIES]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    raise WeightsError(f"no {name!r} in the registry; there are: {', '.join(near)}; genesis weights list shows all")


def resolve(name_or_path: str | Path) -> Path:
    """Turn what a user called a network into a path: a path that exists wins, then a network of the package.

    Args:
        name_or_path: a path, one with the part of the file that is meant behind a #, or the name of an entry.
    Returns:
        The path, without its part; one that is neither is given back as it is, for its reader to refuse.
    Raises:
        WeightsError: it is the name of weights that must be fetched first, or that this installation lacks.
    """
    path = Path(part_of(name_or_path)[0])
    entry = next((entry for entry in ENTRIES if entry.name == str(name_or_path)), None)
    if entry is None or path.exists():
        return path
    if entry.by_hand:
        raise WeightsError(entry.by_hand)
    if entry.url:
        raise WeightsError(
            f"{entry.name} is in the registry, not here; run genesis weights fetch {entry.name} weights/ and give "
            f"weights/{entry.file} in its place"
        )
    boxed = BOX / entry.file
    if not boxed.is_file():
        raise WeightsError(f"{entry.name}: this installation lacks {boxed.name}; install modelsgenesis again")
    return boxed


def part_of(name_or_path: str | Path) -> tuple[str, str]:
    """The path, and the part of the file that is meant, of FILE#PART; no part of a path that exists as it is."""
    path, mark, part = str(name_or_path).rpartition("#")
    return (path, part) if mark and not Path(name_or_path).exists() else (str(name_or_path), "")
